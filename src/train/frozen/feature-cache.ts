/**
 * Features of frozen members, computed once for a fixed number of views of each image and memory-mapped from then on.
 *
 * A member passes over all its images before the training that needs them, view by view, one file for each view: memory
 * holds one view of one member, an interruption costs one view at most, more views later add to those that are there,
 * and every method of the same data shares the files. Computing only what routes ask for would save passes where
 * epochs * k < views * m, at the price of files that are changed in place. n images, d features.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { type AugmentName, type AugmentOptions, augmentations, viewOf } from "../../data/index.ts";
import { computationOf, type Hub, memberEntry } from "../../hub/index.ts";
import { ensureCacheDirectory, holdCached, trimCache } from "../../io/index.ts";
import { FoldedNorms } from "../../nn/index.ts";
import type { StoredFeatures } from "../../pathway/index.ts";
import {
  autocast,
  ConfigError,
  disposeTree,
  ensureResident,
  Interrupted,
  inferenceMode,
  int64,
  keep,
  noGrad,
  ops,
  type ProcessGroup,
  scope,
  type Tensor,
  UserError,
  zeros,
} from "../../torch/index.ts";
import { forEachBatch } from "../batches.ts";
import type { Batch, BatchSource, SplitName, TaskData } from "../data.ts";
import type { Emit } from "../events.ts";
import type { ImageView, Learner, Predictor } from "../learner.ts";
import type { Method } from "../method.ts";
import type { RequestedOptions, TrainOptions } from "../options.ts";
import { firstRankFirst, onAnyRank } from "../ranks.ts";
import { hashTensors, readFeatures, writeFeatures } from "./feature-file.ts";

/** Raised when the same key would no longer give the same features. */
const featureVersion = 1;

export type HeldOutSplit = Exclude<SplitName, "train">;

export interface FeatureCacheOptions {
  hub: Hub;
  data: TaskData;
  /** Images of a held-out split that are looked at: see `TaskData.open`. */
  limits?: { [split in HeldOutSplit]?: number | undefined } | undefined;
  /** Changes of the training images. */
  augmentation: AugmentOptions;
  options: Pick<TrainOptions, "seed" | "precision"> & { frozenViews: number };
  emit: Emit;
  signal?: AbortSignal | undefined;
  /** Ranks that compute the features together. */
  group?: ProcessGroup | undefined;
}

/** @throws ConfigError when members that stay as they are do not fit the other options, naming the option */
export function checkFrozen(options: RequestedOptions, augment: AugmentName, method: Method): void {
  const { frozenViews: views } = options;
  if (views === undefined) return;
  if (!method.freezesMembers) throw new ConfigError(`the method ${method.name} cannot leave members as they are`);
  if (!Number.isInteger(views) || views < 1) {
    throw new ConfigError(`the number of views is ${views}: it must be a whole number of at least 1`);
  }
  if (augmentations[augment].mixup > 0) {
    throw new ConfigError(
      `frozen members see each view of an image once, and ${augment} mixes it with other images in every epoch: ` +
        "choose another augmentation (--augment)",
    );
  }
  if (options.batchNorm === "recalibrated") {
    throw new ConfigError("frozen members stay as they are, BatchNorm statistics included: leave out --batch-norm");
  }
}

/**
 * Small images of a view that are kept beside features, so that a step reads no images: as many bytes at most, since one table
 * is in memory while it is made. 64 pixels a side are about 10,000 images. More are read and changed in every epoch.
 */
const mostImageBytes = 2 ** 29;

/** What tables are made of: a member's features, or small images. */
interface Source {
  name: string;
  /** Of a row. */
  width: number;
  /** What is computed, in words. */
  what: string;
  /** All that rows depend on, beside the images. */
  key: () => readonly unknown[];
  /** float32 [B, width] on the CPU, which the caller disposes. */
  run: (images: Tensor) => Tensor;
}

/** The images of one table and what is done to them. */
interface View {
  items: readonly number[];
  /** Ordered batches of the items: from one on, each `stride`-th. */
  batches: (first: number, stride: number) => AsyncIterable<Batch>;
  /** Number of batches. */
  steps: number;
  precision: TrainOptions["precision"];
  /** Augmentation of the images; undefined for the images themselves. */
  augmentation: unknown;
}

