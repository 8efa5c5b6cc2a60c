/** What the hub needs of an architecture: pooled features, a feature map, and what they cost. */
import { type Conv2d, type InitOptions, Module } from "../nn/index.ts";
import { type Generator, scope, type Tensor } from "../torch/index.ts";

/** How a backbone is made. */
export interface BackboneOptions extends InitOptions {
  /** Stream of dropped paths in training; default the initialisation's. */
  dropGenerator?: Generator | undefined;
}

/** A network without its classifier. Takes images [B, 3, H, W], normalised as the weights expect. */
export abstract class Backbone extends Module {
  /** Width d of the pooled features. */
  abstract readonly featureWidth: number;

  /** Features before pooling: [B, d, h, w]. */
  abstract forwardMap(x: Tensor): Tensor;

  /** Channels of `stem`; undefined for an architecture without first stages to share. */
  readonly stemWidth: number | undefined = undefined;

  /** Feature map of the first stages, [B, stemWidth, h, w]. @throws Error where the architecture has none */
  stem(_x: Tensor): Tensor {
    throw new Error("this architecture has no first stages to share");
  }

  /**
   * FLOPs of one forward pass of one image of size x size: twice the multiply-adds of convolutions, linear layers and
   * attention; element-wise work is not counted.
   */
  abstract flops(size: number): number;

  /** Pooled features: [B, d]. */
  override forward(x: Tensor): Tensor {
    return scope(() => this.forwardMap(x).mean([2, 3]));
  }
}

/** Adds up the FLOPs of convolutions while following the side of a square feature map. */
export class FlopCounter {
  side: number;
  total = 0;

  constructor(side: number) {
    this.side = side;
  }

  /** A convolution at the current side, which becomes that of its output. */
  conv(layer: Conv2d): this {
    const { kernelSize, stride, dilation, padding } = layer;
    if (padding !== "same") {
      this.side = Math.floor((this.side + 2 * padding - dilation * (kernelSize - 1) - 1) / stride) + 1;
    }
    this.total += 2 * this.side ** 2 * layer.weight.numel();
    return this;
  }

  /** A pooling layer. */
  pool(kernelSize: number, stride: number, padding: number): this {
    this.side = Math.floor((this.side + 2 * padding - kernelSize) / stride) + 1;
    return this;
  }

  /** A linear layer at every pixel. */
  linear(inFeatures: number, outFeatures: number): this {
    this.total += 2 * this.side ** 2 * inFeatures * outFeatures;
    return this;
  }
}
