/** The interfaces between the loop and what it trains. B batch, C outputs, m models. */
import type { Module } from "../nn/index.ts";
import type { RandomStreams, Tensor } from "../torch/index.ts";
import type { Targets } from "./task.ts";

export interface TrainBatch {
  /** [B, 3, H, W] in [0, 1]. */
  images: Tensor;
  targets: Targets;
}

export interface StepResult {
  /** What is minimised; the loop calls backward on it after the step's scope is left. */
  loss: Tensor;
  /** Figures to log. */
  logs: Record<string, number>;
  /** Rows that each model computed, when the learner routes. */
  rows?: number[];
  /** Forward FLOPs of this step. */
  flops: number;
}

export interface Prediction {
  /** [B, C]. */
  probabilities: Tensor;
  /** a, [B, m]: weights of the activated models, when the predictor routes. */
  weights?: Tensor;
}

/** Whatever answers with probabilities: a learner, or several together. */
export interface Predictor {
  predict(images: Tensor): Prediction;
  /** Models that weights refer to. */
  readonly memberNames: readonly string[];
  /** Parameters that one prediction needs at hand. */
  readonly parameters: number;
  /** Forward FLOPs of one image. */
  readonly inferenceFlops: number;
  /** Switches to evaluation behaviour. */
  eval(): void;
  dispose(): void;
}

/** One thing that is trained by gradient descent. */
export interface Learner extends Predictor {
  readonly module: Module;
  readonly streams: RandomStreams;
  /** Pre-trained parts: the BatchNorm policy concerns these alone. */
  readonly backbones: readonly Module[];
  /** Features of images by one of the backbones. */
  features(backbone: number, images: Tensor): Tensor;
  /** Parameters by how fast they should learn. */
  parameterGroups(): { backbone: Tensor[]; newLayers: Tensor[]; generator: Tensor[] };
  /** Forward pass and loss of one batch; `progress` is the done part of training, 0 … 1. */
  step(batch: TrainBatch, progress: number): StepResult;
}