export class FeatureCache {
  readonly #options: FeatureCacheOptions;
  readonly #folder = ensureCacheDirectory("features");
  /** Mapped features by the file they come from. */
  readonly #tables = new Map<string, Tensor>();
  /** Features of held-out images by split and member. */
  readonly #heldOut = { validation: new Map<string, Tensor>(), test: new Map<string, Tensor>() };
  readonly #memberHashes = new WeakMap<object, string>();
  /** Seconds of computing in this process. */
  seconds = 0;

  constructor(options: FeatureCacheOptions) {
    this.#options = options;
  }

  /** Forward FLOPs of all views of the training images by the learner's backbones, whether computed now or found. */
  trainingFlops(learner: Learner): number {
    const perImage = learner.backbones.reduce((sum, _, i) => sum + learner.featureFlops(i), 0);
    return this.#options.data.counts.train * this.#distinctViews() * perImage;
  }

  /**
   * The training batches, with the features of the learner's backbones at hand.
   * @throws Interrupted after the signal; UserError when a file cannot be written
   */
  async train(learner: Learner, batches: BatchSource): Promise<BatchSource> {
    const { data, options, augmentation } = this.#options;
    const { precision, seed, frozenViews } = options;
    const views = Array.from({ length: this.#distinctViews() }, (_, v): View => {
      return {
        items: data.items("train"),
        batches: (first, stride) => data.trainInOrder.epoch(v, first, stride),
        steps: data.trainInOrder.stepsPerEpoch,
        precision,
        augmentation: v === 0 ? undefined : [augmentation, seed, v],
      };
    });
    const tables = await this.#tablesOf(learner, views, "training");
    const ofEpoch = (epoch: number) => tables[viewOf(epoch, frozenViews) % tables.length] ?? new Map();
    return this.#stored(learner, batches, data.items("train"), ofEpoch);
  }

  /** Computes the features of held-out images by the learner's backbones; `open` has them from then on. */
  async prepare(split: HeldOutSplit, learner: Learner): Promise<void> {
    const { data, limits } = this.#options;
    const batches = data.open(split, limits?.[split]);
    const view: View = {
      items: data.items(split, limits?.[split]),
      batches: (first, stride) => batches.epoch(0, first, stride),
      steps: batches.stepsPerEpoch,
      precision: "float32",
      augmentation: undefined,
    };
    const [tables = new Map<string, Tensor>()] = await this.#tablesOf(learner, [view], split);
    for (const [name, table] of tables) this.#heldOut[split].set(name, table);
  }

  /** The batches of a held-out split, with the features that are at hand, for a predictor that may need no more. */
  open(split: HeldOutSplit, predictor?: Predictor): BatchSource {
    const { data, limits } = this.#options;
    const limit = limits?.[split];
    const batches = data.open(split, limit);
    return this.#stored(predictor, batches, data.items(split, limit), () => this.#heldOut[split]);
  }

