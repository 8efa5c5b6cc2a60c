/**
 * Decoded images of a data set by position: uint8 [N, C, S, S], memory-mapped from a file in the cache, or decoded anew for
 * each batch where that file would be too large. N images, C channels, S side.
 */
import { cacheDirectory, cacheLimit, freeBytes } from "../io/index.ts";
import { fromFile, int64, keep, scope, type Tensor, tensor, UserError } from "../torch/index.ts";
import { forEachConcurrently, type Watched } from "./concurrent.ts";
import { contentHashes } from "./content-hash.ts";
import {
  type DecodeOptions,
  decodeImage,
  defaultPixelLimit,
  describeSource,
  reasonWithout,
  UnreadableImage,
} from "./decode.ts";
import { DecodedSet, decodedVersion, hashOf, imageBytes, toPlanes } from "./decoded-set.ts";
import type { PrintFile } from "./prints.ts";
import type { Dataset, Item } from "./types.ts";

export interface StoreOptions extends Watched {
  size: number;
  channels?: 3 | 4;
  pixelLimit?: number;
  fit?: DecodeOptions["fit"];
  /** Leave out what cannot be read, and count it, instead of stopping. */
  skipBad?: boolean;
  /** Largest cache file, half the cache's limit or 4 GiB by default; a larger data set is decoded anew for each batch. */
  budgetBytes?: number;
}

/** Row of each item's pixels: equal contents share a row. */
interface Rows {
  /** The content of each row, sorted: the order does not depend on names. */
  contents: string[];
  /** By position; -1 for a file that could not be read. */
  rowOf: Int32Array;
  /** One item of each row. */
  items: Item[];
}

export interface StoreParts {
  set: DecodedSet;
  rows: Rows;
  decoding: DecodeOptions;
  hashes: readonly (string | undefined)[];
  unreadable: ReadonlyMap<number, string>;
}

/** Pixels by position in the data set. */
export abstract class ImageStore {
  readonly size: number;
  readonly channels: number;
  /** A name for what the pixels depend on: the content of each item and how it is decoded. */
  readonly key: string;
  /** SHA-256 of each item's content; undefined for a file that could not be read. */
  readonly contentHashes: readonly (string | undefined)[];
  /** Positions that cannot be used, each with the reason. */
  readonly unreadable: ReadonlyMap<number, string>;
  readonly #set: DecodedSet;
  readonly #rowOf: Int32Array;

  protected constructor({ set, rows, decoding, hashes, unreadable }: StoreParts) {
    this.key = hashOf([decodedVersion, decoding, hashes]);
    this.size = decoding.size;
    this.channels = decoding.channels;
    this.contentHashes = hashes;
    this.unreadable = unreadable;
    this.#set = set;
    this.#rowOf = rows.rowOf;
  }

  /** Positions that cannot be used. */
  get skipped(): ReadonlySet<number> {
    return new Set(this.unreadable.keys());
  }

  /** The row of an item in the prints; equal contents share one. */
  rowOf(position: number): number {
    return this.#rowOf[position] ?? -1;
  }

  /** Prints by which near-duplicates are found, by row; whoever opens it disposes it. */
  prints(): PrintFile {
    return this.#set.prints();
  }

  /** For each row the near-duplicate that comes first in an order of rows, or itself; computed once for each order. */
  leaders(order: readonly number[]): Int32Array {
    return this.#set.leaders(order);
  }

  /** uint8 [B, C, S, S]. */
  abstract batch(indices: readonly number[]): Promise<Tensor>;

  abstract dispose(): void;

