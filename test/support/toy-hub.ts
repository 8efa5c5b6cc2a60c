/** Small members for tests of the method: real modules, float64, no files. */

import { BatchNorm2d, Conv2d, Linear, Module } from "../../src/nn/index.ts";
import type { PathwayMember } from "../../src/pathway/member.ts";
import { Generator, type Tensor } from "../../src/torch/index.ts";

/** Convolution, BatchNorm with statistics from "pre-training", ReLU, pooling. */
export class ToyBackbone extends Module {
  readonly conv: Conv2d;
  readonly norm: BatchNorm2d;
  readonly linear: Linear;
  /** Rows of each forward pass so far. */
  readonly seen: number[] = [];

  constructor(width: number, generator: Generator) {
    super();
    this.conv = this.module("conv", new Conv2d(3, 4, 3, { padding: 1, generator }));
    this.norm = this.module("norm", new BatchNorm2d(4, {}));
    this.linear = this.module("linear", new Linear(4, width, { generator }));
  }

  override forward(x: Tensor): Tensor {
    this.seen.push(x.size(0));
    return this.linear.forward(this.norm.forward(this.conv.forward(x)).relu().mean([2, 3])).tanh();
  }
}

export class ToyMember implements PathwayMember {
  readonly name: string;
  readonly featureWidth: number;
  readonly backbone: ToyBackbone;
  readonly flops = 1000;

  constructor(name: string, width: number, seed: number) {
    this.name = name;
    this.featureWidth = width;
    this.backbone = new ToyBackbone(width, new Generator(seed));
  }

  features(images: Tensor): Tensor {
    return this.backbone.forward(images);
  }
}

/** m members of different widths. */
export function toyMembers(m: number, seed = 1): ToyMember[] {
  return Array.from({ length: m }, (_, i) => new ToyMember(`toy${i}`, 5 + i, seed * 100 + i));
}
