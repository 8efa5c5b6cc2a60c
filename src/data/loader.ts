/** Batches of one split, in an order that seed and epoch alone decide. B batch, S side. */
import { rowsOfRank } from "../nn/index.ts";
import { disposeTree, int64, keyedRandom, scope, shuffled, type Tensor, tensor, zeros } from "../torch/index.ts";
import { type AugmentOptions, augment, augmentations, mixup } from "./augment.ts";
import type { ImageStore } from "./image-store.ts";
import { labelsIn } from "./labels.ts";

export interface LoaderOptions {
  store: Pick<ImageStore, "batch">;
  /** Positions in the data set. */
  indices: readonly number[];
  /** Class of every item of the data set. */
  labels: readonly number[];
  classes: number;
  /** Rows of several labels or of numbers, [C], of every item; classes are the targets when left out. */
  targets?: readonly (readonly number[])[] | undefined;
  batchSize: number;
  seed: number;
  shuffle: boolean;
  /** Items of each class alike in every epoch, which has as many as there are: those of small classes come again. */
  isBalanced?: boolean | undefined;
  augment?: AugmentOptions | undefined;
  /** Side S of the images, where those of the store are larger: crops are then taken from these. */
  side?: number | undefined;
  /** Fixed views of each image: see `viewOf`. Every epoch has its own when left out. */
  views?: number | undefined;
  /** Device of the batches; they are made on the CPU. */
  device?: string | undefined;
  /** The rank that gets its rows of each batch; all rows when left out. */
  rank?: Rank | undefined;
}

/** One of several processes that share each batch. */
export interface Rank {
  rank: number;
  worldSize: number;
  /** It reads the images of all rows, beside its own. */
  readsAll?: boolean | undefined;
}

/** Items of a batch that a rank needs, by their positions in the data set. */
interface Chosen {
  own: number[];
  /** What the own rows are mixed with, where that may be on another rank. */
  partners: number[];
  part: RowsOfBatch | undefined;
}

/** Place of a rank's rows in a batch. */
export interface RowsOfBatch {
  /** Rows of the batch on all ranks. */
  rows: number;
  /** Position of this rank's first row. */
  first: number;
  /** Images of all ranks' rows, for a rank that reads them. */
  all?: Tensor | undefined;
}

/** The view of every image that an epoch shows; of fixed views, 0 is the image itself and the epochs go round them. */
export function viewOf(epoch: number, views: number | undefined): number {
  return views === undefined ? epoch : epoch % views;
}

type Fields = Pick<LoadedBatch, "images" | "targets" | "labels" | "indices"> &
  Partial<Pick<LoadedBatch, "part" | "isMixed">>;

export class LoadedBatch {
  /** float32 [B, 3, S, S] in [0, 1]. */
  readonly images: Tensor;
  /** int64 [B], float32 [B, classes] of classes that were mixed, or float64 [B, C] of labels or numbers. */
  readonly targets: Tensor;
  readonly labels: number[];
  readonly indices: number[];
  /** Set where several ranks share the batch. */
  readonly part: RowsOfBatch | undefined;
  /** Images and targets are mixtures of two. */
  readonly isMixed: boolean;

  constructor({ images, targets, labels, indices, part, isMixed = false }: Fields) {
    this.images = images;
    this.targets = targets;
    this.labels = labels;
    this.indices = indices;
    this.part = part;
    this.isMixed = isMixed;
  }

  /** A rank's rows of a whole batch, which goes; its images stay. */
  static ofRank(whole: LoadedBatch, rank: Rank): LoadedBatch {
    const rows = whole.indices.length;
    const [first, end] = rowsOfRank(rows, rank);
    const own = (values: Tensor) => values.narrow(0, first, end - first);
    const batch = new LoadedBatch({
      images: own(whole.images),
      targets: own(whole.targets),
      labels: whole.labels.slice(first, end),
      indices: whole.indices.slice(first, end),
      part: { rows, first, all: whole.images },
      isMixed: whole.isMixed,
    });
    whole.targets.dispose();
    return batch;
  }

