/** The target's data as the loop sees it: batches of each split of one data set. B batch, H, W image sides. */
import { createHash } from "node:crypto";
import {
  type AugmentRequest,
  augmentationOf,
  type Dataset,
  type DecodeOptions,
  type DuplicatesPolicy,
  duplicatesIn,
  ImageStore,
  type Item,
  Loader,
  openDataset,
  type Progress,
  type RowsOfBatch,
  type Split,
  type SplitOptions,
  splitUsable,
  type TaskKind,
} from "../data/index.ts";
import type { StoredFeatures } from "../pathway/index.ts";
import { answerWords } from "../runtime/index.ts";
import { ConfigError, keyedRandom, type ProcessGroup, shuffled, type Tensor, UserError } from "../torch/index.ts";
import { firstRankFirst, requireRowsForAll } from "./ranks.ts";

/**
 * Targets of a batch: class numbers int64 [B], probabilities float32 [B, C] when images were mixed, or float64 [B, C], 1 for each
 * of several labels, or numbers in their own units.
 */
export type Targets = Tensor;

export interface Batch {
  /** [B, 3, H, W] in [0, 1]; black and of one pixel in batches without images. */
  images: Tensor;
  targets: Targets;
  /** Images and targets are mixtures of two. */
  isMixed?: boolean | undefined;
  /** Classes, or strata where images have several labels or numbers. */
  labels: number[];
  /** Positions of the items in their data set. */
  indices: number[];
  /** Features of these images that frozen members computed before. */
  features?: StoredFeatures | undefined;
  /** Place of these rows in the batch, where several ranks share it. */
  part?: RowsOfBatch | undefined;
  dispose(): void;
}

/** Batches in an order that epoch and seed alone decide. */
export interface BatchSource {
  readonly stepsPerEpoch: number;
  epoch(epoch: number, startStep: number): AsyncIterable<Batch>;
  /** The same batches without images, which are then not read. */
  withoutImages?(): BatchSource;
}

/** Batches of which each `stride`-th may be taken. */
export interface StridedBatches extends BatchSource {
  epoch(epoch: number, startStep: number, stride?: number): AsyncIterable<Batch>;
}

/** The same images in another order and with other augmented views for each number; 0 leaves them as they are. */
export function reordered(batches: BatchSource, order: number): BatchSource {
  // Epochs that no run has by itself.
  const first = order * 2 ** 20;
  if (order === 0) return batches;
  return { stepsPerEpoch: batches.stepsPerEpoch, epoch: (epoch, step) => batches.epoch(first + epoch, step) };
}

/** Batches with images of their own, which whoever asked for them disposes. */
export interface OwnedBatches extends BatchSource {
  /** Pixels of items, uint8 [n, 3, H, W], by their positions in the data set. */
  pixels(indices: readonly number[]): Promise<Tensor>;
  dispose(): void;
}

export type SplitName = "train" | "validation" | "test";

