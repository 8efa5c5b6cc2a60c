/** Compiles native/ with node-gyp against one libtorch, and sees that the result loads. */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { SetupFailure } from "./failure.mjs";
import { isTested } from "./libtorch.mjs";
import { run, tail, withoutNpmSettings } from "./processes.mjs";
import { note, step } from "./progress.mjs";
import { addonFile, libtorchLink } from "./stamp.mjs";

const headersMajor = (folder) => {
  try {
    const text = readFileSync(join(folder, "include/node/node_version.h"), "utf8");
    return /#define NODE_MAJOR_VERSION (\d+)/.exec(text)?.[1];
  } catch {
    return undefined;
  }
};

function isNodeFolder(folder) {
  const files = ["node_api.h", "common.gypi"];
  const major = process.versions.node.split(".")[0];
  return headersMajor(folder) === major && files.every((file) => existsSync(join(folder, "include/node", file)));
}

/** Node-API headers from npm, laid out as node-gyp wants them: nothing has to be fetched. */
function headersFromPackage(root, require) {
  const source = require("node-api-headers").include_dir;
  // Relative, since the folder may have spaces in its path, which make does not take.
  const folder = "build/node-headers";
  const target = join(root, folder, "include", "node");
  mkdirSync(target, { recursive: true });
  for (const name of readdirSync(source)) copyFileSync(join(source, name), join(target, name));
  const settings = {
    target_defaults: { cflags: ["-fPIC", "-O2"], default_configuration: "Release", configurations: { Release: {} } },
  };
  writeFileSync(join(target, "common.gypi"), JSON.stringify(settings));
  writeFileSync(join(target, "config.gypi"), JSON.stringify({ target_defaults: {}, variables: {} }));
  return folder;
}

/** Headers of the running Node when they lie beside it, else of the setting nodedir, else the npm package's. */
function nodeFolder(root, require) {
  const candidates = [dirname(dirname(process.execPath)), process.env.npm_config_nodedir];
  return candidates.find((folder) => folder && isNodeFolder(folder)) ?? headersFromPackage(root, require);
}

function compilerErrors(output) {
  const lines = output
    .split("\n")
    .filter((line) => /(error|fatal error):|undefined reference|Killed|gyp ERR! stack/.test(line));
  return tail(lines.length > 0 ? lines.slice(0, 6).join("\n") : output, 6);
}

/**
 * Points build/libtorch at this libtorch. Objects compiled against other headers go: make sees only the link, which is
 * the same as before.
 */
function linkLibtorch(root, libtorch, force) {
  const link = join(root, libtorchLink);
  const objects = join(root, "build", "Release");
  const origin = join(objects, "origin.json");
  const { mtimeMs, size } = statSync(join(libtorch.path, "lib", "libtorch_cpu.so"));
  const wanted = JSON.stringify({ libtorch, mtimeMs, size, node: process.version, execPath: process.execPath });
  if (force || !existsSync(origin) || readFileSync(origin, "utf8") !== wanted) {
    rmSync(objects, { recursive: true, force: true });
    mkdirSync(objects, { recursive: true });
    writeFileSync(origin, wanted);
  }
  const inside = !relative(root, libtorch.path).startsWith("..");
  rmSync(link, { recursive: true, force: true });
  symlinkSync(inside ? relative(dirname(link), libtorch.path) : libtorch.path, link);
}

/** @param {string} root @param {import("./stamp.mjs").Libtorch} libtorch */
async function compile(root, libtorch, force) {
  const require = createRequire(join(root, "package.json"));
  const nodeGyp = join(dirname(require.resolve("node-gyp/package.json")), "bin", "node-gyp.js");
  const headers = nodeFolder(root, require);
  const gyp = (...args) => run(process.execPath, [nodeGyp, ...args], { cwd: root, env: withoutNpmSettings() });
  linkLibtorch(root, libtorch, force);
  const configured = await gyp("configure", `--nodedir=${headers}`, "--", `-Dcuda=${libtorch.cuda ? 1 : 0}`);
  const result = configured.code === 0 ? await gyp("build", "--jobs", "max") : configured;
  if (result.code === 0) return;
  throw new SetupFailure(
    `the addon does not compile against libtorch ${libtorch.version}:\n${compilerErrors(result.output)}`,
    {
      final: isTested(libtorch.version),
      lookedFor: `${addonFile}, from native/ with g++`,
      where: `${root}, libtorch in ${libtorch.path}, Node's headers in ${headers}`,
      command: isTested(libtorch.version)
        ? "npx hub-pathway setup --force --debug"
        : "unset LIBTORCH && npx hub-pathway setup (downloads the libtorch that is tested)",
    },
  );
}

/** Operator schemas that the sources rely on, from the comments of the generated file. */
function schemasInUse(root) {
  const candidates = ["src/torch/ops.generated.ts", "dist/torch/ops.generated.js"];
  const path = candidates.map((file) => join(root, file)).find((file) => existsSync(file));
  if (path === undefined) return [];
  return [...readFileSync(path, "utf8").matchAll(/\/\*\* `(aten::[^`]+)` \*\//g)].map((match) => match[1]);
}

/** Loads the addon in a process of its own: a library that crashes must not take the set-up with it. */
async function checkLoads(root, libtorch) {
  const script = fileURLToPath(new URL("load-check.mjs", import.meta.url));
  const schemas = isTested(libtorch.version) ? [] : schemasInUse(root);
  const result = await run(process.execPath, [script, join(root, addonFile), JSON.stringify(schemas)], { cwd: root });
  if (result.code === 0) return;
  rmSync(join(root, addonFile), { force: true });
  throw new SetupFailure(`the addon does not load with libtorch ${libtorch.version}:\n${tail(result.stderr, 3)}`, {
    lookedFor: `${addonFile}, and through it libtorch_cpu.so and the operators in use`,
    where: join(libtorch.path, "lib"),
    command:
      libtorch.source === "LIBTORCH"
        ? "unset LIBTORCH && npx hub-pathway setup (downloads the libtorch that is tested)"
        : `LIBTORCH=/folder/of/libtorch npx hub-pathway setup`,
  });
}

/** @param {string} root @param {import("./stamp.mjs").Libtorch} libtorch */
export async function buildAddon(root, libtorch, force = false) {
  note(`libtorch: ${libtorch.version}${libtorch.cuda ? " with CUDA" : ""} in ${libtorch.path}`);
  if (!isTested(libtorch.version)) {
    note(
      `libtorch: version ${libtorch.version} is not the one that is tested; it is used if the addon builds and loads`,
    );
  }
  await step("addon", () => compile(root, libtorch, force), { detail: () => "compiling", done: () => addonFile });
  await checkLoads(root, libtorch);
}
