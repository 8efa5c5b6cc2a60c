/** The interfaces between the loop and what it trains. B batch, C outputs, m models. */

import type { BatchPart, Module, Standardize } from "../nn/index.ts";
import type { StoredFeatures } from "../pathway/index.ts";
import type { BudgetChoice, Choices, ModelChoice } from "../runtime/index.ts";
import type { ProcessGroup, RandomStreams, Tensor } from "../torch/index.ts";
import type { BatchSource, Targets } from "./data.ts";
import type { Kept } from "./kept-model.ts";

export interface TrainBatch {
  /** [B, 3, H, W] in [0, 1]. */
  images: Tensor;
  targets: Targets;
  /** Images and targets are mixtures of two. */
  isMixed?: boolean | undefined;
  /** Positions of the images in their data set. */
  indices?: readonly number[];
  /** Features of these images that frozen backbones computed before. */
  features?: StoredFeatures | undefined;
  /** Place of these rows in the batch, and the ranks that share it. */
  shared?: BatchPart | undefined;
}

/** A learner's parts on several ranks that share its models among them. */
export interface Shards {
  readonly group: ProcessGroup;
  /** What this rank alone trains: its models and their heads. Those of the other ranks are out of date here. */
  readonly own: readonly Module[];
  /** What another rank trains. */
  readonly others: readonly Module[];
  /** Parameters that all ranks train alike, from gradients that are added up. */
  readonly common: readonly Tensor[];
  /**
   * Takes over what others have trained, so that this rank can compute alone.
   * @param weightsOf gives the weights of a model by its name; whoever asks disposes them
   */
  gather(weightsOf: (member: string) => ReadonlyMap<string, Tensor>): void;
}

export interface StepResult {
  /** Loss to minimise; the loop calls backward on it after the step's scope is left. */
  loss: Tensor;
  /** The loss is that of all ranks' rows already, where they share the batch; else it is a mean over these rows. */
  isWhole?: boolean;
  /** Figures to log. */
  logs: Record<string, number>;
  /** Rows that each model computed, when the learner routes. */
  rows?: number[];
}

/** Rows of a batch that lie together. */
export interface RowRange {
  first: number;
  rows: number;
}

/**
 * Computes a loss in a scope of its own and adds its gradients to those that there are. Those that are complete with it go to
 * the other ranks at once, which do the same in the same order.
 * @returns its value
 */
export type Backward = (forward: () => Tensor, complete?: readonly Tensor[]) => number;

/** A step whose gradients are there already. */
export interface PartedStep extends Omit<StepResult, "loss"> {
  loss: number;
}

export interface Prediction {
  /** [B, C]; numbers in their own units where the task is regression. */
  probabilities: Tensor;
  /** a, [B, m]: weights of the activated models, when the predictor routes. */
  weights?: Tensor;
  /** u, [B, m]: the generator's scores, when one chose the routes. */
  scores?: Tensor;
}

