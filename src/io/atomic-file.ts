/** Files that appear complete or not at all: temporary file, fsync, rename, fsync of the folder. */
import type { Hash } from "node:crypto";
import fs from "node:fs";
import { basename, dirname } from "node:path";
import { explainWrite, systemCode } from "./system-errors.ts";
import { temporaryPath } from "./temporary.ts";

export interface WriteOptions {
  /** The file need not survive a power failure, so nothing waits for the disk. */
  scratch?: boolean;
  /** Takes all that is written, so that the file need not be read again for its hash. */
  hash?: Hash;
}

/**
 * Writes one chunk, or several in order, to a temporary file beside `path` and renames it over `path`. On failure the temporary file is
 * removed and what was at `path` stays.
 * @throws UserError naming the file and the cause when the system refuses: a full disk, a missing folder, no permission
 */
export function writeFileAtomic(
  path: string,
  chunks: Uint8Array | string | Iterable<Uint8Array | string>,
  options: WriteOptions = {},
): void {
  const folder = dirname(path);
  const temporary = temporaryPath(folder, basename(path));
  let descriptor: number | undefined;
  try {
    descriptor = fs.openSync(temporary, "wx");
    const all = typeof chunks === "string" || ArrayBuffer.isView(chunks) ? [chunks] : chunks;
    for (const chunk of all) {
      options.hash?.update(chunk);
      writeAll(descriptor, typeof chunk === "string" ? Buffer.from(chunk) : chunk);
    }
    if (!options.scratch) fs.fsyncSync(descriptor);
    fs.closeSync(descriptor);
    descriptor = undefined;
    fs.renameSync(temporary, path);
    if (!options.scratch) syncFolder(folder);
  } catch (error) {
    closeQuietly(descriptor);
    fs.rmSync(temporary, { force: true });
    throw explainWrite(error, path);
  }
}

/** A disk that is full may say so again when the file is closed. */
function closeQuietly(descriptor: number | undefined): void {
  try {
    if (descriptor !== undefined) fs.closeSync(descriptor);
  } catch {
    // The first error says more.
  }
}

/** One call may write only part of a chunk. */
function writeAll(descriptor: number, chunk: Uint8Array): void {
  let done = 0;
  while (done < chunk.length) done += fs.writeSync(descriptor, chunk, done, Math.min(chunk.length - done, 1 << 30));
}

/** The rename itself reaches the disk with its folder; some file systems cannot sync a folder, and need not. */
export function syncFolder(folder: string): void {
  let descriptor: number | undefined;
  try {
    descriptor = fs.openSync(folder, "r");
    fs.fsyncSync(descriptor);
  } catch (error) {
    if (!["EINVAL", "EISDIR", "EPERM", "ENOTSUP"].includes(systemCode(error) ?? "")) throw error;
  } finally {
    if (descriptor !== undefined) fs.closeSync(descriptor);
  }
}
