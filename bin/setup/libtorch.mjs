/** Search for libtorch: the folder LIBTORCH, an installed Python torch, or a copy that is fetched. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { fetchLibtorch } from "./download.mjs";
import { SetupFailure } from "./failure.mjs";
import { sharedLibrary, testedVersion } from "./platform.mjs";
import { run } from "./processes.mjs";
import { megabytes, step } from "./progress.mjs";
import { lastLibtorch } from "./stamp.mjs";
import { unpack } from "./unpack.mjs";

/** @typedef {import("./stamp.mjs").Libtorch} Libtorch */

export function isTested(version) {
  return version.split(".").slice(0, 2).join(".") === testedVersion.split(".").slice(0, 2).join(".");
}

function definition(text, name) {
  return new RegExp(`#define ${name}\\s+(\\d+)`).exec(text)?.[1];
}

/** @returns {string | undefined} the version that the headers state */
export function headersVersion(folder) {
  const candidates = [
    "include/torch/headeronly/version.h",
    "include/torch/csrc/api/include/torch/version.h",
    "include/torch/version.h",
  ];
  for (const candidate of candidates) {
    const path = join(folder, candidate);
    if (!existsSync(path)) continue;
    const text = readFileSync(path, "utf8");
    const parts = ["MAJOR", "MINOR", "PATCH"].map((part) => definition(text, `TORCH_VERSION_${part}`));
    if (parts.every((part) => part !== undefined)) return parts.join(".");
  }
  return undefined;
}

const libraries = ["torch_cpu", "c10"].map((name) => `lib/${sharedLibrary(name)}`);

/** Files that a folder lacks to be a libtorch; undefined when it is complete. */
export function whatIsMissing(folder) {
  const needed = [...libraries, "include/ATen/ATen.h", "include/torch/csrc/api/include"];
  const missing = needed.filter((path) => !existsSync(join(folder, path)));
  if (missing.length === 0 && headersVersion(folder) === undefined) missing.push("include/torch/headeronly/version.h");
  return missing.length === 0 ? undefined : missing.join(", ");
}

/** @returns {Libtorch} */
function describe(folder, source) {
  return {
    path: folder,
    version: headersVersion(folder) ?? "unknown",
    source,
    cuda: existsSync(join(folder, "lib", sharedLibrary("torch_cuda"))),
  };
}

/** The folder that LIBTORCH names, or the libtorch right inside it. */
export function libtorchFolder(setting) {
  const folder = resolve(setting);
  const nested = [folder, join(folder, "libtorch"), join(folder, "torch")];
  return nested.find((candidate) => whatIsMissing(candidate) === undefined) ?? folder;
}

function fromVariable(setting) {
  const folder = libtorchFolder(setting);
  const missing = whatIsMissing(folder);
  if (missing === undefined) return describe(folder, "LIBTORCH");
  throw new SetupFailure(`LIBTORCH does not name a libtorch: ${folder} has no ${missing}`, {
    lookedFor: `a folder with ${libraries[0]} and include/ATen/ATen.h`,
    where: folder,
    command: "unset LIBTORCH && npx hub-pathway setup",
  });
}

/** Finds the package without importing it; the working folder is no place to look for it. */
const findSpec = `
import importlib.util, sys
sys.path = [entry for entry in sys.path if entry]
spec = importlib.util.find_spec("torch")
for folder in (spec.submodule_search_locations if spec else None) or []:
    print(folder)
`;

/** @returns {Promise<Libtorch | undefined>} */
async function fromPython() {
  const { code, stdout } = await run("python3", ["-c", findSpec]);
  if (code !== 0) return undefined;
  const folder = stdout.split("\n").find((line) => line !== "" && whatIsMissing(line) === undefined);
  return folder === undefined ? undefined : describe(folder, "Python");
}

const companions =
  /lib(cuda|cudart|cublas|cudnn|cufft|cupti|cusparse|cusolver|curand|nccl|nvrtc|nvToolsExt|nvshmem|cufile)/i;

/** Libraries that keep libtorch_cpu from loading, as far as the dynamic linker can say; undefined when none do. */
async function whyItCannotLoad(libtorch) {
  const { code, stdout } = await run("ldd", [join(libtorch.path, libraries[0])]);
  if (code !== 0) return undefined;
  const missing = [...stdout.matchAll(/^\s*(\S+) => not found/gm)].map((match) => match[1]);
  if (missing.length === 0) return undefined;
  const cuda = missing.some((name) => companions.test(name)) || libtorch.cuda;
  return { missing, cuda };
}

