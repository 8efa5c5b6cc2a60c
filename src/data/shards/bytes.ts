/** Bytes of one file, here or elsewhere, that are read in parts. */
import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { FileSource } from "../../io/file-source.ts";
import { stampOf } from "../content-hash.ts";
import type { Bytes } from "../types.ts";

/**
 * A file on this machine as it is now.
 * @throws UserError when there is none, or it is a folder, a pipe or a device
 */
export async function localBytes(path: string): Promise<Bytes> {
  const file = await FileSource.of(path);
  return {
    name: path,
    size: file.size,
    version: `${path} ${stampOf(await stat(path, { bigint: true }))}`,
    read: (offset, length) => file.bytes(offset, length),
  };
}

const windowBytes = 4 << 20;

/** Bytes that are read from front to back in small parts: a window of them is held. */
export class Window {
  readonly #bytes: Bytes;
  #from = 0;
  #held: Buffer = Buffer.alloc(0);

  constructor(bytes: Bytes) {
    this.#bytes = bytes;
  }

  /** Up to so many bytes, fewer at the end; valid until the next call. */
  async read(offset: number, length: number): Promise<Buffer> {
    const end = Math.min(offset + length, this.#bytes.size);
    if (offset < this.#from || end > this.#from + this.#held.length) {
      const wanted = Math.min(Math.max(length, windowBytes), Math.max(0, this.#bytes.size - offset));
      this.#held = await this.#bytes.read(offset, wanted);
      this.#from = offset;
    }
    return this.#held.subarray(offset - this.#from, Math.max(0, end - this.#from));
  }

  /** SHA-256 of a part, as hexadecimal digits. */
  async sha256(offset: number, length: number): Promise<string> {
    const hash = createHash("sha256");
    for (let done = 0; done < length; ) {
      const piece = await this.read(offset + done, Math.min(windowBytes, length - done));
      if (piece.length === 0) throw new RangeError("a part that is not there");
      hash.update(piece);
      done += piece.length;
    }
    return hash.digest("hex");
  }
}
