/**
 * Forms of the generator that are compared and are no choices of the method: they are put into a learner from outside.
 * B rows of a batch, N images, m members, H features before the scores.
 */
import { PathwayLearner, type PathwayLearnerOptions, scatterScores } from "../../methods/index.ts";
import { BatchNorm2d, Module } from "../../nn/index.ts";
import { lossRegression, type PathwayGenerator, type PathwayOutput } from "../../pathway/index.ts";
import {
  disposeTree,
  eye,
  full,
  Generator,
  int64,
  keep,
  noGrad,
  ops,
  scope,
  seedOf,
  stack,
  type Tensor,
  zeros,
} from "../../torch/index.ts";
import { ClassificationTask, type PartedStep, type StepResult, type TrainBatch } from "../../train/index.ts";
import { SampleBatches } from "./training.ts";
import type { Sample } from "./world.ts";

/**
 * "group-norm" in place of BatchNorm; "averaged" weights in evaluation; "residual": scores shrunk to their mean as far as
 * held-out images ask for; "posterior": noise as wide as scores are uncertain (Thompson sampling); "fitted-tau" of the
 * weights over the activated; "scattered": first scores that differ by image, in place of zeros; "both" teachers, with a
 * memory of mean losses, "both-last" with the last ones, "both-fresh" with losses of all members, which cost a pass each.
 */
export type Variant =
  | "group-norm"
  | "averaged"
  | "residual"
  | "posterior"
  | "fitted-tau"
  | "scattered"
  | "both"
  | "both-last"
  | "both-fresh";

const channelsOfGroup = 4;
/** Part of an average that a step leaves. */
const kept = { weights: 0.99, features: 0.9 };
/** Images of a batch that settles scores. */
const heldRows = 256;
/** Those of the weights that are tried. */
const temperatures = Array.from({ length: 17 }, (_, i) => 2 ** (i / 2 - 4));

/** A learner with one of these forms, or as it is. */
export class VariantLearner extends PathwayLearner {
  readonly #variant: Variant | undefined;
  readonly #task: PathwayLearnerOptions["task"];
  /** Own losses on the training images for two teachers, [N, m]: -1 where unknown. */
  readonly #losses: Tensor | undefined;
  readonly #uncertainty: Uncertainty | undefined;
  /** Of the generator's state. */
  #averages: Tensor[] | undefined;

  constructor(options: PathwayLearnerOptions, variant?: Variant) {
    super(options);
    const { members, items = [], task } = options;
    const { generator, memory } = this.module;
    this.#variant = variant;
    this.#task = task;
    if (variant === "group-norm") useGroupNorm(generator);
    if (variant === "posterior" && memory) this.#uncertainty = new Uncertainty(generator, memory);
    if (variant?.startsWith("both")) this.#losses = keep(full([items.length, members.length], -1));
  }

  override get prefersParts(): boolean {
    return !this.#losses && super.prefersParts;
  }

  override step(batch: TrainBatch, progress: number): StepResult {
    return this.#losses ? this.#stepOfTwo(batch, progress, this.#losses) : super.step(batch, progress);
  }