export interface DataRequest extends AugmentRequest {
  /** Name of a known data set, a folder of images or shards, a list of images, or shards. */
  source: string;
  /** Side of the square images, pixels. */
  imageSize: number;
  split: Omit<SplitOptions, "seed">;
  /** Shape of photographs as squares: cropped when left out, or `squash`, which changes their aspect ratio. */
  fit?: DecodeOptions["fit"];
  /** Side of the images that random crops are taken from, pixels; that of the images when left out. */
  cropFrom?: number | undefined;
  /** Draws classes of training images equally often. */
  sampling?: "balanced" | undefined;
  /** Fixed augmented views of each training image, the first of which is the image itself; new ones in every epoch when left out. */
  views?: number | undefined;
  batchSize: number;
  seed: number;
  onProgress?: Progress | undefined;
  /** Takes remarks for the user: what was left out, and what figures may suffer from. */
  onNote?: ((text: string) => void) | undefined;
  /** Leave unreadable images out instead of stopping. */
  skipBad?: boolean | undefined;
  /** Treatment of copies (default "group": they stay on one side of the split). */
  duplicates?: DuplicatesPolicy | undefined;
  /** Device of the batches (default "cpu"). */
  device?: string | undefined;
  /** What the labels are, where a list leaves it open. */
  task?: TaskKind | undefined;
  /** Who asks, the kinds of labels that it takes, and what to do with others; one class of each image when left out. */
  takes?: { who: string; kinds: readonly TaskKind[]; otherwise?: string | undefined } | undefined;
  /** Ranks that share each training batch. */
  group?: ProcessGroup | undefined;
  /** Each of them reads the images of all rows. */
  readsAll?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

export interface TaskData {
  name: string;
  /** What the labels are. */
  kind: TaskKind;
  /** Names of the classes, or of the numbers. */
  classes: string[];
  imageSize: number;
  /** A hash of the split: class names, and position, label and content of each item on each side. */
  splitHash: string;
  /** A hash of the positions on each side alone. */
  positionsHash: string;
  /** SHA-256 of each item's content, by position; undefined for an item that was left out. */
  contentHashes: readonly (string | undefined)[];
  /** Class of each item, by position; a stratum where images have several labels or numbers. */
  labels: readonly number[];
  /** Rows [C] of several labels or numbers, by position; undefined where each image has one class. */
  targets: readonly (readonly number[])[] | undefined;
  counts: Record<SplitName, number>;
  /** The data set says itself which images validate. */
  validationIsGiven: boolean;
  /** Names of the items, for reports. */
  ids: readonly string[];
  /** A name for what the pixels depend on: the content of each item and how it is decoded. */
  pixelsKey: string;
  /**
   * Positions in the data set of a split's items, in order.
   * @param limit as for `open`
   */
  items(split: SplitName, limit?: number): readonly number[];
  /** Shuffled and augmented. */
  train: BatchSource;
  /** The same of some of the images, by their positions. */
  trainOn(rows: readonly number[]): BatchSource;
  /** The same images in order, augmented as in the same epoch of `train`. */
  trainInOrder: StridedBatches;
  /**
   * In order, without augmentation.
   * @param limit use at most so many items, spread over the classes as the split is
   */
  open(split: SplitName, limit?: number): StridedBatches;
  /**
   * The same as `open`, with images of another side.
   * @throws UserError when there are none, or one cannot be read
   */
  openAt(imageSize: number, split: SplitName, limit?: number): Promise<OwnedBatches>;
  /** Pixels of items, uint8 [n, 3, H, W]. */
  pixels(indices: readonly number[]): Promise<Tensor>;
  /** Number of unreadable images that were left out. */
  skipped: number;
  dispose(): void;
}

/**
 * Opens, splits and decodes a data set.
 * @throws UserError when it is not usable, naming the file; Interrupted after the signal
 */
export async function prepareData(request: DataRequest): Promise<TaskData> {
  const { group } = request;
  const dataset = await openDataset(request.source, request);
  refuseKind(dataset, request.takes);
  if (dataset.task === "regression" && request.sampling !== undefined)
    throw new ConfigError(`an image of ${dataset.name} has numbers and no class to be balanced: leave out --sampling`);
  const { imageSize: size, cropFrom, fit, skipBad = false, onProgress, seed, signal } = request;
  // What the first rank decodes, the others find.
  const open = (side: number) =>
    firstRankFirst(group, () => ImageStore.open(dataset, { size: side, fit, skipBad, onProgress, signal }));
  const store = await open(size);
  try {
    const duplicates = request.duplicates === "keep" ? undefined : duplicatesIn(dataset, store);
    const { split, notes } = splitUsable(dataset, store, duplicates, {
      ...request.split,
      seed,
      policy: request.duplicates,
    });
    for (const note of notes) request.onNote?.(note);
    if (group) requireRowsForAll(group, split.train.length, request.batchSize);
    const larger = cropFrom === undefined || cropFrom === size ? undefined : await open(cropFrom);
    return taskData(request, dataset, { store, larger }, split);
  } catch (error) {
    store.dispose();
    throw error;
  }
}

function refuseKind(
  { name, task: kind }: Dataset,
  { who, kinds, otherwise }: NonNullable<DataRequest["takes"]> = { who: "this command", kinds: ["classification"] },
): void {
  const task: TaskKind = kind ?? "classification";
  if (kinds.includes(task)) return;
  const taken = kinds.map((kind) => answerWords[kind]).join(" or ");
  throw new ConfigError(
    `an image of ${name} has ${answerWords[task]}, and ${who} takes ${taken} for each image` +
      (otherwise === undefined ? "" : `: ${otherwise}`),
  );
}

interface Stores {
  /** Of the images' side. */
  store: ImageStore;
  /** Images that training crops, where they are larger. */
  larger: ImageStore | undefined;
}

function taskData(
  {
    imageSize: size,
    fit,
    skipBad = false,
    onProgress,
    signal,
    seed,
    batchSize,
    device,
    group,
    readsAll,
    ...request
  }: DataRequest,
  dataset: Dataset,
  { store, larger }: Stores,
  split: Split,
): TaskData {
  const labels = dataset.items.map((item) => item.label);
  const targets = dataset.task && dataset.items.map((item) => item.targets ?? []);
  const common = { store, labels, targets, classes: dataset.classes.length, batchSize, seed, device };
  const crops = larger ? { store: larger, side: size } : {};
  const rank = group && { rank: group.rank, worldSize: group.worldSize, readsAll };
  const training = { ...crops, indices: split.train, augment: augmentationOf(request), views: request.views };
  const isBalanced = request.sampling === "balanced";

  const counts = { train: split.train.length, validation: split.validation.length, test: split.test.length };
  const chosen = (name: SplitName, limit = counts[name]): number[] => {
    if (counts[name] === 0) throw new UserError(`${dataset.name} has no ${name} images`);
    return spread(split[name], limit, labels, seed);
  };
  return {
    name: dataset.name,
    kind: dataset.task ?? "classification",
    classes: dataset.classes,
    imageSize: size,
    splitHash: splitHash(dataset, store.contentHashes, split),
    positionsHash: split.hash,
    contentHashes: store.contentHashes,
    labels,
    targets,
    counts,
    validationIsGiven: dataset.items.some((item) => item.split === "validation"),
    skipped: store.skipped.size,
    ids: dataset.items.map((item) => item.id),
    pixelsKey: larger ? `${store.key} ${larger.key}` : store.key,
    items: (name, limit) => (limit === undefined ? split[name] : chosen(name, limit)),
    train: new Loader({ ...common, ...training, shuffle: true, isBalanced, rank }),
    trainOn: (rows) => new Loader({ ...common, ...training, indices: rows, shuffle: true, isBalanced, rank }),
    trainInOrder: new Loader({ ...common, ...training, batchSize: rowsWithoutGradient(size), shuffle: false }),
    open(name, limit) {
      return new Loader({
        ...common,
        indices: chosen(name, limit),
        batchSize: rowsWithoutGradient(size),
        shuffle: false,
      });
    },
    async openAt(imageSize, name, limit) {
      return ownedBatches(dataset, chosen(name, limit), { size: imageSize, fit, skipBad, onProgress, signal }, common);
    },
    pixels: (indices) => store.batch(indices),
    dispose() {
      store.dispose();
      larger?.dispose();
    },
  };
}

/** Labels of a data set's items, and where batches of them lie. */
export interface BatchOptions {
  /** Class of every item of the data set. */
  labels: readonly number[];
  /** Rows [C] of several labels or numbers of every item. */
  targets?: readonly (readonly number[])[] | undefined;
  classes: number;
  device?: string | undefined;
}

/**
 * Rows of a batch that nothing learns from: 64 of up to 224 px, fewer of larger images. One layer of a network at 512 px takes a
 * gigabyte for 64 of them.
 */
const rowsWithoutGradient = (side: number): number => Math.max(4, Math.round(64 * Math.min(1, (224 / side) ** 2)));

/**
 * Some items of a data set in order, with images of their own.
 * @throws UserError when one cannot be read
 */
export async function ownedBatches(
  dataset: Dataset,
  indices: readonly number[],
  options: Parameters<typeof ImageStore.open>[1],
  { labels, targets, classes, device }: BatchOptions,
): Promise<OwnedBatches> {
  const items = indices.map((index) => dataset.items[index] as Item);
  const store = await ImageStore.open({ ...dataset, items }, options);
  const places = new Map(indices.map((index, i) => [index, i]));
  const loader = new Loader({
    store,
    indices: items.flatMap((_, i) => (store.skipped.has(i) ? [] : [i])),
    labels: indices.map((index) => labels[index] ?? -1),
    targets: targets && indices.map((index) => targets[index] ?? []),
    classes,
    batchSize: rowsWithoutGradient(options.size),
    seed: 0,
    shuffle: false,
    device,
  });
  return {
    stepsPerEpoch: loader.stepsPerEpoch,
    async *epoch(epoch, startStep) {
      for await (const batch of loader.epoch(epoch, startStep)) {
        const { images, targets, labels } = batch;
        const own = batch.indices.map((i) => indices[i] as number);
        yield { images, targets, labels, indices: own, dispose: () => batch.dispose() };
      }
    },
    pixels: (positions) => store.batch(positions.map((index) => places.get(index) as number)),
    dispose: () => store.dispose(),
  };
}

/** So many of the items, each class in its proportion; the seed decides which. */
function spread(indices: readonly number[], count: number, labels: readonly number[], seed: number): number[] {
  if (count >= indices.length) return [...indices];
  const label = (index: number) => labels[index] ?? -1;
  const order = shuffled(indices, keyedRandom(seed, 0x5b5e7)).sort((a, b) => label(a) - label(b));
  const chosen = Array.from({ length: count }, (_, i) => order[Math.floor((i * order.length) / count)] as number);
  return chosen.sort((a, b) => a - b);
}

function splitHash({ classes, items }: Dataset, contents: readonly (string | undefined)[], split: Split): string {
  const hash = createHash("sha256").update(JSON.stringify(classes));
  for (const side of ["train", "validation", "test"] as const) {
    hash.update(side);
    for (const i of split[side]) hash.update(`\n${i} ${items[i]?.targets ?? items[i]?.label} ${contents[i]}`);
  }
  return hash.digest("hex").slice(0, 32);
}
