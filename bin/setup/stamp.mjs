/** Record of the inputs of the last set-up, so that the next one knows at once if anything is left to do. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sharedLibrary } from "./platform.mjs";

/** @typedef {{ path: string, version: string, source: string, cuda: boolean }} Libtorch */

const stampVersion = 3;
const stampFile = "build/setup.json";
export const addonFile = "build/Release/hub_pathway.node";
/** A link to the libtorch in use: the addon is compiled against it and finds its libraries through it. */
export const libtorchLink = "build/libtorch";

/** Hash of everything that the addon is compiled from. */
export function sourcesHash(root) {
  const hash = createHash("sha256");
  const files = readdirSync(join(root, "native"), { recursive: true }).filter((name) => /\.(cc|h)$/.test(name));
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

/** @param {string} root @param {Libtorch} libtorch @param {boolean} isDistributed */
function currentStamp(root, libtorch, isDistributed) {
  return {
    version: stampVersion,
    sources: sourcesHash(root),
    node: `${process.version} ${process.arch}`,
    addon: fileMark(join(root, addonFile)),
    library: fileMark(join(root, libtorchLink, "lib", sharedLibrary("torch_cpu"))),
    libtorch,
    isDistributed,
  };
}

function readStamp(root) {
  try {
    return JSON.parse(readFileSync(join(root, stampFile), "utf8"));
  } catch {
    return undefined;
  }
}

/** The libtorch of the last set-up, or undefined when none was finished. @returns {Libtorch | undefined} */
export function lastLibtorch(root) {
  return readStamp(root)?.libtorch;
}

/** True when the last set-up made an addon with process groups. */
export function lastIsDistributed(root) {
  return readStamp(root)?.isDistributed === true;
}

/** True when the addon is the one that these sources, this Node and this libtorch make. */
export function addonIsCurrent(root) {
  const stamp = readStamp(root);
  if (!existsSync(join(root, addonFile)) || stamp?.library === undefined) return false;
  return JSON.stringify(stamp) === JSON.stringify(currentStamp(root, stamp.libtorch, stamp.isDistributed));
}

/** @param {string} root @param {Libtorch} libtorch @param {boolean} isDistributed */
export function writeStamp(root, libtorch, isDistributed) {
  const path = join(root, stampFile);
  writeFileSync(`${path}.new`, `${JSON.stringify(currentStamp(root, libtorch, isDistributed), null, 2)}\n`);
  renameSync(`${path}.new`, path);
}

export function removeStamp(root) {
  rmSync(join(root, stampFile), { force: true });
}
