/** Packages that hold the compiled addon for one system: `npm run prebuild` makes them, set-up uses one that fits. */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { SetupFailure } from "./failure.mjs";
import { platform } from "./platform.mjs";
import { sourcesHash } from "./stamp.mjs";

/** @typedef {{ name: string, addon: string, libtorch: string, isDistributed: boolean }} Prebuilt */

export const packageName = `@hub-pathway/${platform}`;
export const prebuiltAddon = "hub_pathway.node";

/**
 * Properties that an addon built on this machine is bound to, beside libtorch. The experimental Node-API differs
 * between versions.
 */
export function binding(root) {
  return { sources: sourcesHash(root), modules: process.versions.modules, platform };
}

function manifestOf(root, folder) {
  if (folder !== undefined) return join(folder, "package.json");
  try {
    return createRequire(join(root, "package.json")).resolve(`${packageName}/package.json`);
  } catch {
    return undefined; // Not installed: it is optional.
  }
}

/**
 * The prebuilt addon that fits these sources and this Node.
 * @param {string} root
 * @param {string | undefined} folder a package's folder that the user names, instead of an installed package
 * @returns {{ prebuilt?: Prebuilt, reason?: string }} `reason`: why the one that is there does not fit
 * @throws SetupFailure when the folder that the user names holds none that fits
 */
export function findPrebuilt(root, folder) {
  const path = manifestOf(root, folder);
  if (path === undefined) return {};
  const reject = (reason) => {
    if (folder === undefined) return { reason: `${packageName} ${reason}` };
    throw new SetupFailure(`the addon in ${folder} cannot be used: it ${reason}`, {
      lookedFor: `a package that \`npm run prebuild\` made of these sources with Node ${process.version}`,
      where: path,
      command: "npx hub-pathway setup (compiles it)",
    });
  };
  const addon = join(dirname(path), prebuiltAddon);
  if (!existsSync(path) || !existsSync(addon)) return reject(`lacks package.json or ${prebuiltAddon}`);
  const { name, hubPathway = {} } = JSON.parse(readFileSync(path, "utf8"));
  for (const [key, value] of Object.entries(binding(root))) {
    if (hubPathway[key] !== value) return reject(`is made for other ${key} (${hubPathway[key]}, not ${value})`);
  }
  const { libtorch, isDistributed = false } = hubPathway;
  return { prebuilt: { name, addon, libtorch, isDistributed } };
}

export function fitsLibtorch(prebuilt, libtorch) {
  return prebuilt.libtorch === libtorch.version && !libtorch.cuda;
}
