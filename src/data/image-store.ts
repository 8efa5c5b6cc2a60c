/**
 * Decoded images of a data set: uint8 [N, C, S, S], memory-mapped from a cache file that is made once.
 * N images, C channels, S side.
 */
import { createHash, randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "../io/index.ts";
import { fromFile, keep, scope, type Tensor, tensor, UserError } from "../torch/index.ts";
import { ensureCacheDirectory } from "./cache.ts";
import { type DecodeOptions, decodeImage, defaultPixelLimit } from "./decode.ts";
import type { Dataset, Item } from "./types.ts";

export interface StoreOptions {
  size: number;
  channels?: 3 | 4;
  pixelLimit?: number;
  /** Leave out what cannot be read, and count it, instead of stopping. */
  skipBad?: boolean;
  /** Largest cache file; a larger data set is decoded anew for each batch. */
  budgetBytes?: number;
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Raised when what a cache file holds changes. */
const storeVersion = 2;
const concurrency = 8;

interface StoreIndex {
  /** Positions in the data set of what was left out. */
  skipped: number[];
}

/** Pixels by position in the data set. */
export abstract class ImageStore {
  readonly size: number;
  readonly channels: number;
  /** A name for what the pixels depend on: the files and how they are decoded. */
  readonly key: string;
  /** Positions that could not be read. */
  readonly skipped: ReadonlySet<number>;

  protected constructor(key: string, options: DecodeOptions, skipped: readonly number[]) {
    this.key = key;
    this.size = options.size;
    this.channels = options.channels;
    this.skipped = new Set(skipped);
  }

  /** uint8 [B, C, S, S]. */
  abstract batch(indices: readonly number[]): Promise<Tensor>;

  abstract dispose(): void;

  /**
   * Decodes what the cache does not hold yet.
   * @throws UserError naming the first file that cannot be read, unless bad files are to be left out
   */
  static async open(dataset: Dataset, options: StoreOptions): Promise<ImageStore> {
    const decoding: DecodeOptions = {
      size: options.size,
      channels: options.channels ?? 3,
      pixelLimit: options.pixelLimit ?? defaultPixelLimit,
    };
    const bytes = dataset.items.length * imageBytes(decoding);
    const key = storeKey(dataset, decoding, options.skipBad ?? false);
    if (bytes > (options.budgetBytes ?? 4 * 2 ** 30)) {
      const skipped = options.skipBad ? await findUnreadable(dataset.items, decoding, options) : [];
      return new StreamingStore(key, dataset.items, decoding, skipped);
    }
    const path = join(ensureCacheDirectory("decoded"), `${key}.u8`);
    if (!existsSync(path) || !existsSync(`${path}.json`)) await decodeAll(dataset.items, decoding, options, path);
    const index = JSON.parse(readFileSync(`${path}.json`, "utf8")) as StoreIndex;
    if (statSync(path).size !== bytes) {
      rmSync(`${path}.json`);
      throw new UserError(`the cache file ${path} is damaged and will be made anew: run the command again`);
    }
    return new MappedStore(key, path, dataset.items.length, decoding, index.skipped);
  }
}

class MappedStore extends ImageStore {
  readonly #pixels: Tensor;

  constructor(key: string, path: string, count: number, options: DecodeOptions, skipped: readonly number[]) {
    super(key, options, skipped);
    const shape = [count, options.channels, options.size, options.size];
    const size = count * imageBytes(options);
    this.#pixels = keep(scope(() => fromFile(path, { size, dtype: "uint8" }).view(shape)));
  }

  override async batch(indices: readonly number[]): Promise<Tensor> {
    return scope(() => this.#pixels.index_select(0, tensor(BigInt64Array.from(indices, BigInt))));
  }

  override dispose(): void {
    this.#pixels.dispose();
  }
}

/** For data sets beyond the budget: every batch is decoded when it is asked for. */
class StreamingStore extends ImageStore {
  readonly #items: readonly Item[];
  readonly #options: DecodeOptions;

  constructor(key: string, items: readonly Item[], options: DecodeOptions, skipped: readonly number[]) {
    super(key, options, skipped);
    this.#items = items;
    this.#options = options;
  }

  override async batch(indices: readonly number[]): Promise<Tensor> {
    const { size, channels } = this.#options;
    const bytes = new Uint8Array(indices.length * imageBytes(this.#options));
    await forEachConcurrently(indices, async (index, position) => {
      const item = this.#items[index];
      if (!item) throw new RangeError(`no item ${index}`);
      bytes.set(toPlanes(await decodeImage(item, this.#options), channels), position * imageBytes(this.#options));
    });
    return tensor(bytes, { shape: [indices.length, channels, size, size] });
  }

  override dispose(): void {}
}

/** Positions of what cannot be decoded. */
async function findUnreadable(
  items: readonly Item[],
  decoding: DecodeOptions,
  options: StoreOptions,
): Promise<number[]> {
  const skipped: number[] = [];
  let done = 0;
  await forEachConcurrently(items, async (item, position) => {
    if (!(await planesOrNone(item, decoding, true))) skipped.push(position);
    done += 1;
    options.onProgress?.(done, items.length);
  });
  return skipped.sort((a, b) => a - b);
}

function imageBytes(options: DecodeOptions): number {
  return options.size * options.size * options.channels;
}

/** A name for what the decoded pixels depend on: every file by path, size and time of change, and the options. */
function storeKey(dataset: Dataset, options: DecodeOptions, skipBad: boolean): string {
  const hash = createHash("sha256").update(JSON.stringify([storeVersion, options, skipBad]));
  const seen = new Map<string, string>();
  for (const { source } of dataset.items) {
    const path = source.kind === "glyph" ? source.fontFile : source.path;
    let stamp = seen.get(path);
    if (stamp === undefined) {
      const stat = statSync(path, { throwIfNoEntry: false });
      stamp = `${path}\0${stat?.size}\0${stat?.mtimeMs}`;
      seen.set(path, stamp);
    }
    hash.update(stamp);
    if (source.kind === "raw" || source.kind === "part") hash.update(`@${source.offset}`);
    if (source.kind === "file" && source.crop) hash.update(JSON.stringify(source.crop));
    if (source.kind === "glyph") hash.update(source.text);
  }
  return `${dataset.name.replace(/[^a-z0-9-]/gi, "_").slice(0, 40)}-${hash.digest("hex").slice(0, 20)}`;
}

async function decodeAll(
  items: readonly Item[],
  decoding: DecodeOptions,
  options: StoreOptions,
  path: string,
): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  const skipped: number[] = [];
  let done = 0;
  try {
    const file = openSync(temporary, "w");
    try {
      await forEachConcurrently(items, async (item, position) => {
        const planes = await planesOrNone(item, decoding, options.skipBad ?? false);
        if (!planes) skipped.push(position);
        writeSync(
          file,
          planes ?? new Uint8Array(imageBytes(decoding)),
          0,
          imageBytes(decoding),
          position * imageBytes(decoding),
        );
        done += 1;
        options.onProgress?.(done, items.length);
      });
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    if ((error as NodeJS.ErrnoException).code === "ENOSPC") {
      throw new UserError(
        `the disk is full: ${path} needs ${items.length * imageBytes(decoding)} bytes; free space, or set HUB_PATHWAY_CACHE`,
      );
    }
    throw error;
  }
  writeFileAtomic(`${path}.json`, [JSON.stringify({ skipped: skipped.sort((a, b) => a - b) } satisfies StoreIndex)]);
}

async function planesOrNone(item: Item, options: DecodeOptions, skipBad: boolean): Promise<Uint8Array | undefined> {
  try {
    return toPlanes(await decodeImage(item, options), options.channels);
  } catch (error) {
    if (skipBad && error instanceof UserError) return undefined;
    throw error;
  }
}

/** [S, S, C] to [C, S, S]. */
function toPlanes(interleaved: Uint8Array, channels: number): Uint8Array {
  const pixels = interleaved.length / channels;
  const planes = new Uint8Array(interleaved.length);
  for (let c = 0; c < channels; c++) {
    for (let p = 0; p < pixels; p++) planes[c * pixels + p] = interleaved[p * channels + c] ?? 0;
  }
  return planes;
}

/** Runs an asynchronous function over all values, a few at a time; the first failure stops the rest. */
export async function forEachConcurrently<T>(
  values: readonly T[],
  fn: (value: T, position: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  let failed = false;
  const worker = async (): Promise<void> => {
    while (next < values.length && !failed) {
      const position = next++;
      try {
        await fn(values[position] as T, position);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const results = await Promise.allSettled(Array.from({ length: concurrency }, worker));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}
