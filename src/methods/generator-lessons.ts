/**
 * What a generator needs that learns from losses (the credit "losses"): heads that are fitted before models are compared,
 * a first loss of every model on every image, and small views of the images for batches of the generator's own.
 * N images that are looked at, m models, b rows of such a batch, C classes, s side of a view.
 */
import { type AugmentOptions, augment, augmentations } from "../data/index.ts";
import { type BatchPart, drawRows, gatherRows, rowsOfRank } from "../nn/index.ts";
import { gains, type HubPathway, lossRegression, type MemberOutput, type PathwayGenerator } from "../pathway/index.ts";
import type { Steps } from "../ranking/index.ts";
import {
  cat,
  disposeTree,
  FlopMeter,
  full,
  type Generator,
  inferenceMode,
  int64,
  keyedRandom,
  noGrad,
  ops,
  type ProcessGroup,
  type RandomStreams,
  scope,
  shuffled,
  stack,
  type Tensor,
  zeros,
} from "../torch/index.ts";
import {
  type Batch,
  type BatchSource,
  forEachBatch,
  inTurns,
  sumOverRanks,
  type Task,
  type TrainBatch,
  taskHead,
} from "../train/index.ts";
import { type Gate, scoreLayer } from "./settle-scores.ts";

/** Images that are looked at, about, and from which alone the generator learns: 50 MB of views of 64 pixels, and closed forms within seconds. */
const mostImages = 4096;
/**
 * Rows of a batch: as many for each model, but no more than a part of the images, which would be learned by heart, and no
 * more pixels than a few per cent of a step with models that are trained.
 */
const [rowsOfModel, partOfImages, mostPixels] = [32, 1 / 4, 2 ** 17];
/**
 * Changes of a view, new each time: losses are noisy labels, and views that stay the same are learned by heart. Noise
 * grows while training, in units of the views' own deviation: at once in full it would hide from the start what there is
 * to learn.
 */
const changes: AugmentOptions = { ...augmentations.none, minimumArea: 0.6 };
const noise: readonly [number, number] = [0.75, 3];

/** Views of a pass that only scores them. */
const rowsOfPass = 256;

/** First scores of models that start equal are measured on so many images. */
const imagesToScatter = 512;

/** Nats: losses that differ by less are of models that start equal. */
const sameLoss = 1e-6;

/**
 * What an ablation takes away: "memory", so that heads are fitted and the weights teach; "heads", which start at nothing, as the memory does;
 * "left-out", so that first losses are those of a head that knows the image; "changes" of views; "first", so that losses of trained heads are
 * joined to the first ones, or with "mean" replace them.
 */
export type LessonPart = "memory" | "heads" | "left-out" | "changes" | "first" | "mean";

/** Values of all models for the images that were looked at. */
interface Look {
  /** Rows of the memory, [N]. */
  rows: number[];
  /** uint8 [n, 3, s, s] of each batch. */
  views: Tensor[];
  /** Targets of each batch. */
  targets: Tensor[];
  /** Features [n, d] of each batch, for each model. */
  features: Tensor[][];
}

/** Head of a model in closed form, with its losses [n] on images that it was fitted without. */
interface FirstHead {
  weight: Tensor;
  bias: Tensor;
  losses: Tensor;
}

export class GeneratorLessons {
  readonly #module: HubPathway;
  readonly #task: Task;
  readonly #streams: RandomStreams;
  /** Row of the memory by an image's position in its data set. */
  readonly #rowOf: ReadonlyMap<number, number>;
  #rows: number[] = [];
  #views: Tensor | undefined;
  #deviation = 0;
  #keepsFirst = false;
  readonly #without: LessonPart | undefined;

  constructor(
    module: HubPathway,
    task: Task,
    streams: RandomStreams,
    items: readonly number[],
    without?: LessonPart | undefined,
  ) {
    this.#without = without;
    this.#module = module;
    this.#task = task;
    this.#streams = streams;
    this.#rowOf = new Map(items.map((item, row) => [item, row]));
  }

