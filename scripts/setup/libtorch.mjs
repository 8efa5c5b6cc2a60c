/** Where libtorch is: the folder LIBTORCH, an installed Python torch, or our own copy that pip downloads. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { downloadLibtorch, localFolder } from "./download.mjs";
import { SetupFailure } from "./failure.mjs";
import { run } from "./processes.mjs";
import { lastLibtorch } from "./stamp.mjs";

/** The version that is tested, and that pip is asked for. */
export const testedVersion = "2.13.0";

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

/** What a folder lacks to be a libtorch; undefined when it is one. */
export function whatIsMissing(folder) {
  const needed = ["lib/libtorch_cpu.so", "lib/libc10.so", "include/ATen/ATen.h", "include/torch/csrc/api/include"];
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
    cuda: existsSync(join(folder, "lib", "libtorch_cuda.so")),
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
    lookedFor: "a folder with lib/libtorch_cpu.so and include/ATen/ATen.h",
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

/** What keeps libtorch_cpu from loading, as far as the dynamic linker can say; undefined when nothing does. */
export async function whyItCannotLoad(libtorch) {
  const { code, stdout } = await run("ldd", [join(libtorch.path, "lib", "libtorch_cpu.so")]);
  if (code !== 0) return undefined;
  const missing = [...stdout.matchAll(/^\s*(\S+) => not found/gm)].map((match) => match[1]);
  if (missing.length === 0) return undefined;
  const cuda = missing.some((name) => companions.test(name)) || libtorch.cuda;
  return { missing, cuda };
}

function cannotLoad(libtorch, { missing, cuda }) {
  const reason = cuda
    ? "it is a CUDA build without its companion libraries, and a machine without them needs the CPU build"
    : "libraries that it links to are not on this machine";
  return new SetupFailure(`libtorch_cpu of ${libtorch.path} does not load: ${reason}`, {
    lookedFor: missing.join(", "),
    where: "the dynamic linker's folders (`ldd` lists them)",
    command: cuda
      ? `python3 -m pip install torch==${testedVersion} (with the options that PyTorch's "Get started" page gives for CPU), then npx hub-pathway setup`
      : `LIBTORCH=/folder/of/libtorch-${testedVersion} npx hub-pathway setup`,
  });
}

/** The libtorch of the last set-up, when it is still what it was. */
function fromLastTime(root) {
  const last = lastLibtorch(root);
  if (last === undefined || whatIsMissing(last.path) !== undefined) return undefined;
  return headersVersion(last.path) === last.version ? last : undefined;
}

/**
 * Tries the places in order until `accept` takes a libtorch. A LIBTORCH that fails ends the search; a Python torch or a
 * copy of ours that fails leads on to the next place.
 * @param {string} root
 * @param {(libtorch: Libtorch) => Promise<void>} accept builds and loads the addon; throws when that does not work
 * @param {{ again?: boolean }} options `again`: look everywhere, also when the last set-up's libtorch is still there
 * @returns {Promise<Libtorch>}
 */
export async function findLibtorch(root, accept, { again = false } = {}) {
  const use = async (libtorch) => {
    const problem = await whyItCannotLoad(libtorch);
    if (problem) throw cannotLoad(libtorch, problem);
    await accept(libtorch);
    return libtorch;
  };
  if (process.env.LIBTORCH) return use(fromVariable(process.env.LIBTORCH));
  const last = again ? undefined : fromLastTime(root);
  if (last) return use(last);
  const rejected = [];
  const ours = localFolder(root);
  const python = await fromPython();
  const places = [python, whatIsMissing(ours) === undefined ? describe(ours, "download") : undefined];
  // An exact version goes first; another one is tried before anything is downloaded.
  const found = places.filter((place) => place !== undefined);
  for (const libtorch of found.sort((a, b) => Number(isTested(b.version)) - Number(isTested(a.version)))) {
    try {
      return await use(libtorch);
    } catch (error) {
      if (!(error instanceof SetupFailure) || error.final) throw error;
      rejected.push({ libtorch, error });
    }
  }
  const failedExact = rejected.find(({ libtorch }) => libtorch.source === "download" && isTested(libtorch.version));
  if (failedExact) throw failedExact.error;
  return use(await download(root, rejected));
}

async function download(root, rejected) {
  try {
    await downloadLibtorch(root, testedVersion);
  } catch (error) {
    if (!(error instanceof SetupFailure) || rejected.length === 0) throw error;
    const reasons = rejected.map(({ libtorch, error: reason }) => `torch ${libtorch.version} (${reason.message})`);
    throw new SetupFailure(`${error.message}\n  and what is installed does not serve: ${reasons.join("; ")}`, error);
  }
  const folder = localFolder(root);
  const missing = whatIsMissing(folder);
  if (missing === undefined) return describe(folder, "download");
  throw new SetupFailure(`the torch that pip installed is not complete: ${folder} has no ${missing}`, {
    lookedFor: missing,
    where: folder,
    command: `rm -rf ${join(root, ".libtorch")} && npx hub-pathway setup`,
  });
}
