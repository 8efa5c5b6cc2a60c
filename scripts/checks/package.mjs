/** The packed package as its users' compilers see it: publint, Are the Types Wrong, and the types of the public calls. */
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** As the profile "esm-only": whoever uses require, or the resolution of Node 10, is not served. */
const served = ({ resolutionKind, resolutionOption }) =>
  !["node10", "node16-cjs"].includes(resolutionKind ?? resolutionOption);

async function problemsOfTarball(tarball) {
  // Slow to load, and the other checks need neither.
  const { checkPackage, createPackageFromTarballData } = await import("@arethetypeswrong/core");
  const { publint } = await import("publint");
  const { formatMessage } = await import("publint/utils");
  const bytes = new Uint8Array(readFileSync(tarball));
  const { messages, pkg } = await publint({ strict: true, pack: { tarball: bytes.buffer } });
  const analysis = await checkPackage(createPackageFromTarballData(bytes));
  const wrong = analysis.types ? analysis.problems.filter(served) : [{ kind: "the package has no types" }];
  return [
    ...messages.map((message) => `publint: ${formatMessage(message, pkg)}`),
    ...wrong.map((problem) => `types: ${JSON.stringify(problem)}`),
  ];
}

/** Compiles test/types/public-api.ts against the unpacked package and its dependencies, as an install brings them. */
function problemsOfTypes(root, folder, tarball) {
  const modules = join(folder, "node_modules");
  const target = join(modules, "hub-pathway");
  mkdirSync(target, { recursive: true });
  execFileSync("tar", ["-xzf", tarball, "-C", target, "--strip-components=1"]);
  const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  for (const name of Object.keys(dependencies)) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(root, "node_modules", name), join(modules, name));
  }
  copyFileSync(join(root, "test/types/public-api.ts"), join(folder, "public-api.ts"));
  const options = ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext"];
  const node = ["--types", "node", "--typeRoots", join(root, "node_modules/@types")];
  const args = [...options, ...node, "--lib", "ES2023,ESNext.Disposable", "public-api.ts"];
  const compiler = join(root, "node_modules/typescript/bin/tsc");
  const { status, stdout } = spawnSync(process.execPath, [compiler, ...args], { cwd: folder, encoding: "utf8" });
  return status === 0 ? [] : stdout.split("\n").filter((line) => line !== "");
}

export async function checkPacked(root) {
  const folder = mkdtempSync(join(tmpdir(), "hub-pathway-package-"));
  try {
    const args = ["pack", "--ignore-scripts=false", "--pack-destination", folder];
    const packed = spawnSync("npm", args, { cwd: root, encoding: "utf8" });
    const name = readdirSync(folder).find((file) => file.endsWith(".tgz"));
    if (packed.status !== 0 || name === undefined) return [`npm pack: ${packed.stderr}`];
    const tarball = join(folder, name);
    return [...(await problemsOfTarball(tarball)), ...problemsOfTypes(root, folder, tarball)];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