/** @throws SetupFailure when libraries that it links to are missing */
async function assertLoads(libtorch) {
  const problem = await whyItCannotLoad(libtorch);
  if (problem === undefined) return;
  const { missing, cuda } = problem;
  const reason = cuda
    ? "it is a CUDA build without its companion libraries, and a machine without them needs the CPU build"
    : "libraries that it links to are not on this machine";
  throw new SetupFailure(`libtorch_cpu of ${libtorch.path} does not load: ${reason}`, {
    lookedFor: missing.join(", "),
    where: "the dynamic linker's folders (`ldd` lists them)",
    command: cuda
      ? "unset LIBTORCH LIBTORCH_ARCHIVE && npx hub-pathway setup (fetches the build for the processor alone)"
      : `LIBTORCH=/folder/of/libtorch-${testedVersion} npx hub-pathway setup`,
  });
}

/** The libtorch of the last set-up, when it is still what it was. */
function fromLastTime(root) {
  const last = lastLibtorch(root);
  if (last === undefined || whatIsMissing(last.path) !== undefined) return undefined;
  return headersVersion(last.path) === last.version ? last : undefined;
}

/** Folder of a fetched libtorch. */
export function localFolder(root) {
  return join(root, ".libtorch", "torch");
}

function bytesOf(folder) {
  return readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
}

/**
 * Fetches libtorch into our own folder.
 * @param {Promise<void>} packages npm's packages, one of which unpacks
 * @param {(libtorch: Libtorch, arrived: Promise<void>) => Promise<Libtorch>} use gets it when its headers are there
 */
async function fetched(root, packages, use) {
  const target = localFolder(root);
  const fetching = join(root, ".libtorch", "fetching");
  for (const folder of [target, fetching]) rmSync(folder, { recursive: true, force: true });
  mkdirSync(fetching, { recursive: true });
  let detail = "";
  const fetch = () =>
    fetchLibtorch(root, fetching, (text) => {
      detail = text;
    });
  try {
    const arrival = step(`libtorch ${testedVersion}`, fetch, { detail: () => detail, done: basename });
    const [archive] = await Promise.all([arrival, packages]);
    const { cuda, headers, libraries } = await unpack(root, archive, target);
    const unpacked = step("libraries", () => libraries, {
      detail: () => "unpacking",
      done: () => `${megabytes(bytesOf(join(target, "lib")))} in ${target}`,
    });
    unpacked.catch(() => {});
    await headers;
    const libtorch = await use({ ...describe(target, "download"), cuda }, unpacked);
    await unpacked;
    return libtorch;
  } finally {
    rmSync(fetching, { recursive: true, force: true });
  }
}

/**
 * Tries the places in order until `accept` takes a libtorch. A LIBTORCH that fails ends the search; a Python torch or a
 * copy of ours that fails leads on to the next place.
 * @param {string} root
 * @param {(libtorch: Libtorch, loads: Promise<void>) => Promise<void>} accept builds and loads the addon; throws when that
 *   does not work. Headers are there; `loads` tells when the libraries are, and throws when they miss others
 * @param {{ again: boolean, packages: Promise<void> }} options `again`: look everywhere, also when the last set-up's
 *   libtorch is still there; `packages`: npm's, which may still be on their way
 * @returns {Promise<Libtorch>}
 */
export async function findLibtorch(root, accept, { again, packages }) {
  const use = async (libtorch, arrived) => {
    await packages;
    const loads = Promise.resolve(arrived).then(() => assertLoads(libtorch));
    loads.catch(() => {});
    if (arrived === undefined) await loads;
    await accept(libtorch, loads);
    return libtorch;
  };
  if (process.env.LIBTORCH) return use(fromVariable(process.env.LIBTORCH));
  const last = again ? undefined : fromLastTime(root);
  if (last) return use(last);
  const ours = localFolder(root);
  const places = [await fromPython(), whatIsMissing(ours) === undefined ? describe(ours, "download") : undefined];
  const found = places.filter((place) => place !== undefined);
  const rejected = [];
  // The tested version goes first; another one is tried before anything is fetched.
  for (const libtorch of found.sort((a, b) => Number(isTested(b.version)) - Number(isTested(a.version)))) {
    try {
      return await use(libtorch);
    } catch (error) {
      if (!(error instanceof SetupFailure) || error.final) throw error;
      // The version that would be fetched is already there, and fails.
      if (libtorch.source === "download" && isTested(libtorch.version) && !libtorch.cuda) throw error;
      rejected.push(`torch ${libtorch.version} (${error.message})`);
    }
  }
  try {
    return await fetched(root, packages, use);
  } catch (error) {
    if (!(error instanceof SetupFailure) || rejected.length === 0) throw error;
    throw new SetupFailure(`${error.message}\n  and what is installed does not serve: ${rejected.join("; ")}`, error);
  }
}