  /**
   * Decodes what the cache does not hold yet.
   * @throws UserError naming the first file that cannot be read, unless bad files are to be left out; Interrupted after the
   * signal
   */
  static async open(dataset: Dataset, options: StoreOptions): Promise<ImageStore> {
    const { skipBad = false, signal, onProgress, budgetBytes = Math.max(largeSet, cacheLimit() / 2) } = options;
    const { size, channels = 3, pixelLimit = defaultPixelLimit, fit } = options;
    const decoding: DecodeOptions = { size, channels, pixelLimit, ...(fit ? { fit } : {}) };
    const unreadable = new Map<number, string>();
    const hashes = (await contentHashes(dataset.items, { signal, onProgress })).map((found, position) => {
      if ("hash" in found) return found.hash;
      const { source } = dataset.items[position] as Item;
      unreadable.set(position, reasonWithout(source, found.problem));
      return undefined;
    });
    if (!skipBad) refuseFirst(dataset, unreadable);
    const rows = rowsOf(dataset.items, hashes);
    const pixels = isKept(rows, decoding, budgetBytes);
    const set = await decoded(rows, { name: dataset.name, decoding, pixels, skipBad, signal, onProgress });
    for (const [position, row] of rows.rowOf.entries()) {
      const reason = set.bad.get(row);
      if (reason !== undefined) unreadable.set(position, reason);
    }
    if (!skipBad || unreadable.size === dataset.items.length) refuseFirst(dataset, unreadable);
    const parts = { set, rows, decoding, hashes, unreadable };
    return pixels ? new MappedStore(parts) : new StreamingStore(dataset.items, parts);
  }
}

/** Sets above this size, bytes, are kept only where the disk has twice the room. */
const largeSet = 4 * 2 ** 30;

function isKept({ contents }: Rows, decoding: DecodeOptions, budgetBytes: number): boolean {
  const bytes = contents.length * imageBytes(decoding);
  if (bytes > budgetBytes) return false;
  return bytes <= largeSet || freeBytes(cacheDirectory()) > 2 * bytes || DecodedSet.isThere(contents, decoding);
}

async function decoded(rows: Rows, options: Parameters<typeof DecodedSet.open>[2]): Promise<DecodedSet> {
  try {
    return await DecodedSet.open(rows.contents, rows.items, options);
  } catch (error) {
    if (error instanceof UnreadableImage) throw new UserError(`${error.message}; ${advice}`, { cause: error });
    throw error;
  }
}

const advice = "repair or remove it, or leave such files out with train --skip-bad (data check lists all)";

function refuseFirst(dataset: Dataset, unreadable: ReadonlyMap<number, string>): void {
  const [first] = [...unreadable].sort(([a], [b]) => a - b);
  if (!first) return;
  const item = dataset.items[first[0]] as Item;
  throw new UserError(`${new UnreadableImage(describeSource(item), first[1]).message}; ${advice}`);
}

function rowsOf(items: readonly Item[], hashes: readonly (string | undefined)[]): Rows {
  const firstOf = new Map<string, Item>();
  for (const [i, hash] of hashes.entries()) {
    if (hash !== undefined && !firstOf.has(hash)) firstOf.set(hash, items[i] as Item);
  }
  const contents = [...firstOf.keys()].sort();
  const position = new Map(contents.map((hash, row) => [hash, row]));
  return {
    contents,
    rowOf: Int32Array.from(hashes, (hash) => (hash === undefined ? -1 : (position.get(hash) ?? -1))),
    items: contents.map((hash) => firstOf.get(hash) as Item),
  };
}

class MappedStore extends ImageStore {
  readonly #map: () => Tensor;
  #mapped: Tensor | undefined;

  constructor(parts: StoreParts) {
    super(parts);
    const { set, decoding } = parts;
    const shape = [set.rows, decoding.channels, decoding.size, decoding.size];
    const size = set.rows * imageBytes(decoding);
    this.#map = () => keep(scope(() => fromFile(set.path, { size, dtype: "uint8" }).view(shape)));
  }

  /** Mapped when pixels are first asked for: `data check` needs none, and works before set-up. */
  get #pixels(): Tensor {
    this.#mapped ??= this.#map();
    return this.#mapped;
  }

  override async batch(indices: readonly number[]): Promise<Tensor> {
    const rows = indices.map((index) => this.rowOf(index));
    return scope(() => this.#pixels.index_select(0, int64(rows)));
  }

  override dispose(): void {
    this.#mapped?.dispose();
  }
}

/** For data sets beyond the budget: every batch is decoded when it is asked for. */
class StreamingStore extends ImageStore {
  readonly #items: readonly Item[];
  readonly #options: DecodeOptions;

  constructor(items: readonly Item[], parts: StoreParts) {
    super(parts);
    this.#items = items;
    this.#options = parts.decoding;
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
