/** Networks without their heads, over images and over observations: features, and what they cost. B batch, d features. */
import { type InitOptions, Module } from "../nn/index.ts";
import {
  countFlops,
  type Dtype,
  type Generator,
  inferenceMode,
  scope,
  type Tensor,
  UserError,
  zeros,
} from "../torch/index.ts";

/** Options of a new backbone. */
export interface BackboneOptions extends InitOptions {
  /** Stream of dropped paths in training; default the initialisation's. */
  dropGenerator?: Generator | undefined;
}

/** Network without its classifier. Takes images [B, 3, H, W], normalised as the weights expect, unless it says otherwise. */
export abstract class Backbone extends Module {
  /** Width d of the pooled features. */
  abstract readonly featureWidth: number;

  /** Features before pooling: [B, mapWidth, h, w]. */
  abstract forwardMap(x: Tensor): Tensor;

  /** Channels of `forwardMap`: d, unless a layer between pooling and the classifier changes the width. */
  get mapWidth(): number {
    return this.featureWidth;
  }

  /** Channels of `stem`; undefined for an architecture without first stages to share. */
  readonly stemWidth: number | undefined = undefined;

  /** Feature map of the first stages, [B, stemWidth, h, w]. @throws Error where the architecture has none */
  stem(_x: Tensor): Tensor {
    throw new Error("this architecture has no first stages to share");
  }

  /** Scores [n, S] for the classes of pre-training, where the network itself goes on to them. */
  classify(_x: Tensor): Tensor | undefined {
    return undefined;
  }

  /**
   * FLOPs of one forward pass of one image of height x width pixels: twice the multiply-adds of convolutions, linear layers and
   * attention, counted while a blank image passes through; element-wise work is not counted.
   */
  flops(height: number, width = height): number {
    return this.flopsOf([1, 3, height, width]);
  }

  /** FLOPs of one forward pass of an input of this shape. */
  protected flopsOf(shape: readonly number[]): number {
    const { dtype, device } = this.parameters()[0] ?? {};
    const blank = () => zeros(shape, { dtype: dtype as Dtype | undefined, device });
    return scope(() => evaluating(this, () => countFlops(() => this.forward(blank()))));
  }

  /** Pooled features: [B, d]. */
  override forward(x: Tensor): Tensor {
    return scope(() => this.forwardMap(x).mean([2, 3]));
  }
}

/** Network over observations [B, C, H, W] of an environment; an observation that is a vector comes as [B, C, 1, 1]. */
export abstract class ObservationNetwork extends Backbone {
  /** [C, H, W] of one observation. */
  abstract readonly inputShape: readonly [number, number, number];

  /** Weight of the layer that sees the observation, [out, C] or [out, C, h, w]: the network of other channels differs in it. */
  abstract readonly inputWeight: Tensor;

  /** FLOPs of one forward pass of one observation (a multiply-add counts as two). */
  override flops(): number {
    return this.flopsOf([1, ...this.inputShape]);
  }

  /** @throws UserError always: its layers over the features are no map any more */
  override forwardMap(_x: Tensor): Tensor {
    throw new UserError("a network over observations gives no feature map, only features");
  }

  /** Features [B, d]. */
  abstract override forward(x: Tensor): Tensor;
}

/** Runs `fn` with a module and all its parts in evaluation mode, and gives every part its mode back. */
export function evaluating<T>(module: Module, fn: () => T): T {
  const modes = module.modules().map((part) => ({ part, training: part.training }));
  module.eval();
  try {
    return inferenceMode(fn);
  } finally {
    // Parents come first, and `train` reaches their children, which are then set to their own.
    for (const { part, training } of modes) part.train(training);
  }
}
