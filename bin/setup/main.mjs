/** `hub-pathway setup`: packages, libtorch, addon. Uses only what comes with Node, since it runs before anything else. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { buildAddon } from "./addon.mjs";
import { dependenciesAreCurrent, installDependencies, isCheckout } from "./dependencies.mjs";
import { SetupFailure } from "./failure.mjs";
import { findLibtorch, libtorchFolder } from "./libtorch.mjs";
import { takeLock } from "./lock.mjs";
import { checkPlatform, isTried, platform, testedVersion } from "./platform.mjs";
import { findPrebuilt } from "./prebuilt.mjs";
import { stopping } from "./processes.mjs";
import { note } from "./progress.mjs";
import { addonFile, addonIsCurrent, lastIsDistributed, lastLibtorch, removeStamp, writeStamp } from "./stamp.mjs";
import { checkCompiler } from "./toolchain.mjs";

const oldestNode = [20, 11];

const help = `Usage: hub-pathway setup [options]

Makes everything ready that the other commands need: npm packages (in a checkout), libtorch, and the native addon.
Does nothing, silently, when all of it is there. libtorch is looked for in the folder LIBTORCH, then in an installed
Python torch; else the archive of libtorch ${testedVersion} is fetched, or by pip the Python package, into .libtorch.
The addon is a prebuilt package's when one fits; else a C++ compiler builds it.

Options:
  --force            look for libtorch again
  --distributed      an addon with process groups, for training by several processes (compiles for longer)
  --prebuilt FOLDER  take the addon of this package, which \`npm run prebuild\` made
  --json             print one JSON object about the result as the last line of stdout
  --debug            print stack traces of errors
  --seed N           accepted, as by every command; nothing here is random
  --help             print this

Environment:
  LIBTORCH          folder of a libtorch to use
  LIBTORCH_ARCHIVE  address or file of an archive or a wheel to unpack instead of PyTorch's
  LIBTORCH_SHA256   its sha256
  CXX               the C++ compiler

Exit codes: 0 done, 2 an unknown option or something is missing on this machine, 70 an error of ours.

Example:
  LIBTORCH=/opt/libtorch npx hub-pathway setup`;

function parse(args) {
  const flag = { type: "boolean", default: false };
  try {
    const text = { type: "string" };
    const help = { ...flag, short: "h" };
    const flags = { force: flag, distributed: flag, json: flag, debug: flag, help };
    return parseArgs({ args, options: { ...flags, seed: text, prebuilt: text } }).values;
  } catch (error) {
    throw new SetupFailure(`${error.message.split(". ")[0]} (\`npx hub-pathway setup --help\` lists the options)`);
  }
}

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major > oldestNode[0] || (major === oldestNode[0] && minor >= oldestNode[1])) return;
  throw new SetupFailure(`Node ${process.versions.node} is too old`, {
    lookedFor: `Node ${oldestNode.join(".")} or newer`,
    where: process.execPath,
    command: `install Node ${oldestNode[0]} or newer, then npx hub-pathway setup`,
  });
}

function checkPackage(root) {
  if (isCheckout(root) || existsSync(join(root, "dist/cli/main.js"))) return;
  throw new SetupFailure("this package was packed without its compiled files", {
    lookedFor: "dist/cli/main.js",
    where: root,
    command: "in the checkout: npm run build && npm pack, then install that archive",
  });
}

/** The last set-up stands unless LIBTORCH now names another folder. */
function libtorchIsCurrent(root) {
  const wanted = process.env.LIBTORCH;
  if (!wanted) return true;
  const last = lastLibtorch(root)?.path;
  return last !== undefined && (resolve(wanted) === last || libtorchFolder(wanted) === last);
}

function addonSuffices(root, { distributed }) {
  return addonIsCurrent(root) && libtorchIsCurrent(root) && (lastIsDistributed(root) || !distributed);
}

