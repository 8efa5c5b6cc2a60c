/** Batches of one split, in an order that seed and epoch alone decide. B batch, S side. */
import { int64, keyedRandom, scope, shuffled, type Tensor } from "../torch/index.ts";
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
}

/** Place of a rank's rows in a batch. */
export interface RowsOfBatch {
  /** Rows of the batch on all ranks. */
  rows: number;
  /** Position of this rank's first row. */
  first: number;
}

/** The rows of a batch that a rank has: runs that follow each other, as long as each other or longer by one. */
function rowsOf(rows: number, { rank, worldSize }: Rank): [first: number, end: number] {
  return [Math.floor((rows * rank) / worldSize), Math.floor((rows * (rank + 1)) / worldSize)];
}

/** The view of every image that an epoch shows; of fixed views, 0 is the image itself and the epochs go round them. */
export function viewOf(epoch: number, views: number | undefined): number {
  return views === undefined ? epoch : epoch % views;
}

export class LoadedBatch {
  /** float32 [B, 3, S, S] in [0, 1]. */
  readonly images: Tensor;
  /** int64 [B], or float32 [B, classes] after mixup. */
  readonly targets: Tensor;
  readonly labels: number[];
  readonly indices: number[];
  /** Set where several ranks share the batch. */
  readonly part: RowsOfBatch | undefined;

  constructor(images: Tensor, targets: Tensor, labels: number[], indices: number[], part?: RowsOfBatch) {
    this.images = images;
    this.targets = targets;
    this.labels = labels;
    this.indices = indices;
    this.part = part;
  }

  dispose(): void {
    this.images.dispose();
    this.targets.dispose();
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

  /** Batches of an epoch from a step on; whoever takes a batch disposes it. */
  async *epoch(epoch: number, startStep = 0): AsyncGenerator<LoadedBatch> {
    const order = this.order(epoch);
    const { batchSize, store, rank } = this.#options;
    const whole = (step: number) => order.slice(step * batchSize, (step + 1) * batchSize);
    const chunk = (step: number) => (rank ? whole(step).slice(...rowsOf(whole(step).length, rank)) : whole(step));
    const part = (step: number): RowsOfBatch | undefined =>
      rank && { rows: whole(step).length, first: rowsOf(whole(step).length, rank)[0] };
    const pending: { step: number; pixels: Promise<Tensor> }[] = [];
    let next = startStep;
    const fill = (): void => {
      while (pending.length < prefetched && next < this.stepsPerEpoch) {
        const pixels = store.batch(chunk(next));
        pixels.catch(() => {}); // reported where it is awaited
        pending.push({ step: next, pixels });
        next += 1;
      }
    };
    try {
      for (fill(); pending.length > 0; fill()) {
        const { step, pixels } = pending.shift() as { step: number; pixels: Promise<Tensor> };
        using raw = await pixels;
        fill();
        yield this.#prepare(raw, chunk(step), { epoch, step, part: part(step) });
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

  #prepare(
    raw: Tensor,
    indices: number[],
    { epoch, step, part }: { epoch: number; step: number; part: RowsOfBatch | undefined },
  ): LoadedBatch {
    const { labels, classes, augment: recipe, seed, views, side } = this.#options;
    const view = viewOf(epoch, views);
    const isPlain = recipe === undefined || (views !== undefined && view === 0);
    const own = indices.map((index) => labels[index] ?? -1);
    const { images, targets } = scope(() => {
      const floats = raw.to({ dtype: "float32" }).mul_(1 / 255);
      const changed = augment(floats, indices, isPlain ? augmentations.none : recipe, seed, view, side);
      const target = int64(own);
      if (!recipe || recipe.mixup === 0) return { images: changed, targets: target };
      return mixup(changed, target, classes, recipe.mixup, seed, epoch, step);
    });
    return this.#placed(new LoadedBatch(images, targets, own, indices, part));
  }

  #placed(batch: LoadedBatch): LoadedBatch {
    const { device = "cpu" } = this.#options;
    if (device === "cpu") return batch;
    using made = batch;
    const { images, targets } = scope(() => ({
      images: made.images.to({ device }),
      targets: made.targets.to({ device }),
    }));
    return new LoadedBatch(images, targets, made.labels, made.indices, made.part);
  }
}
