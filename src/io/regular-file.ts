/** Opening of regular files only: a pipe would wait for a writer, and a device may never end. */
import fs from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { UserError } from "../torch/index.ts";
import { explainRead } from "./system-errors.ts";

export interface OpenRegularOptions {
  /** True when the path's last part may be a symbolic link (default true). */
  links?: boolean | undefined;
}

/** Without blocking: a pipe may take the file's place between the look at it and the opening. */
const readOnly = fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0);
const noLinks = fs.constants.O_NOFOLLOW ?? 0;

/**
 * Opens a regular file for reading; the caller closes the descriptor.
 * @throws UserError naming the file when it is missing, may not be read, or is a folder, a pipe, a device or a socket
 */
export function openRegular(path: string, options: OpenRegularOptions = {}): number {
  let descriptor: number | undefined;
  try {
    refuseOthers(options.links === false ? fs.lstatSync(path) : fs.statSync(path), path);
    descriptor = fs.openSync(path, flags(options));
    refuseOthers(fs.fstatSync(descriptor), path);
    return descriptor;
  } catch (error) {
    if (descriptor !== undefined) fs.closeSync(descriptor);
    throw explainRead(error, path);
  }
}

/** The same as `openRegular`, without waiting for the disk on the main thread. */
export async function openRegularHandle(path: string): Promise<FileHandle> {
  let handle: FileHandle | undefined;
  try {
    refuseOthers(await stat(path), path);
    handle = await open(path, readOnly);
    refuseOthers(await handle.stat(), path);
    return handle;
  } catch (error) {
    await handle?.close();
    throw explainRead(error, path);
  }
}

export interface ReadRegularOptions extends OpenRegularOptions {
  /** Most bytes that the file may have. */
  maximumBytes: number;
  /** Kind of the file in the message, such as "a hub's manifest". */
  what?: string | undefined;
}

/**
 * The content of a regular file.
 * @throws UserError as `openRegular`, and when the file is larger than the maximum
 */
export function readRegular(path: string, options: ReadRegularOptions): Buffer {
  const descriptor = openRegular(path, options);
  try {
    const { size } = fs.fstatSync(descriptor);
    if (size > options.maximumBytes) {
      const { maximumBytes, what = "such a file" } = options;
      throw new UserError(`${path} has ${size} bytes, too many for ${what} (at most ${maximumBytes})`);
    }
    return fs.readFileSync(descriptor);
  } catch (error) {
    throw explainRead(error, path);
  } finally {
    fs.closeSync(descriptor);
  }
}

/** One for all files: a buffer for each would wait for the garbage collector. */
let buffer: Buffer | undefined;

/**
 * The bytes of a regular file in pieces of up to 4 MiB, each valid until any next one is asked for.
 * @throws UserError as `openRegular`
 */
export function* piecesOf(path: string): Generator<Uint8Array, void, undefined> {
  const descriptor = openRegular(path);
  try {
    buffer ??= Buffer.allocUnsafeSlow(4 << 20);
    for (;;) {
      const count = fs.readSync(descriptor, buffer, 0, buffer.length, null);
      if (count === 0) return;
      yield buffer.subarray(0, count);
    }
  } catch (error) {
    throw explainRead(error, path);
  } finally {
    fs.closeSync(descriptor);
  }
}

function flags({ links }: OpenRegularOptions): number {
  return links === false ? readOnly | noLinks : readOnly;
}

/** @throws UserError saying what is there instead of a regular file */
function refuseOthers(stat: fs.Stats, path: string): void {
  if (!stat.isFile()) throw new UserError(`${path} is not a file but ${kindOf(stat)}: give the path of a file`);
}

/** The kind of thing that a path leads to, with its article. */
export function kindOf(stat: fs.Stats): string {
  if (stat.isDirectory()) return "a folder";
  if (stat.isSymbolicLink()) return "a symbolic link";
  if (stat.isFIFO()) return "a pipe";
  if (stat.isSocket()) return "a socket";
  if (stat.isCharacterDevice() || stat.isBlockDevice()) return "a device";
  return stat.isFile() ? "a file" : "something else";
}