  dispose(): void {
    disposeTree([this.images, this.targets, this.part?.all]);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** A store that reads nothing: black images of one pixel. */
const noImages: LoaderOptions["store"] = {
  batch: async (indices) => zeros([indices.length, 3, 1, 1], { dtype: "uint8" }),
};

/** Batches that are decoded ahead, for stores that decode on demand. */
const prefetched = 2;

export class Loader {
  readonly #options: LoaderOptions;
  #classes: readonly ClassItems[] | undefined;

  constructor(options: LoaderOptions) {
    if (options.indices.length === 0) throw new RangeError("a loader needs at least one item");
    this.#options = options;
  }

  /** The same batches without images, which are neither read nor changed. */
  withoutImages(): Loader {
    return new Loader({ ...this.#options, store: noImages, augment: undefined, side: undefined });
  }

  /** Every item comes once in an epoch; the last batch may be smaller. */
  get stepsPerEpoch(): number {
    return Math.ceil(this.#options.indices.length / this.#options.batchSize);
  }

  /** The order of an epoch. */
  order(epoch: number): number[] {
    const { indices, seed, shuffle, isBalanced = false } = this.#options;
    if (isBalanced) return this.#balanced(epoch);
    return shuffle ? shuffled(indices, keyedRandom(seed, epoch, 0x0dde)) : [...indices];
  }

  /**
   * As many items as there are, of each class as many or one more; an item with several labels stands for each of them. Each class is
   * gone through again and again, in another order each time, so that its items come equally often over the epochs.
   */
  #balanced(epoch: number): number[] {
    const { indices, seed } = this.#options;
    this.#classes ??= itemsByClass(this.#options);
    const quota = indices.length / this.#classes.length;
    // With fewer items than labels another part of these has its turn in each epoch.
    const classes = quota < 1 ? shuffled(this.#classes, keyedRandom(seed, epoch, 0xba1a)) : this.#classes;
    const order = classes.flatMap(({ name, items }, place) => {
      const count = Math.floor(quota * (place + 1)) - Math.floor(quota * place);
      return inRounds(items, epoch * Math.max(1, count), count, (round) => keyedRandom(seed, name, round, 0xba1b));
    });
    return shuffled(order, keyedRandom(seed, epoch, 0x0dde));
  }

  /** Batches of an epoch from a step on, or each `stride`-th of them; whoever takes a batch disposes it. */
  async *epoch(epoch: number, startStep = 0, stride = 1): AsyncGenerator<LoadedBatch> {
    const order = this.order(epoch);
    const { batchSize, store, rank } = this.#options;
    const pending: { step: number; chosen: Chosen; pixels: Promise<Tensor> }[] = [];
    let next = startStep;
    const fill = (): void => {
      while (pending.length < prefetched && next < this.stepsPerEpoch) {
        const chosen = this.#chosen(order.slice(next * batchSize, (next + 1) * batchSize));
        const pixels = store.batch([...chosen.own, ...chosen.partners]);
        pixels.catch(() => {}); // reported where it is awaited
        pending.push({ step: next, chosen, pixels });
        next += stride;
      }
    };
    try {
      for (fill(); pending.length > 0; fill()) {
        const { step, chosen, pixels } = pending.shift() as (typeof pending)[number];
        using raw = await pixels;
        fill();
        const batch = this.#prepare(raw, chosen, epoch, step);
        yield rank?.readsAll ? LoadedBatch.ofRank(batch, rank) : batch;
      }
    } finally {
      for (const { pixels } of pending) {
        await pixels.then(
          (tensor) => tensor.dispose(),
          () => {},
        );
      }
    }
  }

  /** What this rank needs of a batch. */
  #chosen(whole: number[]): Chosen {
    const { rank, augment } = this.#options;
    if (!rank || rank.readsAll) return { own: whole, partners: [], part: undefined };
    const [first, end] = rowsOfRank(whole.length, rank);
    const partners = augment && augment.mixup > 0 ? [...whole].reverse().slice(first, end) : [];
    return { own: whole.slice(first, end), partners, part: { rows: whole.length, first } };
  }

  #prepare(raw: Tensor, { own: indices, partners, part }: Chosen, epoch: number, step: number): LoadedBatch {
    const { labels, classes, augment: recipe, seed, views, side, targets: table } = this.#options;
    const view = viewOf(epoch, views);
    const isPlain = recipe === undefined || (views !== undefined && view === 0);
    const labelsOf = (items: number[]) => items.map((index) => labels[index] ?? -1);
    const own = labelsOf(indices);
    const targetsOf = (items: number[]) =>
      table ? rowsTensor(items.map((index) => table[index] ?? [])) : int64(labelsOf(items));
    const isMixed = (recipe?.mixup ?? 0) > 0;
    const made = scope(() => {
      const floats = raw.to({ dtype: "float32" }).mul_(1 / 255);
      const keys = [...indices, ...partners];
      const changed = augment(floats, keys, isPlain ? augmentations.none : recipe, seed, view, side);
      const target = targetsOf(indices);
      if (!recipe || !isMixed) return { images: changed, targets: target };
      const rows = indices.length;
      const others = part && { images: changed.narrow(0, rows, rows), targets: targetsOf(partners) };
      return mixup(changed.narrow(0, 0, rows), target, classes, recipe.mixup, seed, epoch, step, others);
    });
    return this.#placed(new LoadedBatch({ ...made, labels: own, indices, part, isMixed }));
  }

  #placed(batch: LoadedBatch): LoadedBatch {
    const { device = "cpu" } = this.#options;
    if (device === "cpu") return batch;
    using made = batch;
    const moved = scope(() => ({ images: made.images.to({ device }), targets: made.targets.to({ device }) }));
    const { labels, indices, part, isMixed } = made;
    return new LoadedBatch({ ...moved, labels, indices, part, isMixed });
  }
}

/** Items of a class, or of those without any. */
interface ClassItems {
  name: number;
  items: number[];
}

function itemsByClass({ indices, labels, targets }: LoaderOptions): ClassItems[] {
  const classes = new Map<number, number[]>();
  const add = (name: number, index: number): void => {
    const items = classes.get(name);
    if (items) items.push(index);
    else classes.set(name, [index]);
  };
  for (const index of indices) {
    const row = targets?.[index];
    const names = row ? labelsIn(row) : [labels[index] ?? -1];
    for (const name of names.length > 0 ? names : [-1]) add(name, index);
  }
  return [...classes].sort(([a], [b]) => a - b).map(([name, items]) => ({ name, items }));
}

/** So many items from a place on in rounds through all of them, each in an order of its own. */
function inRounds(items: readonly number[], start: number, count: number, random: (round: number) => () => number) {
  const found: number[] = [];
  for (let round = Math.floor(start / items.length), from = start % items.length; found.length < count; round++) {
    found.push(...shuffled(items, random(round)).slice(from, from + count - found.length));
    from = 0;
  }
  return found;
}

/** float64 [B, C]. */
function rowsTensor(rows: readonly (readonly number[])[]): Tensor {
  const width = rows[0]?.length ?? 0;
  return tensor(Float64Array.from(rows.flat()), { shape: [rows.length, width] });
}
