/**
 * Decoded images in the cache, once for each content: uint8 [rows, C, S, S], the prints of all rows, and an index that is
 * written last. The name is a hash of the contents, so that a set that moved, or whose files were renamed, is found again.
 */
import { createHash } from "node:crypto";
import fs from "node:fs";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import { cacheDirectory, elsewhere, ensureCacheDirectory, holdCached, trimCache } from "../io/cache.ts";
import { counted, explainWrite, readJsonFile, sweepTemporaries, temporaryPath, writeFileAtomic } from "../io/index.ts";
import { UserError } from "../torch/index.ts";
import { forEachConcurrently, type Watched } from "./concurrent.ts";
import { type DecodeOptions, decodeImage, UnreadableImage } from "./decode.ts";
import { type KnownRow, KnownRows, type KnownSet } from "./known-rows.ts";
import { nearDuplicateLeaders, nearDuplicatesVersion } from "./near-duplicates.ts";
import { PrintFile, printFileBytes, printOf, printOffsets, printShape, signatureOf } from "./prints.ts";
import type { Item } from "./types.ts";

/** Raised when what the files hold changes. */
export const decodedVersion = 4;

const indexSchema = z.object({
  /** The data set, for people. */
  about: z.string().default(""),
  /** A hash of how the images were decoded. */
  how: z.string().default(""),
  /** The content of each row. */
  contents: z.array(z.string()).default([]),
  /** Rows that cannot be decoded, each with the reason. */
  bad: z.array(z.tuple([z.int().nonnegative(), z.string()])),
});

export interface DecodedSetOptions extends Watched {
  decoding: DecodeOptions;
  /** Name of the data set. */
  name: string;
  /** True when pixels are kept, false for prints only. */
  pixels: boolean;
  /** Go on after an image that cannot be read. */
  skipBad: boolean;
}

export class DecodedSet {
  /** Map of the pixels, where they were asked for. */
  readonly path: string;
  readonly rows: number;
  readonly bad: ReadonlyMap<number, string>;
  readonly #size: number;

  private constructor(path: string, rows: number, size: number, bad: ReadonlyMap<number, string>) {
    this.path = path;
    this.rows = rows;
    this.bad = bad;
    this.#size = size;
  }

  /**
   * Opens the set of these contents, and decodes them when the cache does not hold them.
   * @param items one item of each content, in the order of the rows
   * @throws UnreadableImage for the first that cannot be read, unless such are to be left out; Interrupted after the signal;
   * UserError when the cache cannot be written
   */
  static async open(
    contents: readonly string[],
    items: readonly Item[],
    options: DecodedSetOptions,
  ): Promise<DecodedSet> {
    const { decoding } = options;
    const folder = ensureCacheDirectory("decoded");
    const path = pathOf(contents, decoding);
    holdCached(indexPath(path));
    const known = isComplete(path, items.length, options) ? readIndex(indexPath(path)) : undefined;
    if (known) return new DecodedSet(path, items.length, decoding.size, new Map(known.bad));
    sweepTemporaries(folder);
    const { bad } = await decodeAll(path, contents, items, options);
    holdCached(indexPath(path));
    trimCache();
    return new DecodedSet(path, items.length, decoding.size, new Map(bad));
  }

  /** True when the pixels of these contents lie in the cache. */
  static isThere(contents: readonly string[], decoding: DecodeOptions): boolean {
    return fs.existsSync(pathOf(contents, decoding));
  }

  /** For each row the near-duplicate that comes first in an order of rows, or itself: from the cache, or computed now. */
  leaders(order: readonly number[]): Int32Array {
    const mark = hashOf([nearDuplicatesVersion, order]);
    const path = this.path.replace(/\.u8$/, ".leaders");
    const known = readLeaders(path, mark, this.rows);
    if (known) return known;
    using prints = this.prints();
    const leaders = nearDuplicateLeaders(prints, order);
    writeFileAtomic(path, Buffer.concat([Buffer.from(mark, "hex"), Buffer.from(leaders.buffer)]), { scratch: true });
    return leaders;
  }

