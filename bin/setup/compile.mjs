/** Compiles native/ and links the addon. A change in this file means another addon. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { run, withoutNpmSettings } from "./processes.mjs";

const onMac = process.platform === "darwin";

const compilerFlags = [
  ...["-std=c++20", "-O2", "-fPIC", "-pthread", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-parameter"],
  // Finalizers that run during garbage collection, so that memory does not wait for the event loop.
  "-DNAPI_EXPERIMENTAL",
  // Headers of the operators that are named alone: all of them together take longer than everything else.
  "-DAT_PER_OPERATOR_HEADERS",
];

function linkerFlags(libtorch) {
  if (onMac) return ["-bundle", "-undefined", "dynamic_lookup", "-Wl,-rpath,@loader_path/../libtorch/lib"];
  // Nothing refers to the CUDA library by name: it registers its kernels when it is loaded.
  const cuda = libtorch.cuda ? ["-Wl,--no-as-needed", "-ltorch", "-ltorch_cuda", "-Wl,--as-needed"] : [];
  return ["-shared", "-s", "-Wl,-rpath,$ORIGIN/../libtorch/lib", "-Wl,-z,nodelete", ...cuda];
}

/** The C++ compiler with its own arguments, as CXX may name it. */
export const compiler = (process.env.CXX || "g++").split(" ").filter((part) => part !== "");

/** CUDA's headers are not needed: libtorch's public headers stand alone. */
function includes(root, libtorch) {
  const nodeHeaders = createRequire(join(root, "package.json"))("node-api-headers").include_dir;
  const inside = ["", "torch/csrc/api/include"].map((path) => join(libtorch.path, "include", path));
  return [nodeHeaders, ...inside].flatMap((folder) => ["-isystem", folder]);
}

/**
 * Sources in as many groups as processors can work at, two at most: each group is read as one file, since libtorch's
 * headers take most of the time, and a third group would read them once more.
 */
function groups(root) {
  const count = Math.min(2, availableParallelism());
  const result = Array.from({ length: count }, () => ({ bytes: 0, files: [] }));
  const files = readdirSync(join(root, "native")).filter((name) => name.endsWith(".cc"));
  const bytesOf = (name) => statSync(join(root, "native", name)).size;
  for (const name of files.sort((a, b) => bytesOf(b) - bytesOf(a))) {
    const smallest = result.reduce((least, group) => (group.bytes < least.bytes ? group : least));
    smallest.files.push(name);
    smallest.bytes += bytesOf(name);
  }
  return result.map(({ files }) => files.sort());
}

/** Headers take longer than those of all the rest, and few need process groups. */
const distributedFiles = ["distributed/process-group.cc", "distributed/waiting.cc"];

/** A name for what the compiler makes of a group: the same input has the same name, and is not compiled again. */
function objectName(root, files, options, libtorch) {
  const headers = readdirSync(join(root, "native"), { recursive: true }).filter((name) => name.endsWith(".h"));
  const hash = createHash("sha256").update(JSON.stringify([options, libtorch.version]));
  for (const name of [...headers.sort(), ...files]) hash.update(name).update(readFileSync(join(root, "native", name)));
  return `${hash.digest("hex").slice(0, 32)}.o`;
}

async function runCompiler(root, args, input) {
  const { code, output } = await run(compiler[0], [...compiler.slice(1), ...args], {
    cwd: root,
    env: withoutNpmSettings(),
    input,
  });
  return code === 0 ? undefined : output;
}

async function compileGroup(root, folder, files, libtorch) {
  const options = [
    ...compilerFlags,
    "-I",
    join(root, "native"),
    "-I",
    join(root, "native/distributed"),
    ...includes(root, libtorch),
  ];
  const object = join(folder, objectName(root, files, options, libtorch));
  if (existsSync(object)) return { object };
  const draft = `${object}.${process.pid}`;
  const source = files.map((name) => `#include "${name}"\n`).join("");
  const errors = await runCompiler(root, [...options, "-x", "c++", "-c", "-o", draft, "-"], source);
  if (errors === undefined) renameSync(draft, object);
  return { object, errors };
}

/**
 * Compiles everything and, when the libraries are there, links it.
 * @param {string} root
 * @param {import("./stamp.mjs").Libtorch} libtorch whose headers are there
 * @param {Promise<void>} loads the libraries are there too
 * @param {string} target file of the addon, replaced in one step
 * @param {boolean} isDistributed with process groups
 * @returns {Promise<string | undefined>} what the compiler said, when it failed
 */
export async function compileAddon(root, libtorch, loads, target, isDistributed) {
  const folder = join(root, "build", "objects");
  mkdirSync(folder, { recursive: true });
  mkdirSync(dirname(target), { recursive: true });
  const wanted = [...groups(root), ...(isDistributed ? [distributedFiles] : [])];
  const compiling = wanted.map((files) => compileGroup(root, folder, files, libtorch));
  const [compiled] = await Promise.all([Promise.all(compiling), loads]);
  const failed = compiled.find(({ errors }) => errors !== undefined);
  if (failed) return failed.errors;
  const objects = compiled.map(({ object }) => object);
  const draft = `${target}.${process.pid}`;
  const libraries = ["-L", join(libtorch.path, "lib"), "-ltorch_cpu", "-lc10"];
  const errors = await runCompiler(root, ["-pthread", "-o", draft, ...objects, ...libraries, ...linkerFlags(libtorch)]);
  if (errors !== undefined) return errors;
  renameSync(draft, target);
  for (const name of readdirSync(folder)) {
    if (!objects.includes(join(folder, name))) rmSync(join(folder, name), { force: true });
  }
  return undefined;
}
