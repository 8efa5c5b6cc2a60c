/** The programs that set-up may need: a compiler, pip. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { compiler } from "./compile.mjs";
import { SetupFailure } from "./failure.mjs";
import { packageName } from "./prebuilt.mjs";
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

/** @throws SetupFailure when there is no C++ compiler, or one that is too old */
export async function checkCompiler() {
  const [program = "g++"] = compiler;
  if (!onPath(program)) {
    throw new SetupFailure(`there is no C++ compiler (${program}), and no prebuilt addon that fits`, {
      lookedFor: `${program}, or the package ${packageName}`,
      where: whereIsPath(),
      command: process.platform === "darwin" ? "xcode-select --install" : installCommand(["g++"]),
    });
  }
  const { code, stdout } = await run(program, [...compiler.slice(1), "-dumpversion"]);
  const major = Number(stdout.trim().split(".")[0]);
  if (code !== 0 || !/g\+\+/.test(program) || /clang/.test(program) || process.platform === "darwin") return;
  if (!(major < oldestGcc)) return;
  throw new SetupFailure(`${program} ${stdout.trim()} is too old for libtorch's headers (C++20)`, {
    lookedFor: `g++ ${oldestGcc} or newer, or another compiler in CXX`,
    where: whereIsPath(),
    command: `${installCommand(["g++-12"])} && CXX=g++-12 npx hub-pathway setup`,
  });
}

/** @throws SetupFailure when `python3 -m pip` does not run */
export async function checkPip() {
  const { code } = await run("python3", ["-m", "pip", "--version"]);
  if (code === 0) return;
  throw new SetupFailure("libtorch's own archive cannot be had, and there is no pip to ask for the Python package", {
    lookedFor:
      "`python3 -m pip`, since neither LIBTORCH, LIBTORCH_ARCHIVE nor an installed Python torch gives a libtorch",
    where: whereIsPath(),
    command: installCommand(onPath("python3") ? ["python3-pip"] : ["python3", "python3-pip"]),
  });
}