  /** The batches with what tables hold of their images, and without images where the predictor needs no more than that. */
  #stored(
    predictor: Predictor | undefined,
    batches: BatchSource,
    items: readonly number[],
    tablesOf: (epoch: number) => Tables,
  ): BatchSource {
    const tables = tablesOf(0);
    const isKnown = predictor?.memberNames.every((name) => tables.has(name));
    const bare = isKnown ? batches.withoutImages?.() : undefined;
    if (!predictor || !bare) return withFeatures(batches, items, tablesOf);
    if (predictor.readsImages === false) return withFeatures(bare, items, tablesOf);
    const { imageView: small } = predictor;
    if (!small || !tables.has(smallName(small))) return withFeatures(batches, items, tablesOf);
    return withFeatures(bare, items, tablesOf, small);
  }

  dispose(): void {
    disposeTree([...this.#tables.values()]);
    this.#tables.clear();
    for (const tables of Object.values(this.#heldOut)) tables.clear();
  }

  /** Without augmentation all views are the first. */
  #distinctViews(): number {
    return isDeepStrictEqual(this.#options.augmentation, augmentations.none) ? 1 : this.#options.options.frozenViews;
  }

  /** By view, the features of each backbone; one backbone after the other, so that each is brought to memory once. */
  async #tablesOf(learner: Learner, views: readonly View[], what: string): Promise<Map<string, Tensor>[]> {
    const tables = views.map(() => new Map<string, Tensor>());
    for (const source of this.#sources(learner, views)) {
      const before = this.seconds;
      for (const [v, view] of views.entries()) tables[v]?.set(source.name, await this.#table(source, view));
      const seconds = this.seconds - before;
      const images = `${views[0]?.items.length} ${what} images${views.length > 1 ? `, ${views.length} views` : ""}`;
      const text = `${source.what}: ${images}, in ${seconds.toFixed(1)} s`;
      if (seconds > 0) this.#options.emit({ type: "note", text });
    }
    return tables;
  }

  /** The learner's backbones, and small images where it looks at no larger ones. */
  #sources(learner: Learner, [view]: readonly View[]): Source[] {
    const precision = view?.precision ?? "float32";
    const members = learner.memberNames.map((name, i) => this.#member(learner, i, name, precision));
    const { imageView: small, readsImages } = learner;
    // Ranks that share batches see whole ones in part.
    if (!small || readsImages === false || this.#options.group) return members;
    const source = smallImages(small);
    const bytes = 4 * source.width * (view?.items.length ?? 0);
    return bytes > mostImageBytes ? members : [...members, source];
  }

  #member(learner: Learner, index: number, name: string, precision: TrainOptions["precision"]): Source {
    const entry = memberEntry(this.#options.hub, name);
    return {
      name,
      width: entry.featureWidth,
      what: `features of ${name}`,
      key: () => {
        const { architecture, config, weights, keyMap, input } = computationOf(entry);
        return [precision, [architecture, config, weights, keyMap, input], this.#memberHash(learner, index)];
      },
      run: (images) => {
        learner.backbones[index]?.eval();
        return featuresOf(learner, index, images, precision);
      },
    };
  }

  /** Rows [n, d] of a view's items. */
  async #table(source: Source, view: View): Promise<Tensor> {
    const key = this.#key(source, view);
    const { name, width } = source;
    const path = join(
      this.#folder,
      `${name.replace(/[^a-z0-9-]/gi, "_").slice(0, 40)}-${key.slice(0, 20)}.safetensors`,
    );
    const open = this.#tables.get(path);
    if (open) return open;
    holdCached(path);
    const shape = [view.items.length, width] as const;
    let table = readFeatures(path, key, shape);
    const { group } = this.#options;
    if (onAnyRank(!table, group)) {
      using features = await this.#compute(source, view);
      // Ranks that share a cache find what the first one wrote.
      await firstRankFirst(group, async () => {
        table ??= readFeatures(path, key, shape);
        if (!table) writeFeatures(path, key, features);
        table ??= readFeatures(path, key, shape);
      });
      trimCache();
    }
    if (!table) throw new UserError(`${path} does not hold what was just written to it: is its disk sound?`);
    this.#tables.set(path, table);
    return table;
  }

  /**
   * Rows [n, d] of a view's items. Ranks take the batches in turns, whole, so that each row is what one process computes;
   * the others' rows are zero until all are added up.
   */
  async #compute({ what: work, width, run }: Source, view: View): Promise<Tensor> {
    const began = performance.now();
    const { signal, group } = this.#options;
    const { rank, worldSize } = group ?? { rank: 0, worldSize: 1 };
    const loop = group ? { work } : { work, signal };
    const places = new Map(view.items.map((item, place) => [item, place]));
    const table = keep(zeros([view.items.length, width]));
    // The last round is not one of all ranks.
    let rounds = Math.floor(view.steps / worldSize);
    // One model's copies at a time fit beside it, however little memory the hub may use.
    using folds = new FoldedNorms({ keepsParkable: true });
    try {
      await forEachBatch(view.batches(rank, worldSize), loop, ({ images, indices }) => {
        using features = folds.run(() => run(images));
        const rows = indices.map((item) => places.get(item) ?? failed(item));
        scope(() => noGrad(() => ops.index_copy_(table, 0, int64(rows), features)));
        rounds -= 1;
        if (group && rounds >= 0 && onAnyRank(signal?.aborted === true, group)) throw new Interrupted(work);
      });
      if (group) scope(() => noGrad(() => table.copy_(group.allReduce(table))));
    } catch (error) {
      table.dispose();
      throw error;
    }
    this.seconds += (performance.now() - began) / 1000;
    return table;
  }

  /** A hash of all that the rows depend on. */
  #key(source: Source, view: View): string {
    const identity = [
      featureVersion,
      this.#options.data.pixelsKey,
      view.items,
      view.augmentation ?? null,
      ...source.key(),
    ];
    return createHash("sha256").update(JSON.stringify(identity)).digest("hex");
  }

  /** Hash of the weights as they are in memory: a control may have drawn its own. */
  #memberHash(learner: Learner, index: number): string {
    const backbone = learner.backbones[index];
    if (!backbone) throw new RangeError(`no backbone ${index}`);
    const known = this.#memberHashes.get(backbone);
    if (known !== undefined) return known;
    const tensors = [...backbone.stateDict().values()];
    for (const tensor of tensors) ensureResident(tensor, false);
    const hash = hashTensors(tensors);
    this.#memberHashes.set(backbone, hash);
    return hash;
  }
}

/** float32 [B, d], under the precision that training would compute them with. */
function featuresOf(learner: Learner, index: number, images: Tensor, precision: TrainOptions["precision"]): Tensor {
  const { device } = images;
  const forward = () => learner.features(index, images);
  return keep(
    scope(() =>
      inferenceMode(() => {
        const features = precision === "float32" ? forward() : autocast({ device, dtype: precision }, forward);
        // A copy, since features may be a view that would hold a whole feature map.
        return features.to({ dtype: "float32", device: "cpu" }).clone();
      }),
    ),
  );
}

/** Small images of a batch, [B, 3 * S * S]; the same whatever learner asks. */
function smallImages(small: ImageView): Source {
  return {
    name: smallName(small),
    width: 3 * small.side ** 2,
    what: smallName(small),
    key: () => ["pixels as they are"],
    run: (images) => keep(scope(() => inferenceMode(() => small.of(images).flatten(1).to({ device: "cpu" }).clone()))),
  };
}

/** No name of a member, which has no spaces. */
const smallName = ({ side }: ImageView): string => `images of ${side} pixels`;

/** By what they are of: a member, or small images. */
type Tables = ReadonlyMap<string, Tensor>;

/** Batches that carry the features of their images, and small images where their own have been left out. */
function withFeatures(
  source: BatchSource,
  items: readonly number[],
  tablesOf: (epoch: number) => Tables,
  small?: ImageView,
): BatchSource {
  const positions = new Map(items.map((item, position) => [item, position]));
  return {
    stepsPerEpoch: source.stepsPerEpoch,
    async *epoch(epoch, startStep) {
      for await (const batch of source.epoch(epoch, startStep)) {
        const { targets, labels, indices, part } = batch;
        const features = lookUp(tablesOf(epoch), indices, positions, batch.images.device);
        const images = small ? smallBatch(features, small) : batch.images;
        const dispose = () => {
          if (small) images.dispose();
          batch.dispose();
        };
        yield { images, targets, labels, indices, features, part, dispose };
      }
    },
  };
}

function smallBatch(features: StoredFeatures, small: ImageView): Tensor {
  const { side } = small;
  return scope(() => {
    const pixels = features(smallName(small))?.reshape([-1, 3, side, side]);
    if (!pixels) throw new RangeError(`there are no ${smallName(small)}`);
    return keep(pixels);
  });
}

function failed(item: number): never {
  throw new RangeError(`item ${item} is not of this view`);
}

function lookUp(
  tables: Tables,
  indices: readonly number[],
  positions: ReadonlyMap<number, number>,
  device: string,
): StoredFeatures {
  const all = indices.map((index) => positions.get(index) ?? -1);
  return (member, rows) => {
    const own = rows ? rows.map((row) => all[row] ?? -1) : all;
    const table = tables.get(member);
    return table && scope(() => table.index_select(0, int64(own)).to({ device }));
  };
}
