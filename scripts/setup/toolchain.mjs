/** The programs that building the addon needs, all checked before anything is downloaded. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { SetupFailure } from "./failure.mjs";
import { run } from "./processes.mjs";

/** libtorch's headers need C++20 as gcc has it from here on. */
const oldestGcc = 11;

export function onPath(program) {
  if (program.includes("/")) return isExecutable(program);
  return (process.env.PATH ?? "")
    .split(delimiter)
    .some((folder) => folder !== "" && isExecutable(join(folder, program)));
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The command that installs Debian's packages, or their likeness elsewhere. */
export function installCommand(packages) {
  const sudo = process.getuid?.() === 0 ? "" : "sudo ";
  const renamed = (table) => packages.map((name) => table[name] ?? name).join(" ");
  if (onPath("dnf")) return `${sudo}dnf install -y ${renamed({ "g++": "gcc-c++" })}`;
  if (onPath("pacman"))
    return `${sudo}pacman -S ${renamed({ "g++": "gcc", python3: "python", "python3-pip": "python-pip" })}`;
  if (onPath("zypper")) return `${sudo}zypper install -y ${renamed({ "g++": "gcc-c++" })}`;
  return `${sudo}apt-get install -y ${packages.join(" ")}`;
}

function whereIsPath() {
  return `PATH: ${process.env.PATH ?? "(empty)"}`;
}

/** @throws SetupFailure naming every missing program */
export async function checkTools() {
  if (process.platform !== "linux") {
    throw new SetupFailure(`${process.platform} is not supported: the addon builds on Linux (x64 and arm64)`, {
      lookedFor: "Linux",
      where: `this machine (${process.platform} ${process.arch})`,
      command: "npx hub-pathway setup, inside Linux (a virtual machine, a container or WSL)",
    });
  }
  const compiler = (process.env.CXX ?? "g++").split(" ")[0] || "g++";
  const wanted = [
    { program: compiler, package: "g++", name: `a C++ compiler (${compiler})` },
    { program: process.env.MAKE || "make", package: "make", name: "make" },
    { program: "python3", package: "python3", name: "python3" },
  ];
  const missing = wanted.filter(({ program }) => !onPath(program));
  if (missing.length > 0) {
    throw new SetupFailure(`not found: ${missing.map(({ name }) => name).join(", ")}`, {
      lookedFor: missing.map(({ program }) => program).join(", "),
      where: whereIsPath(),
      command: installCommand(missing.map((tool) => tool.package)),
    });
  }
  await checkCompiler(compiler);
}

async function checkCompiler(compiler) {
  const { code, stdout } = await run(compiler, ["-dumpversion"]);
  const major = Number(stdout.trim().split(".")[0]);
  if (code !== 0 || !/g\+\+/.test(compiler) || /clang/.test(compiler) || !(major < oldestGcc)) return;
  throw new SetupFailure(`${compiler} ${stdout.trim()} is too old for libtorch's headers (C++20)`, {
    lookedFor: `g++ ${oldestGcc} or newer, or another compiler in CXX`,
    where: whereIsPath(),
    command: `${installCommand(["g++-12"])} && CXX=g++-12 npx hub-pathway setup`,
  });
}

/** @throws SetupFailure when `python3 -m pip` does not run */
export async function checkPip() {
  const { code } = await run("python3", ["-m", "pip", "--version"]);
  if (code === 0) return;
  throw new SetupFailure("python3 has no pip, which downloads libtorch", {
    lookedFor: "`python3 -m pip`, since neither LIBTORCH nor an installed Python torch gives a libtorch",
    where: whereIsPath(),
    command: installCommand(["python3-pip"]),
  });
}
