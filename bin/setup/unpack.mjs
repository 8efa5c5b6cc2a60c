/** Takes libtorch out of its archive or out of a Python wheel: headers first, so that compiling need not wait. */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, mkdirSync, readSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setImmediate as turn } from "node:timers/promises";
import { createInflateRaw, inflateRawSync } from "node:zlib";
import { SetupFailure } from "./failure.mjs";

const deflated = 8;
/** Files up to this size are read at once. */
const small = 1 << 22;

/** @typedef {{ name: string, size: number, compressed: number, method: number, header: number }} Entry */

/** @returns {Promise<Entry[]>} files of a ZIP archive, whose names stay inside the folder they are unpacked to */
async function entriesOf(root, path) {
  // Installed with the other packages, which come first.
  const yauzl = createRequire(join(root, "package.json"))("yauzl");
  const archive = await yauzl.openPromise(path);
  const entries = [];
  for await (const entry of archive.eachEntry()) {
    entries.push({
      name: entry.fileName,
      size: entry.uncompressedSize,
      compressed: entry.compressedSize,
      method: entry.compressionMethod,
      header: entry.relativeOffsetOfLocalHeader,
    });
  }
  return entries.filter(({ name }) => !name.endsWith("/"));
}

/** Offset of a file's first byte: behind a header with a name and further fields. */
function startOf(fd, entry) {
  const header = Buffer.alloc(30);
  readSync(fd, header, 0, header.length, entry.header);
  return entry.header + header.length + header.readUInt16LE(26) + header.readUInt16LE(28);
}

function readSmall(fd, entry) {
  const data = Buffer.alloc(entry.compressed);
  readSync(fd, data, 0, data.length, startOf(fd, entry));
  return entry.method === deflated ? inflateRawSync(data) : data;
}

/** @returns {Promise<string>} the file's hash */
async function writeLarge(handle, path, entry, target) {
  const start = startOf(handle.fd, entry);
  const hash = createHash("sha256");
  const hashing = new Transform({
    transform(chunk, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  const raw = createReadStream(path, { start, end: start + entry.compressed - 1, highWaterMark: 1 << 20 });
  const inflate = entry.method === deflated ? [createInflateRaw({ chunkSize: 1 << 20 })] : [];
  await pipeline(raw, ...inflate, hashing, createWriteStream(target));
  return hash.digest("base64url");
}

/** Hashes that a wheel states for its files; an archive has none, since it is verified as a whole. */
function statedHashes(fd, entries) {
  const record = entries.find(({ name }) => /^[^/]+\.dist-info\/RECORD$/.test(name));
  if (record === undefined) return new Map();
  const lines = readSmall(fd, record).toString("utf8").split("\n");
  return new Map(lines.map((line) => /^(.*),sha256=([\w-]+),\d*\s*$/.exec(line)?.slice(1) ?? []));
}

/** The folder inside the archive that is a libtorch, with a slash; undefined when there is none. */
function libtorchIn(entries) {
  const marks = /^((?:[^/]+\/)?)lib\/libc10\.(?:so|dylib)$/;
  return entries.map(({ name }) => marks.exec(name)?.[1]).find((prefix) => prefix !== undefined);
}

/** An open archive whose files are written below one folder. */
class Unpacking {
  constructor(path, target, prefix, entries, handle) {
    Object.assign(this, { path, target, prefix, entries, handle });
    this.hashes = statedHashes(handle.fd, entries);
  }

  inside(folder) {
    return this.entries.filter(({ name }) => name.startsWith(`${this.prefix}${folder}/`));
  }

  async write(entry, folder = this.target, prefix = this.prefix) {
    const file = join(folder, entry.name.slice(prefix.length));
    mkdirSync(dirname(file), { recursive: true });
    const stated = this.hashes.get(entry.name);
    let hash = stated;
    if (entry.size > small) hash = await writeLarge(this.handle, this.path, entry, file);
    else {
      const data = readSmall(this.handle.fd, entry);
      if (stated !== undefined) hash = createHash("sha256").update(data).digest("base64url");
      writeFileSync(file, data);
    }
    if (hash !== stated && stated !== undefined) throw new Error(`${entry.name} is not what the wheel's RECORD says`);
  }

  async headers() {
    let count = 0;
    for (const entry of this.inside("include")) {
      await this.write(entry);
      if (++count % 100 === 0) await turn();
    }
  }

  /** All or none: their folder gets its name at the end. */
  async libraries() {
    // Python's own part of libtorch needs Python's symbols.
    const entries = this.inside("lib").filter(({ name }) => !name.includes("torch_python"));
    const draft = join(this.target, "lib.partial");
    rmSync(draft, { recursive: true, force: true });
    await Promise.all(entries.map((entry) => this.write(entry, draft, `${this.prefix}lib/`)));
    renameSync(draft, join(this.target, "lib"));
  }
}

/** A full disk is what it is; everything else that goes wrong here is the archive's fault. */
function explained(path, error) {
  if (error.syscall !== undefined) return error;
  return new SetupFailure(`${path} cannot be unpacked: ${error.message}`, {
    lookedFor: "an archive or a wheel of libtorch",
    where: path,
    command: "npx hub-pathway setup --force",
  });
}

/**
 * Unpacks headers and, meanwhile or afterwards, libraries into a folder.
 * @param {string} root the package's folder
 * @param {string} path the archive
 * @param {string} target
 * @returns {Promise<{ cuda: boolean, headers: Promise<void>, libraries: Promise<void> }>} both are started, headers first
 * @throws SetupFailure when the archive is damaged or holds no libtorch; so do the two promises
 */
export async function unpack(root, path, target) {
  const failed = (error) => Promise.reject(explained(path, error));
  const entries = await entriesOf(root, path).catch(failed);
  const prefix = libtorchIn(entries);
  if (prefix === undefined) return failed(new Error("it holds no lib/libc10"));
  const handle = await open(path);
  const unpacking = new Unpacking(path, target, prefix, entries, handle);
  const headers = unpacking.headers().catch(failed);
  const libraries = headers.then(() => unpacking.libraries().catch(failed)).finally(() => handle.close());
  libraries.catch(() => {});
  return { cuda: entries.some(({ name }) => /\/libtorch_cuda\.so$/.test(name)), headers, libraries };
}
