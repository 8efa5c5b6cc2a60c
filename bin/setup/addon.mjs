/** The addon: a prebuilt one that fits, else compiled; and proof that it loads. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { compileAddon } from "./compile.mjs";
import { SetupFailure } from "./failure.mjs";
import { isTested } from "./libtorch.mjs";
import { fitsLibtorch } from "./prebuilt.mjs";
import { run, tail } from "./processes.mjs";
import { note, step } from "./progress.mjs";
import { addonFile, libtorchLink } from "./stamp.mjs";
import { checkCompiler } from "./toolchain.mjs";

function compilerErrors(output) {
  const lines = output.split("\n").filter((line) => /(error|fatal error):|undefined reference|Killed/.test(line));
  return tail(lines.length > 0 ? lines.slice(0, 6).join("\n") : output, 6);
}

/** The addon finds its libraries through build/libtorch, whatever their real path. */
function linkLibtorch(root, libtorch) {
  const link = join(root, libtorchLink);
  const inside = !relative(root, libtorch.path).startsWith("..");
  rmSync(link, { recursive: true, force: true });
  symlinkSync(inside ? relative(dirname(link), libtorch.path) : libtorch.path, link);
}

async function compile(root, libtorch, loads, isDistributed) {
  await checkCompiler();
  const errors = await compileAddon(root, libtorch, loads, join(root, addonFile), isDistributed);
  if (errors === undefined) return;
  throw new SetupFailure(
    `the addon does not compile against libtorch ${libtorch.version}:\n${compilerErrors(errors)}`,
    {
      final: isTested(libtorch.version),
      lookedFor: `${addonFile}, from native/ with a C++20 compiler`,
      where: `${root}, libtorch in ${libtorch.path}`,
      command: isTested(libtorch.version)
        ? "npx hub-pathway setup --force --debug"
        : "unset LIBTORCH && npx hub-pathway setup (fetches the libtorch that is tested)",
    },
  );
}

/** Operator schemas that the sources rely on, from the comments of the generated file. */
function schemasInUse(root) {
  const candidates = ["src/torch/ops.generated.ts", "dist/torch/ops.generated.d.ts"];
  const path = candidates.map((file) => join(root, file)).find((file) => existsSync(file));
  if (path === undefined) return [];
  return [...readFileSync(path, "utf8").matchAll(/\/\*\* `(aten::[^`]+)` \*\//g)].map((match) => match[1]);
}

/** Loads the addon in a process of its own, since a library that crashes must not take the set-up with it. */
async function whyItDoesNotLoad(root, libtorch) {
  const script = fileURLToPath(new URL("load-check.mjs", import.meta.url));
  const schemas = isTested(libtorch.version) ? [] : schemasInUse(root);
  const result = await run(process.execPath, [script, join(root, addonFile), JSON.stringify(schemas)], { cwd: root });
  return result.code === 0 ? undefined : result.stderr;
}

/** @returns {Promise<boolean>} whether the prebuilt addon is in its place, and loads */
async function takePrebuilt(root, libtorch, prebuilt) {
  if (!fitsLibtorch(prebuilt, libtorch)) {
    note(`addon: ${prebuilt.name} is made for libtorch ${prebuilt.libtorch}; compiling`);
    return false;
  }
  const target = join(root, addonFile);
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(prebuilt.addon, `${target}.new`);
  renameSync(`${target}.new`, target);
  const reason = await whyItDoesNotLoad(root, libtorch);
  note(`addon: ${prebuilt.name}${reason === undefined ? "" : ` does not load here; compiling\n${tail(reason, 1)}`}`);
  return reason === undefined;
}

/**
 * @param {string} root
 * @param {import("./stamp.mjs").Libtorch} libtorch
 * @param {Promise<void>} loads the libraries are there, and find their own
 * @param {import("./prebuilt.mjs").Prebuilt | undefined} prebuilt
 * @param {boolean} isDistributed with process groups
 */
export async function buildAddon(root, libtorch, loads, prebuilt, isDistributed) {
  note(`libtorch: ${libtorch.version}${libtorch.cuda ? " with CUDA" : ""} in ${libtorch.path}`);
  if (!isTested(libtorch.version)) {
    note(
      `libtorch: version ${libtorch.version} is not the one that is tested; it is used if the addon builds and loads`,
    );
  }
  mkdirSync(join(root, dirname(libtorchLink)), { recursive: true });
  linkLibtorch(root, libtorch);
  if (isDistributed && prebuilt?.isDistributed === false)
    note(`addon: ${prebuilt.name} has no process groups; compiling`);
  else if (prebuilt !== undefined) {
    await loads;
    if (await takePrebuilt(root, libtorch, prebuilt)) return;
  }
  await step("addon", () => compile(root, libtorch, loads, isDistributed), {
    detail: () => "compiling",
    done: () => addonFile,
  });
  const reason = await whyItDoesNotLoad(root, libtorch);
  if (reason === undefined) return;
  rmSync(join(root, addonFile), { force: true });
  throw new SetupFailure(`the addon does not load with libtorch ${libtorch.version}:\n${tail(reason, 3)}`, {
    lookedFor: `${addonFile}, and through it ${libtorch.path}'s libraries and the operators in use`,
    where: join(libtorch.path, "lib"),
    command:
      libtorch.source === "LIBTORCH"
        ? "unset LIBTORCH && npx hub-pathway setup (fetches the libtorch that is tested)"
        : "LIBTORCH=/folder/of/libtorch npx hub-pathway setup",
  });
}