function nothingToDo(root, options) {
  const isForced = options.force || options.prebuilt !== undefined;
  return !isForced && dependenciesAreCurrent(root) && addonSuffices(root, options);
}

async function setUp(root, options) {
  const { force, prebuilt: folder } = options;
  checkPackage(root);
  const packages = dependenciesAreCurrent(root) ? Promise.resolve() : installDependencies(root);
  packages.catch(() => {});
  if (force || folder !== undefined || !addonSuffices(root, options)) {
    const distributed = options.distributed || lastIsDistributed(root);
    await setUpAddon(root, { force, folder, packages, distributed });
  }
  await packages;
}

async function setUpAddon(root, { force, folder, packages, distributed }) {
  checkPlatform();
  if (!isTried) note(`${platform} is untried: libtorch exists for it; please report how set-up and tests end`);
  const { prebuilt, reason } = findPrebuilt(root, folder);
  if (reason) note(`addon: ${reason}; compiling`);
  // Before anything large is fetched.
  if (prebuilt === undefined) await checkCompiler();
  const isDistributed = distributed || prebuilt?.isDistributed === true;
  const build = (candidate, loads) => {
    removeStamp(root);
    return buildAddon(root, candidate, loads, prebuilt, isDistributed);
  };
  const libtorch = await findLibtorch(root, build, { again: force, packages });
  writeStamp(root, libtorch, isDistributed);
}

async function setUpAlone(root, options) {
  const release = await takeLock(join(root, "build", "setup.lock"), (owner) =>
    note(`another set-up is running (process ${owner}): waiting for it`),
  );
  const stop = (code) => () => {
    stopping.abort();
    process.exit(code);
  };
  const signals = { SIGINT: stop(130), SIGTERM: stop(143), SIGHUP: stop(129), exit: release };
  for (const [name, handler] of Object.entries(signals)) process.on(name, handler);
  try {
    if (!nothingToDo(root, options)) await setUp(root, options);
  } finally {
    for (const [name, handler] of Object.entries(signals)) process.off(name, handler);
    // Other steps may still run beside the one that failed.
    stopping.abort();
    release();
  }
}

/** Results of the file system that are the machine's, not ours, said plainly. */
function asFailure(error, root) {
  if (error instanceof SetupFailure) return error;
  const reasons = {
    EACCES: "may not be written",
    EROFS: "is read-only",
    EPERM: "may not be written",
    ENOSPC: "is on a full disk",
  };
  const reason = reasons[error?.code];
  if (reason === undefined) return undefined;
  return new SetupFailure(`${error.path ?? root} ${reason}`, {
    lookedFor: "a folder to build in",
    where: root,
    command: error.code === "ENOSPC" ? `df -h ${root}, free some space, then npx hub-pathway setup` : `ls -ld ${root}`,
  });
}

/**
 * Runs the command.
 * @param {string[]} args
 * @param {string} root the folder of package.json
 * @returns {Promise<number>} exit code
 */
export async function main(args, root = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "")) {
  const started = performance.now();
  const json = args.includes("--json");
  try {
    const options = parse(args);
    if (options.help) {
      console.log(help);
      return 0;
    }
    checkNode();
    const changed = !nothingToDo(root, options);
    if (changed) await setUpAlone(root, options);
    const seconds = Math.round(performance.now() - started) / 1000;
    if (json) {
      const addon = join(root, addonFile);
      console.log(
        JSON.stringify({ ok: true, changed, seconds, node: process.version, addon, libtorch: lastLibtorch(root) }),
      );
    }
    return 0;
  } catch (error) {
    if (args.includes("--debug")) console.error(error);
    const failure = asFailure(error, root);
    console.error(failure ? String(failure) : `hub-pathway setup: internal error: ${error?.message ?? error}`);
    if (json)
      console.log(JSON.stringify({ ok: false, error: failure ?? { message: String(error?.message ?? error) } }));
    return failure ? 2 : 70;
  }
}
