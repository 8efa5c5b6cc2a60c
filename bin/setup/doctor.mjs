/** `hub-pathway doctor` before set-up: what is there, what is missing, and the one command that mends it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { dependenciesAreCurrent } from "./dependencies.mjs";
import { platform } from "./platform.mjs";
import { findPrebuilt } from "./prebuilt.mjs";
import { addonFile, addonIsCurrent, lastLibtorch } from "./stamp.mjs";
import { checkCompiler } from "./toolchain.mjs";

const packageRoot = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");

async function builder(root) {
  const { prebuilt, reason } = findPrebuilt(root);
  if (prebuilt) return { builder: prebuilt.name };
  try {
    await checkCompiler();
    return { builder: reason ? `C++ compiler (${reason})` : "C++ compiler" };
  } catch (error) {
    return { builder: "missing", command: error.command };
  }
}

/**
 * Says what set-up would find.
 * @param {boolean} json one JSON object on standard output instead of lines
 * @param {string} root the folder of package.json
 * @returns {Promise<number | undefined>} exit code 2 when something is missing; undefined when nothing is
 */
export async function diagnose(json, root = packageRoot) {
  const packages = dependenciesAreCurrent(root);
  const addon = existsSync(join(root, addonFile));
  if (packages && addon) {
    if (!addonIsCurrent(root))
      console.error("the addon is of other sources, another Node or another libtorch: run `npx hub-pathway setup`");
    return undefined;
  }
  const found = {
    node: process.version,
    platform,
    packages: packages ? "ready" : "missing",
    libtorch: lastLibtorch(root)?.path ?? process.env.LIBTORCH ?? "missing",
    addon: addon ? "ready" : "missing",
    ...(await builder(root)),
  };
  const { command: first, ...states } = found;
  const command = [first, "npx hub-pathway setup"].filter((part) => part !== undefined).join(" && ");
  if (json) console.log(JSON.stringify({ ready: false, ...states, command }));
  else for (const [name, value] of Object.entries(states)) console.log(`${name.padEnd(12)} ${value}`);
  console.error(`hub-pathway is not set up: run \`${command}\``);
  return 2;
}
