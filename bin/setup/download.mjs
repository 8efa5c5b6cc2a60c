/**
 * Download of libtorch built for the processor alone: its own archive, or by pip the Python package that holds it. It cannot
 * use src/fetch: setup runs before npm's packages are there and before anything can read TypeScript. One file of a known
 * hash, which pip can bring as well, needs no resuming.
 */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { SetupFailure } from "./failure.mjs";
import { libtorchArchive, testedVersion } from "./platform.mjs";
import { privateCache, run, stopping, tail, withoutNpmSettings } from "./processes.mjs";
import { megabytes, note } from "./progress.mjs";
import { checkPip } from "./toolchain.mjs";

/** Longest silence of a server. */
const stallMilliseconds = 60_000;

/** Wheels for these Pythons hold the same libtorch; they are asked for when there is none for the one at hand. */
const otherPythons = ["3.12", "3.11", "3.13", "3.10", "3.14"];

/** Reading a URL or a file, with the number of its bytes if that is known. */
async function openAddress(address, quiet) {
  if (!/^https?:/.test(address)) return { bytes: statSync(address).size, body: createReadStream(address) };
  const response = await fetch(address, { signal: AbortSignal.any([stopping.signal, quiet.signal]) });
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
  return { body: Readable.fromWeb(response.body), bytes: Number(response.headers.get("content-length")) || undefined };
}

/** Copies to a file and returns its hash. */
async function receive(address, path, onBytes) {
  const quiet = new AbortController();
  const stall = setTimeout(() => quiet.abort(new Error("the server does not answer")), stallMilliseconds);
  const hash = createHash("sha256");
  let received = 0;
  const counting = new Transform({
    transform(chunk, _encoding, done) {
      stall.refresh();
      hash.update(chunk);
      received += chunk.length;
      onBytes(received);
      done(null, chunk);
    },
  });
  try {
    const { body, bytes } = await openAddress(address, quiet);
    await pipeline(body, counting, createWriteStream(path), { signal: quiet.signal });
    if (bytes !== undefined && received !== bytes) throw new Error(`it ended after ${received} of ${bytes} bytes`);
    return hash.digest("hex");
  } finally {
    clearTimeout(stall);
  }
}

/** The innermost reason: fetch wraps those of the network. */
const reasonOf = (error) => (error.cause?.message ? reasonOf(error.cause) : error.message);

/**
 * libtorch's own archive.
 * @returns {Promise<{ path?: string, reason?: string }>} the file, or why it cannot be had
 * @throws SetupFailure when it is not the file that its hash says
 */
async function fetchArchive(folder, onBytes) {
  const archive = libtorchArchive();
  if (archive === undefined) return { reason: "there is none for this machine" };
  const path = join(folder, "libtorch.zip");
  let sha256;
  try {
    sha256 = await receive(archive.address, path, onBytes);
  } catch (error) {
    if (error.code === "ENOSPC") throw error;
    return { reason: reasonOf(error) };
  }
  if (sha256 === archive.sha256) return { path };
  throw new SetupFailure(`${archive.address} is not the libtorch that is expected: its sha256 is ${sha256}`, {
    lookedFor: `sha256 ${archive.sha256}`,
    where: archive.address,
    command: process.env.LIBTORCH_ARCHIVE
      ? `LIBTORCH_SHA256=${sha256} npx hub-pathway setup, if this is the file that you mean`
      : "npx hub-pathway setup, behind no proxy that changes downloads",
  });
}

function sizeOf(folder) {
  try {
    return readdirSync(folder, { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile())
      .reduce((sum, entry) => sum + statSync(join(entry.parentPath ?? entry.path, entry.name)).size, 0);
  } catch {
    return 0; // Files come and go while pip works; the next look counts again.
  }
}

/** Asks pip for one requirement; the output says what it answered. */
async function askPip(folder, requirement, more) {
  const temporary = join(folder, "tmp");
  mkdirSync(temporary, { recursive: true });
  const options = ["--no-deps", "--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--retries", "2"];
  const args = ["-m", "pip", "download", ...options, "--only-binary=:all:", "--dest", folder, ...more, requirement];
  const env = { ...withoutNpmSettings(), ...privateCache("PIP_CACHE_DIR", folder), TMPDIR: temporary };
  return run("python3", args, { env });
}

const noNetwork = /Retrying|Max retries|Connection|Temporary failure|timed out/i;

/** The wheel, in its build for the processor alone if pip's sources name it, for this Python or another. */
async function fetchWheel(folder) {
  await checkPip();
  const outputs = [];
  for (const requirement of [`torch==${testedVersion}+cpu`, `torch==${testedVersion}`]) {
    for (const python of [undefined, ...otherPythons]) {
      const more = python === undefined ? [] : ["--python-version", python, "--implementation", "cp"];
      const { code, output } = await askPip(folder, requirement, more);
      const wheel = code === 0 && readdirSync(folder).find((name) => name.endsWith(".whl"));
      if (wheel) return { path: join(folder, wheel) };
      outputs.push(output);
      if (!/No matching distribution/.test(output)) return { output };
      // It has this version for this Python, but not that build of it.
      const versions = /from versions: ([^)]*)/.exec(output)?.[1].split(", ") ?? [];
      if (noNetwork.test(output) || versions.includes(testedVersion)) break;
    }
  }
  return { output: outputs.at(-1) ?? "" };
}

function pipFailure(root, output, archiveReason) {
  const errors = output.split("\n").filter((line) => /^\s*ERROR|No space left/i.test(line));
  const said = tail(errors.length > 0 ? errors.join("\n") : output, 3);
  if (/No space left/i.test(output)) {
    return new SetupFailure(`the disk is full: libtorch takes about 1 GB\n${said}`, {
      lookedFor: `libtorch ${testedVersion}`,
      where: join(root, ".libtorch"),
      command: `df -h ${root}, free some space, then npx hub-pathway setup`,
    });
  }
  const unreachable = noNetwork.test(output) ? ", its sources do not answer" : "";
  const archive = libtorchArchive()?.address ?? "libtorch's own archive";
  return new SetupFailure(`libtorch cannot be had: ${archive} (${archiveReason}), and pip${unreachable}:\n${said}`, {
    lookedFor: `libtorch ${testedVersion} for the processor alone, or the Python package torch==${testedVersion}+cpu`,
    where: "that address, and pip's sources, which `python3 -m pip config list` names",
    command: `LIBTORCH=/folder/of/libtorch-${testedVersion} npx hub-pathway setup (or LIBTORCH_ARCHIVE=/file/or/address)`,
  });
}

/**
 * Fetches an archive that holds libtorch.
 * @param {string} root
 * @param {string} folder empty, for the archive
 * @param {(text: string) => void} onProgress
 * @returns {Promise<string>} path of the archive
 */
export async function fetchLibtorch(root, folder, onProgress) {
  const archive = await fetchArchive(folder, (bytes) => onProgress(`${megabytes(bytes)} so far`));
  if (archive.path) return archive.path;
  rmSync(join(folder, "libtorch.zip"), { force: true });
  note(`libtorch's own archive cannot be had (${archive.reason}): asking pip`);
  const watch = setInterval(() => {
    const bytes = existsSync(folder) ? sizeOf(folder) : 0;
    onProgress(bytes === 0 ? "pip is asking its sources" : `pip is downloading, ${megabytes(bytes)} so far`);
  }, 1000);
  try {
    const wheel = await fetchWheel(folder);
    if (wheel.path) return wheel.path;
    throw pipFailure(root, wheel.output, archive.reason);
  } finally {
    clearInterval(watch);
  }
}