  override stepInParts(...step: Parameters<PathwayLearner["stepInParts"]>): PartedStep {
    if (this.#variant === "averaged") this.#average();
    return super.stepInParts(...step);
  }

  /** What is settled before training. */
  begin({ images }: Sample, seed: number): void {
    if (this.#variant !== "scattered") return;
    using random = new Generator(seedOf(seed, "scattered"));
    scatterScores(this.module.generator, images, random);
  }

  /** What is settled after training, on images that nothing else has seen. */
  async finish(held: () => Sample): Promise<void> {
    const { generator } = this.module;
    this.module.eval();
    if (this.#variant === "residual") {
      const sample = held();
      using _images = sample.images;
      await this.settle(new SampleBatches(sample, heldRows, 0));
    }
    scope(() =>
      noGrad(() => {
        const state = stateOf(generator);
        for (const [i, average] of this.#averages?.entries() ?? []) state[i]?.copy_(average);
        if (this.#variant === "fitted-tau") this.#fitTau(held());
      }),
    );
  }

  #average(): void {
    const state = stateOf(this.module.generator);
    this.#averages ??= scope(() => noGrad(() => state.map((own) => keep(own.detach().clone()))));
    const averages = this.#averages;
    scope(() =>
      noGrad(() => {
        for (const [i, own] of state.entries()) averages[i]?.mul_(kept.weights).add_(own.mul(1 - kept.weights));
      }),
    );
  }

  /** The task's loss through the weights, and regression on losses; random routes have no scores to teach. */
  #stepOfTwo(batch: TrainBatch, progress: number, memory: Tensor): StepResult {
    const { module } = this;
    const output = module.execute(batch.images, module.route(batch.images, progress), batch.features);
    const losses = module.losses(output, (logits, rows) => this.#rowLoss(batch, logits, rows), progress);
    const known = noGrad(() => {
      if (this.#variant === "both-fresh") return this.#freshLosses(batch);
      return remember(memory, batch.indices ?? [], output, losses.own, this.#variant === "both");
    });
    const { scores, rows } = output.routing;
    const loss = scores.requires_grad ? losses.total.add(lossRegression(scores, known)) : losses.total;
    return { loss, isWhole: true, rows: rows.map((own) => own.length), logs: { task: losses.task.item() } };
  }

  #rowLoss({ targets }: TrainBatch, logits: Tensor, rows?: Tensor): Tensor {
    return this.#task.rowLoss(logits, rows ? targets.index_select(0, rows) : targets);
  }

  /** Losses of all members on a batch, [B, m]. */
  #freshLosses(batch: TrainBatch): Tensor {
    const { module } = this;
    const [rows, m] = [batch.images.size(0), module.members.length];
    const all = Array.from({ length: rows }, () => module.members.map((_, i) => i));
    const { members } = module.execute(batch.images, module.along(zeros([rows, m]), all), batch.features);
    return stack(
      members.map(({ logits }) => this.#rowLoss(batch, logits)),
      1,
    );
  }

  #fitTau({ images, labels }: Sample): void {
    const { generator, config } = this.module;
    const scores = generator.forward(images);
    const tried = ["equal" as const, ...temperatures];
    const losses = tried.map((tau) => this.#lossesOf(images, labels, scores, tau));
    config.tau = tried[least(losses)] ?? "equal";
  }

  /** Losses [N] of images along routes by scores. */
  #lossesOf(images: Tensor, labels: readonly number[], scores: Tensor, tau: number | "equal"): Tensor {
    const { module } = this;
    const { logits } = module.execute(images, module.routeBy(scores, module.config.k, tau));
    return new ClassificationTask(this.#task.outputs, 0).rowLoss(logits, int64([...labels]));
  }

  override dispose(): void {
    disposeTree([this.#averages, this.#losses]);
    this.#uncertainty?.dispose();
    super.dispose();
  }
}

function least(losses: readonly Tensor[]): number {
  const means = losses.map((own) => own.mean().item());
  return means.indexOf(Math.min(...means));
}

/** Parameters and buffers but counters. */
function stateOf(generator: PathwayGenerator): Tensor[] {
  return [...generator.stateDict().values()].filter((own) => own.dtype === "float32");
}

/** Keeps the losses of activated members: the last one, or the mean of the last and what was kept. @returns the rows, [B, m] */
function remember(
  memory: Tensor,
  indices: readonly number[],
  { members }: PathwayOutput,
  own: readonly Tensor[],
  isMean: boolean,
): Tensor {
  const places = int64([...indices]);
  const rows = memory.index_select(0, places);
  for (const [at, { index, rowIndex }] of members.entries()) {
    const now = (own[at] as Tensor).detach();
    const before = rows.select(1, index).index_select(0, rowIndex);
    const joined = isMean ? ops.where(before.lt(0), now, before.add(now).div(2)) : now;
    ops.index_copy_(rows.select(1, index), 0, rowIndex, joined);
  }
  ops.index_copy_(memory, 0, places, rows);
  return rows;
}

/** Normalisation of each image over groups of channels, with the scale and shift of the BatchNorm that it replaces. */
class GroupNorm extends Module {
  readonly #norm: BatchNorm2d;

  constructor(norm: BatchNorm2d) {
    super();
    this.#norm = norm;
  }

  override forward(x: Tensor): Tensor {
    const { weight, bias, eps } = this.#norm;
    return ops.group_norm(x, x.size(1) / channelsOfGroup, weight, bias, eps);
  }
}

function useGroupNorm(generator: PathwayGenerator): void {
  for (const norm of generator.modules()) if (norm instanceof BatchNorm2d) norm.replace(new GroupNorm(norm));
}

/**
 * The scores' posterior as if only the last layer were learned, by Bayesian regression on the known losses: the deviation
 * of each image's scores is the scale of their noise (Thompson sampling; Riquelme et al. 2018).
 */
class Uncertainty {
  readonly #memory: Tensor;
  /** Mean of h h^T over the images, [H, H]. */
  #moments: Tensor | undefined;
  #deviation: Tensor | undefined;

  constructor(generator: PathwayGenerator, memory: Tensor) {
    this.#memory = memory;
    const layer = generator.children().get("score") as Module;
    layer.registerForwardHook((_, features) => this.#see(generator.training, features));
    const score = generator.score.bind(generator);
    generator.score = (images) => {
      const { scores } = score(images);
      return { scores, noiseScale: generator.training ? this.#deviation?.expand(scores.shape) : undefined };
    };
  }

  #see(learns: boolean, features: Tensor): undefined {
    if (!learns) return;
    const [moments, deviation] = scope(() =>
      noGrad(() => {
        const h = features.detach();
        const own = h.t().matmul(h).div(h.size(0));
        const next = this.#moments ? this.#moments.mul(kept.features).add(own.mul(1 - kept.features)) : own;
        const precision = next.mul(this.#memory.size(0)).add(eye(h.size(1)));
        const [factor] = ops.linalg_cholesky_ex(precision);
        const white = ops.linalg_solve_triangular(factor, h.t(), { upper: false });
        return [next, white.square().sum(0, true).t().mul(this.#variance()).sqrt()] as const;
      }),
    );
    this.dispose();
    this.#moments = keep(moments);
    this.#deviation = keep(deviation);
  }

  /** Mean square of the losses less their row's mean. */
  #variance(): Tensor {
    const losses = this.#memory;
    return losses.sub(losses.mean(1, true)).square().mean();
  }

  dispose(): void {
    disposeTree([this.#moments, this.#deviation]);
  }
}
