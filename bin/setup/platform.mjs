/** Differences between machines: names of libraries, addresses of libtorch's archives, tested systems. */
import { SetupFailure } from "./failure.mjs";

/** The version that is tested, and that is fetched. */
export const testedVersion = "2.13.0";

export const platform = `${process.platform}-${process.arch}`;

/**
 * Archives of libtorch for processors without a GPU's libraries, as PyTorch publishes them; their hashes are those of
 * three other projects that state them too. Elsewhere the Python package holds the same libraries.
 */
const archives = {
  "linux-x64": {
    address: `https://download.pytorch.org/libtorch/cpu/libtorch-shared-with-deps-${testedVersion}%2Bcpu.zip`,
    sha256: "edbf4cbed78433d803e90a65f1752e57783d164bce66c95c0872b2ab8f5c159e",
  },
  "darwin-arm64": {
    address: `https://download.pytorch.org/libtorch/cpu/libtorch-macos-arm64-${testedVersion}.zip`,
    sha256: "1e10c6c4dc2764150c9fb2ad28e1889191302734e7f939108e5d2f22f21a06f8",
  },
};

/** Every test has run on the first; libtorch exists for the others, and nothing in the sources is known to fail there. */
const systems = ["linux-x64", "linux-arm64", "darwin-arm64"];
export const isTried = platform === systems[0];

/** The archive to fetch: the user's own with the hash that is stated for it, or this machine's; undefined if there is none. */
export function libtorchArchive(env = process.env) {
  const known = archives[platform];
  if (!env.LIBTORCH_ARCHIVE && !known) return undefined;
  return { address: env.LIBTORCH_ARCHIVE || known.address, sha256: env.LIBTORCH_SHA256 || known?.sha256 };
}

/** The file of a shared library, as the linker names it on this system. */
export function sharedLibrary(name) {
  return `lib${name}.${process.platform === "darwin" ? "dylib" : "so"}`;
}

function hasGlibc() {
  if (process.platform !== "linux") return true;
  process.report.excludeNetwork = true;
  return process.report.getReport().header.glibcVersionRuntime !== undefined;
}

/** @throws SetupFailure on a system that libtorch is not made for */
export function checkPlatform() {
  const glibc = hasGlibc();
  if (systems.includes(platform) && glibc) return;
  const here = glibc ? `${process.platform} ${process.arch}` : `${process.platform} ${process.arch} without glibc`;
  throw new SetupFailure(`hub-pathway does not run on ${here}: there is no libtorch ${testedVersion} for it`, {
    lookedFor: "Linux with glibc (x64, or untried: arm64), or macOS on arm64 (untried)",
    where: "this machine",
    command: "npx hub-pathway setup, on such a system: a virtual machine, WSL or a container such as node:20",
  });
}
