/**
 * Parts of shards in the cache: what is taken out of a shard, or fetched, is kept in one file for each part as long as the cache
 * has room, and made again when it is asked for after that.
 */
import { writeFileSync } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { elsewhere, trimCache } from "../../io/cache.ts";
import { explainRead, explainWrite, sweepTemporaries, systemCode, temporaryPath } from "../../io/index.ts";

/** Bytes that are written between two looks at the cache's size. */
const trimEvery = 1 << 30;

let writtenSinceTrim = 0;
let swept = false;

export class Segment {
  readonly #path: string;
  readonly #make: () => Promise<Buffer>;
  #making: Promise<Buffer> | undefined;

  /**
   * @param folder in the cache
   * @param name of the file there, with the key of its shard up to the first dot
   * @param make its bytes, always the same
   */
  constructor(folder: string, name: string, make: () => Promise<Buffer>) {
    this.#path = join(folder, name);
    this.#make = make;
  }

  /** A copy of some of its bytes, fewer where it ends. */
  async read(offset: number, length: number): Promise<Buffer> {
    return (await this.#stored(offset, length)) ?? (await this.#made()).subarray(offset, offset + length);
  }

  /** Keeps bytes that were made elsewhere. */
  keep(bytes: Uint8Array): Promise<void> {
    return store(this.#path, bytes);
  }

  /** Undefined when it is not in the cache. */
  async #stored(offset: number, length: number): Promise<Buffer | undefined> {
    let file: FileHandle | undefined;
    try {
      file = await open(this.#path);
      const bytes = Buffer.allocUnsafeSlow(length);
      let done = 0;
      while (done < length) {
        const { bytesRead } = await file.read(bytes, done, length - done, offset + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      return bytes.subarray(0, done);
    } catch (error) {
      if (systemCode(error) === "ENOENT") return undefined;
      throw explainRead(error, this.#path);
    } finally {
      await file?.close();
    }
  }

  /** Once for all who ask meanwhile. */
  #made(): Promise<Buffer> {
    this.#making ??= this.#make()
      .then(async (bytes) => {
        await store(this.#path, bytes);
        return bytes;
      })
      .finally(() => {
        this.#making = undefined;
      });
    return this.#making;
  }
}

async function store(path: string, bytes: Uint8Array): Promise<void> {
  const folder = join(path, "..");
  if (!swept) sweepTemporaries(folder);
  swept = true;
  const temporary = temporaryPath(folder, basename(path));
  try {
    writeFileSync(temporary, bytes);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw explainWrite(error, path, elsewhere);
  }
  writtenSinceTrim += bytes.length;
  if (writtenSinceTrim < trimEvery) return;
  writtenSinceTrim = 0;
  trimCache();
}
