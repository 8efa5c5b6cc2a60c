/** What the hub needs of an architecture: pooled features, a feature map, and what they cost. */
import { type InitOptions, Module } from "../nn/index.ts";
import { countFlops, type Dtype, type Generator, inferenceMode, scope, type Tensor, zeros } from "../torch/index.ts";

/** How a backbone is made. */
export interface BackboneOptions extends InitOptions {
  /** Stream of dropped paths in training; default the initialisation's. */
  dropGenerator?: Generator | undefined;
}

/** A network without its classifier. Takes images [B, 3, H, W], normalised as the weights expect. */
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
    return scope(() => evaluating(this, () => countFlops(() => this.forward(this.#blank(height, width)))));
  }

  #blank(height: number, width: number): Tensor {
    const { dtype, device } = this.parameters()[0] ?? {};
    return zeros([1, 3, height, width], { dtype: dtype as Dtype | undefined, device });
  }

  /** Pooled features: [B, d]. */
  override forward(x: Tensor): Tensor {
    return scope(() => this.forwardMap(x).mean([2, 3]));
  }
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
