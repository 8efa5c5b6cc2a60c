/** Files that appear complete or not at all: temporary file, fsync, rename, fsync of the folder. */
import { randomBytes } from "node:crypto";
import fs from "node:fs";
import { basename, dirname, join } from "node:path";
import { UserError } from "../torch/errors.ts";

export interface WriteOptions {
  /** The file need not survive a power failure, so nothing waits for the disk. */
  scratch?: boolean;
}

/**
 * Writes one chunk, or several in order, to a temporary file beside `path` and renames it over `path`. On failure the temporary file is
 * removed and what was at `path` stays.
 * @throws UserError when the disk is full, or the folder is missing or not writable
 */
export function writeFileAtomic(
  path: string,
  chunks: Uint8Array | string | Iterable<Uint8Array | string>,
  options: WriteOptions = {},
): void {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${process.pid}.${randomBytes(4).toString("hex")}.tmp`);
  let descriptor: number | undefined;
  try {
    descriptor = fs.openSync(temporary, "wx");
    const all = typeof chunks === "string" || ArrayBuffer.isView(chunks) ? [chunks] : chunks;
    for (const chunk of all) writeAll(descriptor, typeof chunk === "string" ? Buffer.from(chunk) : chunk);
    if (!options.scratch) fs.fsyncSync(descriptor);
    fs.closeSync(descriptor);
    descriptor = undefined;
    fs.renameSync(temporary, path);
    if (!options.scratch) syncFolder(folder);
  } catch (error) {
    if (descriptor !== undefined) fs.closeSync(descriptor);
    fs.rmSync(temporary, { force: true });
    throw explained(error, path);
  }
}

/** One call may write only part of a chunk. */
function writeAll(descriptor: number, chunk: Uint8Array): void {
  let done = 0;
  while (done < chunk.length) done += fs.writeSync(descriptor, chunk, done, Math.min(chunk.length - done, 1 << 30));
}

/** The rename itself reaches the disk with its folder; some file systems cannot sync a folder, and need not. */
function syncFolder(folder: string): void {
  let descriptor: number | undefined;
  try {
    descriptor = fs.openSync(folder, "r");
    fs.fsyncSync(descriptor);
  } catch (error) {
    const code = codeOf(error);
    if (code !== "EINVAL" && code !== "EISDIR" && code !== "EPERM" && code !== "ENOTSUP") throw error;
  } finally {
    if (descriptor !== undefined) fs.closeSync(descriptor);
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code;
}

const reasons: Record<string, string> = {
  ENOSPC: "the disk is full: free some space, or choose another folder",
  EDQUOT: "the disk quota is used up: free some space, or choose another folder",
  EFBIG: "the file is larger than the system allows",
  ENOENT: "the folder does not exist: create it first",
  ENOTDIR: "part of the path is not a folder",
  EISDIR: "there is a folder of that name",
  EACCES: "no permission to write there",
  EPERM: "no permission to write there",
  EROFS: "the file system is read-only",
};

function explained(error: unknown, path: string): unknown {
  const reason = reasons[codeOf(error) ?? ""];
  return reason ? new UserError(`cannot write ${path}: ${reason}`, { cause: error }) : error;
}
