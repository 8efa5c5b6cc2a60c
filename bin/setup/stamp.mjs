/** Record of the inputs of the last set-up, so that the next one knows at once if anything is left to do. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sharedLibrary } from "./platform.mjs";

/** @typedef {{ path: string, version: string, source: string, cuda: boolean }} Libtorch */

const stampVersion = 2;
const stampFile = "build/setup.json";
export const addonFile = "build/Release/hub_pathway.node";
/** A link to the libtorch in use: the addon is compiled against it and finds its libraries through it. */
export const libtorchLink = "build/libtorch";

/** Hash of everything that the addon is compiled from. */
export function sourcesHash(root) {
  const hash = createHash("sha256");
  const files = readdirSync(join(root, "native")).filter((name) => /\.(cc|h)$/.test(name));
  for (const name of ["bin/setup/compile.mjs", ...files.sort().map((file) => `native/${file}`)]) {
    hash.update(name).update(readFileSync(join(root, name)));
  }
  return hash.digest("hex");
}

function fileMark(path) {
  try {
    const { size, mtimeMs } = statSync(path);
    return `${size} ${mtimeMs}`;
  } catch {
    return undefined;
  }
}

/** @param {string} root @param {Libtorch} libtorch */
function currentStamp(root, libtorch) {
  return {
    version: stampVersion,
    sources: sourcesHash(root),
    node: `${process.version} ${process.arch}`,
    addon: fileMark(join(root, addonFile)),
    library: fileMark(join(root, libtorchLink, "lib", sharedLibrary("torch_cpu"))),
    libtorch,
  };
}

/** The libtorch of the last set-up, or undefined when none was finished. @returns {Libtorch | undefined} */
export function lastLibtorch(root) {
  try {
    return JSON.parse(readFileSync(join(root, stampFile), "utf8")).libtorch;
  } catch {
    return undefined;
  }
}

/** True when the addon is the one that these sources, this Node and this libtorch make. */
export function addonIsCurrent(root) {
  if (!existsSync(join(root, addonFile))) return false;
  try {
    const stamp = JSON.parse(readFileSync(join(root, stampFile), "utf8"));
    return stamp.library !== undefined && JSON.stringify(stamp) === JSON.stringify(currentStamp(root, stamp.libtorch));
  } catch {
    return false;
  }
}

/** @param {string} root @param {Libtorch} libtorch */
export function writeStamp(root, libtorch) {
  const path = join(root, stampFile);
  writeFileSync(`${path}.new`, `${JSON.stringify(currentStamp(root, libtorch), null, 2)}\n`);
  renameSync(`${path}.new`, path);
}

export function removeStamp(root) {
  rmSync(join(root, stampFile), { force: true });
}
