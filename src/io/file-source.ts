/** Files that are read in pieces into fresh memory. Nothing stays open between pieces, and a change in between is noticed. */
import type { FileHandle } from "node:fs/promises";
import { UserError } from "../torch/index.ts";
import { openRegularHandle } from "./regular-file.ts";
import { explainRead } from "./system-errors.ts";

/** Bytes a file is read in at a time. */
const pieceSize = 1 << 22;

interface Identity {
  readonly dev: number;
  readonly ino: number;
  readonly size: number;
  readonly mtimeMs: number;
}

/** One version of a file: a later read refuses another one. */
export class FileSource {
  readonly path: string;
  readonly #identity: Identity;

  constructor(path: string, identity: Identity) {
    this.path = path;
    this.#identity = identity;
  }

  /**
   * The file as it is now.
   * @throws UserError when there is none, or it is a folder, a pipe or a device
   */
  static async of(path: string): Promise<FileSource> {
    const handle = await openRegularHandle(path);
    try {
      return new FileSource(path, await handle.stat());
    } finally {
      await handle.close();
    }
  }

  get size(): number {
    return this.#identity.size;
  }

  /**
   * Opens the file; the caller closes it.
   * @throws UserError when it is gone or has changed
   */
  async open(): Promise<FileHandle> {
    let handle: FileHandle | undefined;
    try {
      handle = await openRegularHandle(this.path);
      if (!sameFile(this.#identity, await handle.stat())) throw changed(this.path);
      return handle;
    } catch (error) {
      await handle?.close();
      throw explainRead(error, this.path);
    }
  }

  /** Fills the buffer from the file. */
  async fill(handle: FileHandle, buffer: Buffer, position: number): Promise<void> {
    let done = 0;
    while (done < buffer.length) {
      const { bytesRead } = await handle
        .read(buffer, done, buffer.length - done, position + done)
        .catch((error: unknown) => {
          throw explainRead(error, this.path);
        });
      if (bytesRead === 0) throw changed(this.path);
      done += bytesRead;
    }
  }

  /** A copy of part of the file, which must lie inside it. */
  async bytes(position: number, length: number): Promise<Buffer> {
    const handle = await this.open();
    try {
      const buffer = Buffer.allocUnsafeSlow(length);
      await this.fill(handle, buffer, position);
      return buffer;
    } finally {
      await handle.close();
    }
  }

  /** Part of the file in pieces, all but the last of 4 MiB; each is valid until the next is asked for. */
  async *pieces(position: number, length: number): AsyncGenerator<Buffer> {
    const handle = await this.open();
    try {
      const buffer = Buffer.allocUnsafeSlow(Math.min(length, pieceSize));
      for (let done = 0; done < length; done += pieceSize) {
        const piece = buffer.subarray(0, Math.min(length - done, pieceSize));
        await this.fill(handle, piece, position + done);
        yield piece;
      }
    } finally {
      await handle.close();
    }
  }
}

export function sameFile(a: Identity, b: Identity): boolean {
  return a.dev === b.dev && a.ino === b.ino && a.size === b.size && a.mtimeMs === b.mtimeMs;
}

export function changed(path: string): UserError {
  return new UserError(`${path} changed while it was read: is something writing to it? Try again when it is complete`);
}
