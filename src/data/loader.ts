/** Batches of one split, in an order that seed and epoch alone decide. B batch, S side. */
import { rowsOfRank } from "../nn/index.ts";
import { disposeTree, int64, keyedRandom, scope, shuffled, type Tensor } from "../torch/index.ts";
import { type AugmentOptions, augment, augmentations, mixup } from "./augment.ts";
import type { ImageStore } from "./image-store.ts";

export interface LoaderOptions {
  store: Pick<ImageStore, "batch">;
  /** Positions in the data set. */
  indices: readonly number[];
  /** Class of every item of the data set. */
  labels: readonly number[];
  classes: number;
  batchSize: number;
  seed: number;
  shuffle: boolean;
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
}

/** The view of every image that an epoch shows; of fixed views, 0 is the image itself and the epochs go round them. */
export function viewOf(epoch: number, views: number | undefined): number {
  return views === undefined ? epoch : epoch % views;
}

type Fields = Pick<LoadedBatch, "images" | "targets" | "labels" | "indices"> &
  Partial<Pick<LoadedBatch, "part" | "all">>;

export class LoadedBatch {
  /** float32 [B, 3, S, S] in [0, 1]. */
  readonly images: Tensor;
  /** int64 [B], or float32 [B, classes] after mixup. */
  readonly targets: Tensor;
  readonly labels: number[];
  readonly indices: number[];
  /** Set where several ranks share the batch. */
  readonly part: RowsOfBatch | undefined;
  /** Images of all ranks' rows, for a rank that reads them. */
  readonly all: Tensor | undefined;

  constructor({ images, targets, labels, indices, part, all }: Fields) {
    this.images = images;
    this.targets = targets;
    this.labels = labels;
    this.indices = indices;
    this.part = part;
    this.all = all;
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
      part: { rows, first },
      all: whole.images,
    });
    whole.targets.dispose();
    return batch;
  }

  dispose(): void {
    disposeTree([this.images, this.targets, this.all]);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Batches that are decoded ahead, for stores that decode on demand. */
const prefetched = 2;

export class Loader {
  readonly #options: LoaderOptions;

  constructor(options: LoaderOptions) {
    if (options.indices.length === 0) throw new RangeError("a loader needs at least one item");
    this.#options = options;
  }

  /** Every item comes once in an epoch; the last batch may be smaller. */
  get stepsPerEpoch(): number {
    return Math.ceil(this.#options.indices.length / this.#options.batchSize);
  }

  /** The order of an epoch. */
  order(epoch: number): number[] {
    const { indices, seed, shuffle } = this.#options;
    return shuffle ? shuffled(indices, keyedRandom(seed, epoch, 0x0dde)) : [...indices];
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
    const { labels, classes, augment: recipe, seed, views, side } = this.#options;
    const view = viewOf(epoch, views);
    const isPlain = recipe === undefined || (views !== undefined && view === 0);
    const labelsOf = (items: number[]) => items.map((index) => labels[index] ?? -1);
    const own = labelsOf(indices);
    const { images, targets } = scope(() => {
      const floats = raw.to({ dtype: "float32" }).mul_(1 / 255);
      const keys = [...indices, ...partners];
      const changed = augment(floats, keys, isPlain ? augmentations.none : recipe, seed, view, side);
      const target = int64(own);
      if (!recipe || recipe.mixup === 0) return { images: changed, targets: target };
      const rows = indices.length;
      const others = part && { images: changed.narrow(0, rows, rows), targets: int64(labelsOf(partners)) };
      return mixup(changed.narrow(0, 0, rows), target, classes, recipe.mixup, seed, epoch, step, others);
    });
    return this.#placed(new LoadedBatch({ images, targets, labels: own, indices, part }));
  }

  #placed(batch: LoadedBatch): LoadedBatch {
    const { device = "cpu" } = this.#options;
    if (device === "cpu") return batch;
    using made = batch;
    const { images, targets } = scope(() => ({
      images: made.images.to({ device }),
      targets: made.targets.to({ device }),
    }));
    return new LoadedBatch({ images, targets, labels: made.labels, indices: made.indices, part: made.part });
  }
}
