/** The target's data as the loop sees it: batches of each split of one data set. B batch, H, W image sides. */
import {
  type AugmentName,
  augmentations,
  ImageStore,
  imagePrints,
  Loader,
  nearDuplicateGroups,
  openDataset,
  type SplitOptions,
  splitDataset,
} from "../data/index.ts";
import { type Tensor, UserError } from "../torch/index.ts";
import type { Targets } from "./task.ts";

export interface Batch {
  /** [B, 3, H, W] in [0, 1]. */
  images: Tensor;
  targets: Targets;
  labels: number[];
  /** Positions of the items in their data set. */
  indices: number[];
  dispose(): void;
}

/** Batches in an order that epoch and seed alone decide. */
export interface BatchSource {
  readonly stepsPerEpoch: number;
  epoch(epoch: number, startStep: number): AsyncIterable<Batch>;
}

export type SplitName = "train" | "validation" | "test";

export interface DataRequest {
  /** Name of a known data set, or a folder of images. */
  source: string;
  /** Side of the square images, pixels. */
  imageSize: number;
  split: Omit<SplitOptions, "seed">;
  augment: AugmentName;
  batchSize: number;
  seed: number;
  onProgress?: ((done: number, total: number) => void) | undefined;
  /** Leave unreadable images out instead of stopping. */
  skipBad?: boolean | undefined;
}

export interface TaskData {
  name: string;
  classes: string[];
  imageSize: number;
  splitHash: string;
  counts: Record<SplitName, number>;
  /** Names of the items, for reports. */
  ids: readonly string[];
  /** Shuffled and augmented. */
  train: BatchSource;
  /** In order, without augmentation. */
  open(split: SplitName): BatchSource;
  /** Pixels of items, uint8 [n, 3, H, W]. */
  pixels(indices: readonly number[]): Promise<Tensor>;
  /** Number of unreadable images that were left out. */
  skipped: number;
  dispose(): void;
}

/** Near-duplicates are looked for in data sets up to this size; larger ones come with a published test split. */
const duplicatesUpTo = 20_000;

/** Opens, splits and decodes a data set. @throws UserError when it is not usable, naming the file. */
export async function prepareData(request: DataRequest): Promise<TaskData> {
  const dataset = await openDataset(request.source);
  const { imageSize: size, skipBad = false, onProgress, seed, batchSize } = request;
  const store = await ImageStore.open(dataset, { size, skipBad, onProgress });
  const usable = (index: number) => !store.skipped.has(index);
  const split = splitDataset(
    dataset,
    { ...request.split, seed },
    usable,
    await duplicatesOf(store, dataset.items.length),
  );
  const labels = dataset.items.map((item) => item.label);
  const common = { store, labels, classes: dataset.classes.length, batchSize, seed };
  const counts = { train: split.train.length, validation: split.validation.length, test: split.test.length };
  return {
    name: dataset.name,
    classes: dataset.classes,
    imageSize: size,
    splitHash: split.hash,
    counts,
    skipped: store.skipped.size,
    ids: dataset.items.map((item) => item.id),
    train: new Loader({ ...common, indices: split.train, shuffle: true, augment: augmentations[request.augment] }),
    open(name) {
      if (counts[name] === 0) throw new UserError(`${dataset.name} has no ${name} images`);
      return new Loader({ ...common, indices: split[name], batchSize: 64, shuffle: false });
    },
    pixels: (indices) => store.batch(indices),
    dispose: () => store.dispose(),
  };
}

async function duplicatesOf(store: ImageStore, count: number): Promise<number[] | undefined> {
  if (count > duplicatesUpTo) return undefined;
  using pixels = await store.batch(Array.from({ length: count }, (_, i) => i));
  return nearDuplicateGroups(imagePrints(pixels));
}
