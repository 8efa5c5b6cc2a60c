/**
 * MobileNetV2 (Sandler, Howard, Zhu, Zhmoginov & Chen, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR
 * 2018). Parameter names are torchvision's.
 */
import { z } from "zod";
import { BatchNorm2d, Conv2d, init, Module, ReLU6, Sequential } from "../nn/index.ts";
import { scope, type Tensor } from "../torch/index.ts";
import { Backbone, type BackboneOptions } from "./backbone.ts";
import { imagenetInput, type Preset } from "./preset.ts";

export const mobilenetV2Config = z.strictObject({
  /** Multiplies all channel counts, which are rounded to multiples of 8. */
  width: z.number().positive().default(1),
  /** Channels of the last convolution, not below width 1; torchvision's rule when left out. */
  lastChannels: z.int().positive().optional(),
  /** 1 keeps small images large. */
  stemStride: z.union([z.literal(1), z.literal(2)]).default(2),
  /** Rows of expansion, channels, blocks, stride; the paper's table 2 by default. */
  stages: z
    .array(z.tuple([z.int().positive(), z.int().positive(), z.int().positive(), z.int().min(1).max(2)]))
    .min(1)
    .default([
      [1, 16, 1, 1],
      [6, 24, 2, 2],
      [6, 32, 3, 2],
      [6, 64, 4, 2],
      [6, 96, 3, 1],
      [6, 160, 3, 2],
      [6, 320, 1, 1],
    ]),
});

export type MobileNetV2Config = z.input<typeof mobilenetV2Config>;

export const mobilenetV2Presets: Readonly<Record<string, Preset>> = {
  mobilenet_v2: {
    architecture: "mobilenet-v2",
    config: {},
    input: imagenetInput,
    classifier: "classifier.1",
    library: "torchvision",
  },
};

/** Expands, filters each channel, and projects back without activation; adds the input where shapes allow. */
class InvertedResidual extends Module {
  readonly conv: Sequential;
  readonly #residual: boolean;

  constructor(from: number, to: number, stride: number, expansion: number, options: BackboneOptions) {
    super();
    const hidden = Math.round(from * expansion);
    this.#residual = stride === 1 && from === to;
    const steps: Module[] = [];
    if (expansion !== 1) steps.push(convolution(from, hidden, 1, 1, 1, options));
    steps.push(
      convolution(hidden, hidden, 3, stride, hidden, options),
      plainConvolution(hidden, to, 1, 1, 1, options),
      new BatchNorm2d(to, options),
    );
    this.conv = this.module("conv", new Sequential(steps));
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      const y = this.conv.forward(x);
      return this.#residual ? y.add_(x) : y;
    });
  }
}

/** MobileNetV2 in any width; [B, 3, H, W] to [B, d]. */
export class MobileNetV2 extends Backbone {
  readonly featureWidth: number;
  readonly #features: Sequential;

  constructor(config: MobileNetV2Config, options: BackboneOptions) {
    super();
    const { width, lastChannels, stemStride, stages } = mobilenetV2Config.parse(config);
    let channels = divisible(32 * width);
    this.featureWidth = lastChannels ?? divisible(1280 * Math.max(1, width));
    const features: Module[] = [convolution(3, channels, 3, stemStride, 1, options)];
    for (const [expansion, base, blocks, stride] of stages) {
      const out = divisible(base * width);
      for (let i = 0; i < blocks; i++) {
        features.push(new InvertedResidual(channels, out, i === 0 ? stride : 1, expansion, options));
        channels = out;
      }
    }
    features.push(convolution(channels, this.featureWidth, 1, 1, 1, options));
    this.#features = this.module("features", new Sequential(features));
  }

  override forwardMap(x: Tensor): Tensor {
    return scope(() => this.#features.forward(x));
  }
}

/** Convolution, BatchNorm and ReLU6. */
function convolution(
  from: number,
  to: number,
  kernel: number,
  stride: number,
  groups: number,
  options: BackboneOptions,
): Sequential {
  return new Sequential([
    plainConvolution(from, to, kernel, stride, groups, options),
    new BatchNorm2d(to, options),
    new ReLU6({ inPlace: true }),
  ]);
}

function plainConvolution(
  from: number,
  to: number,
  kernel: number,
  stride: number,
  groups: number,
  options: BackboneOptions,
): Conv2d {
  const layer = new Conv2d(from, to, kernel, { ...options, stride, groups, padding: (kernel - 1) / 2, bias: false });
  init.kaimingNormalFanOut_(layer.weight, options.generator);
  return layer;
}

/** The nearest multiple of 8 that loses at most a tenth (the rule of the authors' and torchvision's code). */
function divisible(channels: number): number {
  const rounded = Math.max(8, Math.floor((channels + 4) / 8) * 8);
  return rounded < 0.9 * channels ? rounded + 8 : rounded;
}