  /**
   * Looks at the images of the first epoch once: views for this session, and in a new training the heads and first losses.
   * Ranks look at their rows of each batch and tell each other what they saw.
   * @returns forward FLOPs
   */
  async prepare(batches: BatchSource, signal?: AbortSignal, group?: ProcessGroup): Promise<number> {
    const module = this.#module;
    // Losses of a head on rows that it was trained on say little: where only heads learn, the first ones stay.
    const areFrozen = module.members.every(({ backbone }) => backbone.parameters().every((p) => !p.requires_grad));
    this.#keepsFirst = areFrozen && !["heads", "first", "mean"].includes(this.#without ?? "");
    const isNew = scope(() => module.memory?.lt(0).all().item() === 1);
    const meter = new FlopMeter();
    const look: Look = { rows: [], views: [], targets: [], features: module.members.map(() => []) };
    module.eval();
    try {
      await forEachBatch(first(batches), { work: "first look at the images", signal, group }, (batch) => {
        const part = group && batch.part && { group, ...batch.part };
        this.#observe(look, batch, part, isNew ? meter : undefined);
      });
      disposeTree(this.#views);
      const firsts = firstPlaces(look.rows);
      this.#rows = firsts.map((place) => look.rows[place] ?? -1);
      this.#views = scope(() => chosen(cat(look.views), firsts));
      this.#deviation = scope(() => deviationOf(this.#views as Tensor));
      if (isNew && this.#without !== "heads")
        await inTurns(this.#fit(look, firsts), { work: "first heads", signal, group });
      module.credit = this.comparesModels && this.#without !== "memory" ? "losses" : "weights";
      if (!this.comparesModels) this.#divide(isNew);
      return group ? sumOverRanks(meter.total, group) : meter.total;
    } finally {
      disposeTree([look.views, look.targets, look.features]);
    }
  }

  /** Views of a batch, and the features of all models when they are metered. */
  #observe(look: Look, batch: Batch, part: BatchPart | undefined, meter: FlopMeter | undefined): void {
    const module = this.#module;
    look.rows.push(...this.#rowsOf(itemsOf(batch.indices, part)));
    const views = () => module.generator.view(batch.images).clamp(0, 1).mul(255).add(0.5);
    look.views.push(scope(() => gatherRows(views().to({ dtype: "uint8", device: "cpu" }), part)));
    if (!meter) return;
    const all = batch.indices.map(() => module.members.map((_, i) => i));
    const outputs = scope(() =>
      noGrad(() => {
        const routing = module.along(zeros([all.length, module.members.length], { device: batch.images.device }), all);
        const { members } = meter.count(() => module.execute(batch.images, routing, batch.features));
        return members.map(({ features }) => gatherRows(features, part).clone());
      }),
    );
    for (const [i, features] of outputs.entries()) look.features[i]?.push(features);
    look.targets.push(scope(() => gatherRows(batch.targets, part).clone()));
  }

  /** Heads in closed form, a step each, and the losses of heads that were fitted without the image. */
  *#fit({ targets, features }: Look, firsts: readonly number[]): Steps<void> {
    const fits: FirstHead[] = [];
    try {
      using labels = scope(() => chosen(cat(targets), firsts));
      for (const tables of features) {
        fits.push(scope(() => noGrad(() => this.#firstHead(chosen(cat(tables), firsts), labels))));
        yield;
      }
      scope(() => noGrad(() => this.#take(fits, this.#rows)));
    } finally {
      disposeTree(fits);
    }
  }

  #firstHead(features: Tensor, labels: Tensor): FirstHead {
    const task = this.#task;
    const wide = features.to({ dtype: "float64" });
    const { weight, bias, leftOut } = taskHead(task, wide, labels);
    const seen = () => wide.matmul(weight.t()).add(bias);
    return { weight, bias, losses: task.rowLoss(this.#without === "left-out" ? seen() : leftOut, labels) };
  }

  /** Models that start equal have nothing to be compared by: they keep their heads, and a memory of zeros says so. */
  #take(fits: readonly FirstHead[], rows: readonly number[]): void {
    const { heads, memory } = this.#module;
    const [first] = fits;
    const differs = (losses: Tensor) =>
      losses
        .sub(first?.losses ?? 0)
        .abs()
        .max()
        .item() > sameLoss;
    if (fits.length > 1 && !fits.some(({ losses }) => differs(losses))) {
      memory?.zero_();
      return;
    }
    for (const [i, { weight, bias }] of fits.entries()) {
      heads[i]?.weight.copy_(weight);
      heads[i]?.bias?.copy_(bias);
    }
    const losses = fits.map((fit) => fit.losses);
    this.#remember(rows, stack(losses, 1));
  }

  /**
   * Models that start equal become different by the images that they are given, from the first step on: random routes would keep
   * them alike. Exploration lasts, so that no model takes two kinds of images where another has none.
   */
  #divide(isNew: boolean): void {
    const module = this.#module;
    module.config = { ...module.config, warmup: 0, explorationFade: 1 };
    if (!isNew) return;
    const views = this.#views as Tensor;
    const device = module.memory?.device;
    scope(() => {
      const some = views.narrow(0, 0, Math.min(imagesToScatter, views.size(0))).to({ dtype: "float32", device });
      scatterScores(module.generator, some.div(255), this.#streams.stream("lessons"));
    });
  }

  /** False where the models started equal. */
  get comparesModels(): boolean {
    return scope(() => this.#module.memory?.eq(0).all().item() !== 1);
  }

  /** Keeps what activated models lost on their rows: with members that learn, as a mean in which old losses fade. */
  record({ indices, isMixed, shared }: TrainBatch, members: readonly MemberOutput[], own: readonly Tensor[]): void {
    // What a model lost on a mixture of images says little about either.
    if (this.#keepsFirst || this.#module.credit === "weights" || !indices || isMixed) return;
    scope(() =>
      noGrad(() => {
        const { dtype, device } = this.#module.memory as Tensor;
        const losses = full([indices.length, this.#module.members.length], -1, { dtype, device });
        for (const [at, { index, rowIndex }] of members.entries()) {
          ops.index_copy_(losses.select(1, index), 0, rowIndex, (own[at] as Tensor).detach().to({ dtype }));
        }
        this.#remember(this.#rowsOf(itemsOf(indices, shared)), gatherRows(losses, shared));
      }),
    );
  }

  #rowsOf(items: readonly number[]): number[] {
    return items.map((item) => {
      const row = this.#rowOf.get(item);
      if (row === undefined) throw new RangeError(`item ${item} is no training image of this run`);
      return row;
    });
  }

  /** @param losses of models on rows, [n, m]; -1 where there is none */
  #remember(rows: readonly number[], losses: Tensor): void {
    const memory = this.#module.memory as Tensor;
    const places = int64(rows, memory.device);
    const before = memory.index_select(0, places);
    const now = losses.to({ dtype: memory.dtype });
    const joined = this.#without === "mean" ? now : ops.where(before.lt(0), now, before.add(now).div(2));
    // A step that is left out because its loss is not finite must not be remembered.
    const isLoss = ops.isfinite(now).logical_and(now.ge(0));
    ops.index_copy_(memory, 0, places, ops.where(isLoss, joined, before));
  }

  /**
   * Loss of the generator on a batch of its own, when losses teach it. The ranks of a group share this batch too.
   * @param progress done part of training, 0 … 1
   */
  loss(progress: number, group?: ProcessGroup): Tensor | undefined {
    const { generator, memory, members, credit } = this.#module;
    if (credit === "weights") return undefined;
    const views = this.#views;
    if (!views || !memory) throw new Error("the generator's lessons were not prepared");
    const stream = this.#streams.stream("lessons");
    return scope(() => {
      const number = Math.floor(
        zeros([1])
          .uniform_(0, 2 ** 24, { generator: stream })
          .item(),
      );
      const most = lessonRows(members.length, this.#rows.length, views.size(2) * views.size(3));
      const size = Math.max(group?.worldSize ?? 1, Math.ceil(most));
      const whole = shuffled([...this.#rows.keys()], keyedRandom(this.#streams.seed, number)).slice(0, size);
      const [first, end] = rowsOfRank(whole.length, group ?? { rank: 0, worldSize: 1 });
      const part = group && { group, rows: whole.length, first };
      const order = whole.slice(first, end);
      const chosen = views.index_select(0, int64(order)).to({ dtype: "float32" }).div(255);
      const scale = this.#deviation * (noise[0] + (noise[1] - noise[0]) * progress);
      const changed = changedViews(chosen, order, this.#streams.seed, number);
      const added = drawRows(changed, stream, (own) => own.normal_(0, scale, { generator: stream }), part);
      const view = this.#without === "changes" ? chosen : changed.add(added);
      const rows = int64(
        order.map((i) => this.#rows[i] ?? 0),
        memory.device,
      );
      const scores = generator.forward(view.to({ device: memory.device, dtype: memory.dtype }));
      return lossRegression(scores, memory.index_select(0, rows), part);
    });
  }

  /** One gate, which has the mean gains of the remembered losses, and the mean scores of the images that were looked at. */
  gate(): Gate {
    const { generator, memory } = this.#module;
    const views = this.#views;
    if (!views || !memory) throw new Error("the generator's lessons were not prepared");
    return scope(() =>
      inferenceMode(() => {
        const sums = views.split(rowsOfPass).map((part) => {
          return generator.forward(part.to({ dtype: memory.dtype, device: memory.device }).div(255)).sum(0);
        });
        const own = gains(memory).sum(0).div(memory.ge(0).sum(0).clamp(1));
        return { own, mean: stack(sums).sum(0).div(views.size(0)) };
      }),
    );
  }

  dispose(): void {
    disposeTree(this.#views);
  }
}

/** Rows of a batch of the generator's own, for m models, so many images, and views of so many pixels; not rounded. */
export const lessonRows = (m: number, images: number, pixels: number): number =>
  Math.min(rowsOfModel * m, partOfImages * images, mostPixels / pixels);

/** Views [b, 3, s, s] as a lesson changes them. @param rows which images they are @param number of the lesson */
export const changedViews = (views: Tensor, rows: readonly number[], seed: number, number: number): Tensor =>
  augment(views, rows, changes, seed, number);

/** Last weights drawn at random, with which the scores of each model have the mean 0 and the deviation 1 over images. */
export function scatterScores(generator: PathwayGenerator, images: Tensor, random: Generator): void {
  const { weight, bias } = scoreLayer(generator);
  const { training } = generator;
  scope(() =>
    noGrad(() => {
      weight.normal_(0, 1, { generator: random });
      const scores = generator.train().forward(images);
      const deviation = scores.var(0).sqrt();
      weight.div_(deviation.unsqueeze(1));
      bias.copy_(scores.mean(0).div(deviation).neg());
    }),
  );
  generator.train(training);
}

/** Positions of a batch's images in their data set, of all ranks' rows where several share it. */
function itemsOf(indices: readonly number[], part: BatchPart | undefined): readonly number[] {
  return part ? scope(() => gatherRows(int64(indices), part).toNumbers()) : indices;
}

/**
 * Places of the rows that come for the first time: balanced batches show images of small classes again, and a head that is fitted
 * without an image must not have seen its copy.
 */
function firstPlaces(rows: readonly number[]): number[] {
  const seen = new Set<number>();
  return rows.flatMap((row, place) => {
    if (seen.has(row)) return [];
    seen.add(row);
    return [place];
  });
}

/** The table itself where all rows are chosen. */
function chosen(table: Tensor, places: readonly number[]): Tensor {
  return places.length === table.size(0) ? table : table.index_select(0, int64(places, table.device));
}

/** The first batches of the first epoch. */
async function* first(batches: BatchSource): ReturnType<BatchSource["epoch"]> {
  let count = 0;
  for await (const batch of batches.epoch(0, 0)) {
    count += batch.part?.rows ?? batch.indices.length;
    yield batch;
    if (count >= mostImages) return;
  }
}

/** Deviation of pixels from their channel's mean, of views in [0, 255] as if in [0, 1]. */
function deviationOf(views: Tensor): number {
  const x = views.to({ dtype: "float32" }).div(255);
  return x
    .sub(x.mean([0, 2, 3], true))
    .square()
    .mean()
    .sqrt()
    .item();
}