  prints(): PrintFile {
    return new PrintFile(printPath(this.path), this.rows, printShape(this.#size));
  }
}

function pathOf(contents: readonly string[], decoding: DecodeOptions): string {
  return cacheDirectory("decoded", `${hashOf([decodedVersion, decoding, contents]).slice(0, 32)}.u8`);
}

/** SHA-256 of version and order, then the leaders; what cannot be read is as if there were nothing. */
function readLeaders(path: string, mark: string, rows: number): Int32Array | undefined {
  try {
    const bytes = fs.readFileSync(path);
    const head = mark.length / 2;
    if (bytes.length !== head + 4 * rows || bytes.toString("hex", 0, head) !== mark) return undefined;
    return new Int32Array(bytes.buffer.slice(bytes.byteOffset + head, bytes.byteOffset + bytes.length));
  } catch {
    return undefined;
  }
}

type Index = z.infer<typeof indexSchema>;

/** Index of decoded images; undefined for an index that cannot be read, whose images are made anew. */
export function readIndex(path: string): Index | undefined {
  try {
    return readJsonFile(path, indexSchema, "an index of decoded images", { maximumBytes: 2 ** 28 });
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/** A hash of anything that JSON can hold. */
export function hashOf(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex");
}

export function imageBytes({ size, channels }: DecodeOptions): number {
  return size * size * channels;
}

/** [S, S, C] to [C, S, S]. */
export function toPlanes(interleaved: Uint8Array, channels: number): Uint8Array {
  const pixels = interleaved.length / channels;
  const planes = new Uint8Array(interleaved.length);
  for (let c = 0; c < channels; c++) {
    const plane = planes.subarray(c * pixels, (c + 1) * pixels);
    for (let p = 0, from = c; p < pixels; p++, from += channels) plane[p] = interleaved[from] as number;
  }
  return planes;
}

const printPath = (path: string) => path.replace(/\.u8$/, ".prints");
const indexPath = (path: string) => path.replace(/\.u8$/, ".json");

/** Files of another size than they must have are damaged, and made anew. */
function isComplete(path: string, rows: number, { decoding, pixels }: DecodedSetOptions): boolean {
  const has = (file: string, bytes: number) => fs.statSync(file, { throwIfNoEntry: false })?.size === bytes;
  return (
    has(printPath(path), printFileBytes(rows, printShape(decoding.size))) &&
    (!pixels || has(path, rows * imageBytes(decoding)))
  );
}

async function decodeAll(
  path: string,
  contents: readonly string[],
  items: readonly Item[],
  options: DecodedSetOptions,
): Promise<Index> {
  const { decoding, skipBad, pixels, name } = options;
  const rows = items.length;
  const shape = printShape(decoding.size);
  const bytes = imageBytes(decoding);
  const bad: [number, string][] = [];
  const how = hashOf([decodedVersion, decoding]);
  const wanted = { contents, pixelBytes: pixels ? bytes : undefined, shape };
  using known = new KnownRows(setsOf(dirname(path), how), wanted);
  using pixelFile = pixels ? new NewFile(path, rows * bytes) : undefined;
  using printFile = new NewFile(printPath(path), printFileBytes(rows, shape));
  const one = async (item: Item, row: number): Promise<void> => {
    const made = known.read(contents[row] ?? "") ?? (await madeOf(item, decoding, skipBad));
    if (made instanceof UnreadableImage) {
      bad.push([row, made.reason]);
      return;
    }
    const at = printOffsets(row, rows, shape);
    if (made.pixels) await pixelFile?.write(made.pixels, row * bytes);
    await printFile.write(made.signature, at.signature);
    await printFile.write(made.print, at.print);
  };
  await forEachConcurrently(items, one, { ...options, step: "decoding" });
  pixelFile?.finish();
  printFile.finish();
  const about = `${name}, ${counted(rows, "image")}, ${decoding.size} px`;
  const index: Index = { about, how, contents: [...contents], bad: bad.sort(([a], [b]) => a - b) };
  writeFileAtomic(indexPath(path), JSON.stringify(index));
  return index;
}

/** Sets in the cache that were decoded in the same way. */
function* setsOf(folder: string, how: string): Generator<KnownSet> {
  for (const name of fs.readdirSync(folder)) {
    const index = name.endsWith(".json") ? readIndex(join(folder, name)) : undefined;
    if (index?.how !== how) continue;
    const bad = new Set(index.bad.map(([row]) => row));
    const contents = index.contents.map((content, row) => (bad.has(row) ? undefined : content));
    const pixels = join(folder, name.replace(/\.json$/, ".u8"));
    yield { pixels, prints: printPath(pixels), contents };
  }
}

async function madeOf(item: Item, decoding: DecodeOptions, skipBad: boolean): Promise<KnownRow | UnreadableImage> {
  const { size, channels } = decoding;
  try {
    const pixels = toPlanes(await decodeImage(item, decoding), channels);
    const print = printOf(pixels, size);
    return { pixels, print, signature: signatureOf(print, printShape(size).side) };
  } catch (error) {
    if (skipBad && error instanceof UnreadableImage) return error;
    throw error;
  }
}

const write = promisify(fs.write);
const smallPart = 1 << 16;

function raise(error: unknown): never {
  throw error;
}

/** A file of known size that is written anywhere, and appears under its name when it is finished. */
class NewFile implements Disposable {
  readonly #path: string;
  readonly #temporary: string;
  readonly #size: number;
  #descriptor: number | undefined;

  /** @throws UserError when it cannot be written there */
  constructor(path: string, size: number) {
    this.#path = path;
    this.#size = size;
    this.#temporary = temporaryPath(join(path, ".."), basename(path));
    this.#descriptor = this.#explained(() => fs.openSync(this.#temporary, "wx"));
  }

  /** Small parts at once, large ones without waiting for the disk on the main thread. */
  async write(bytes: Uint8Array, position: number): Promise<void> {
    const descriptor = this.#descriptor ?? -1;
    for (let done = 0; done < bytes.length; ) {
      const [left, at] = [bytes.length - done, position + done];
      done +=
        left < smallPart
          ? this.#explained(() => fs.writeSync(descriptor, bytes, done, left, at))
          : await write(descriptor, bytes, done, left, at).then(
              ({ bytesWritten }) => bytesWritten,
              (error) => this.#explained(() => raise(error)),
            );
    }
  }

  finish(): void {
    this.#explained((file) => {
      fs.ftruncateSync(file, this.#size);
      fs.fsyncSync(file);
      fs.closeSync(file);
      this.#descriptor = undefined;
      fs.renameSync(this.#temporary, this.#path);
    });
  }

  /** Unfinished files are removed. */
  [Symbol.dispose](): void {
    if (this.#descriptor === undefined) return;
    fs.closeSync(this.#descriptor);
    fs.rmSync(this.#temporary, { force: true });
  }

  #explained<T>(fn: (descriptor: number) => T): T {
    try {
      return fn(this.#descriptor ?? -1);
    } catch (error) {
      if (error instanceof UserError) throw error;
      const needs = `the decoded images need ${this.#size} bytes there; ${elsewhere}`;
      throw explainWrite(error, this.#path, needs);
    }
  }
}