export interface EvaluationOptions {
  signal?: AbortSignal | undefined;
  /** Batches that are done, and all of them. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Another choice of models than a predictor was trained for. */
export interface Variant extends ModelChoice {
  /** Position of a model that is left out. */
  without?: number;
}

/** What is seen of images, where they are larger than that. */
export interface ImageView {
  /** S, pixels. */
  side: number;
  /** Images [B, 3, H, W] as they are seen, [B, 3, S, S]; such images stay what they are. */
  of(images: Tensor): Tensor;
}

/** Whatever answers with probabilities: a learner, or several together. */
export interface Predictor {
  /** Predictions under the predictor's own choice of models, or under another one that it has. */
  predict(images: Tensor, features?: StoredFeatures, variant?: Variant): Prediction;
  /**
   * Predictions under other choices of models, each model computed once; undefined for a choice that it does not have.
   */
  predictVariants?(images: Tensor, variants: readonly Variant[], features?: StoredFeatures): (Prediction | undefined)[];
  /** Its parts, where ranks have its models among them: they answer together. All of it is on each rank when left out. */
  readonly shards?: Shards | undefined;
  /** Models that weights refer to. */
  readonly memberNames: readonly string[];
  /** False where the features of all its models are enough for an answer, and for a step of a learner. */
  readonly readsImages?: boolean;
  /** What it sees of images once the features of all its models are known; all of them when left out. */
  readonly imageView?: ImageView | undefined;
  /** Parameters that one prediction needs at hand. */
  readonly parameters: number;
  /** Forward FLOPs of one image. */
  readonly inferenceFlops: number;
  /** The same for a predictor that routes, when models are activated with the given shares (summing to one), k of them for each image on average. */
  pathwayFlops?(shares: readonly number[], k?: number): number;
  /** Activated models for each image, for a predictor that has the choice: a whole number from 1 to `largestK`. */
  k?: number;
  readonly largestK?: number;
  /** Forward FLOPs of one image with 1, 2, … activated models, on average; `largestK` of them. */
  readonly flopsByK?: readonly number[];
  /** Measures them in milliseconds on this machine, and of `budgets` those whose activations are known. */
  timedChoices?(): Pick<Choices, "budgets" | "flops">;
  /** True when there is an order in which models can be asked. */
  readonly isOrdered?: boolean;
  /** Whether the model at a place is at hand; all are when left out. */
  isKept?(place: number): boolean;
  /** From now on models are chosen so. @throws ConfigError when there is no order in which they could be */
  answerBy?(choice: ModelChoice): void;
  /** Choices for budgets, from the cheapest to the most accurate; none where they were not measured. */
  readonly budgets?: readonly BudgetChoice[];
  /** Measures them on validation images. */
  measureBudgets?(batches: BatchSource, options: EvaluationOptions): Promise<void>;
  /**
   * The predictor taken apart, to be stored; absent for one that only measures.
   * @param unused members that need not be kept, if it predicts without them
   */
  keep?(unused: ReadonlySet<string>): Kept;
  /** Switches to evaluation behaviour. */
  eval(): void;
  dispose(): void;
}

/** One thing that is trained by gradient descent. */
export interface Learner extends Predictor {
  readonly module: Module;
  readonly streams: RandomStreams;
  /** The loss is no mean over rows, so that a step has no parts. */
  readonly mixesRows?: boolean;
  /** Pre-trained parts, in the order of `memberNames`: BatchNorm policy and freezing concern these alone. */
  readonly backbones: readonly Module[];
  /** Features of images by one of the backbones. */
  features(backbone: number, images: Tensor): Tensor;
  /** FLOPs of that for one image, as they were counted when the backbone was loaded. */
  featureFlops(backbone: number): number;
  /** Constants of the features of each backbone, which frozen ones get: made, and part of the state, from the first call on. */
  standardizers?(): readonly Standardize[];
  /** Parameters by how fast they should learn. */
  parameterGroups(): { backbone: Tensor[]; newLayers: Tensor[]; generator: Tensor[] };
  /** Weight decay of the backbones, for a learner that holds them in another way; the run's when left out. */
  readonly backboneDecay?: number;
  /** Parameters that do not decay, beside vectors. */
  readonly undecayed?: ReadonlySet<Tensor>;
  /**
   * Computations on the training images before the first step of a session; returns their FLOPs.
   * @param group ranks that share the batches
   */
  prepare?(batches: BatchSource, signal?: AbortSignal, group?: ProcessGroup): Promise<number>;
  /** What `prepare` found that overrides options, in a line for the log. */
  readonly remark?: string | undefined;
  /** Settles on validation data what training leaves open, once the weights are final; part of the state. */
  settle?(batches: BatchSource, signal?: AbortSignal): Promise<void>;
  /** Forward pass and loss of one batch; `progress` is the done part of training, 0 … 1. */
  step(batch: TrainBatch, progress: number): StepResult;
  /**
   * The same step in parts, with the gradients of the whole batch; for a learner whose loss is no mean over rows. Without it,
   * the losses of the parts are joined by their rows.
   */
  stepInParts?(batch: TrainBatch, progress: number, ranges: readonly RowRange[], backward: Backward): PartedStep;
  /** True when `stepInParts` costs less than `step` even for all rows at once. */
  readonly prefersParts?: boolean;
}

export interface FitResult {
  seconds: number;
  /** Forward and backward FLOPs of the whole fit, where backward counts twice a forward. */
  trainingFlops: number;
}
