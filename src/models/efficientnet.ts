/**
 * EfficientNet (Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019), and, with
 * fused blocks in the first stages, EfficientNetV2 (Tan & Le, "EfficientNetV2: Smaller Models and Faster Training", ICML
 * 2021). Parameter names are torchvision's.
 */
import { z } from "zod";
import { type Module, Sequential } from "../nn/index.ts";
import { scope, type Tensor } from "../torch/index.ts";
import { Backbone, type BackboneOptions } from "./backbone.ts";
import { convNorm, divisible, earlyStages, type NormShape, stageRows } from "./blocks/conv-norm.ts";
import { invertedResidual } from "./blocks/inverted-residual.ts";
import { imagenetInput, type Preset, type PresetInput } from "./preset.ts";

export const efficientnetConfig = z.strictObject({
  /** Multiplies all channel counts, which are rounded to multiples of 8. */
  width: z.number().positive().default(1),
  /** Multiplies the blocks of each stage, rounded up. */
  depth: z.number().positive().default(1),
  /** 1 keeps small images large. */
  stemStride: z.union([z.literal(1), z.literal(2)]).default(2),
  /** Rows of expansion, kernel, stride, channels, blocks; the paper's table 1 by default. */
  stages: stageRows.default([
    [1, 3, 1, 16, 1],
    [6, 3, 2, 24, 2],
    [6, 5, 2, 40, 2],
    [6, 3, 2, 80, 3],
    [6, 5, 1, 112, 3],
    [6, 5, 2, 192, 4],
    [6, 3, 1, 320, 1],
  ]),
  /** Number of first stages with fused blocks: a full convolution instead of 1x1 and depthwise, and no squeezing. */
  fused: z.int().min(0).default(0),
  /** Channels of the first convolution, times the width. */
  stemWidth: z.int().positive().default(32),
  /** Channels of the last convolution; four times those of the last stage when left out. */
  lastWidth: z.int().positive().optional(),
  /** Epsilon of every BatchNorm; torchvision's B5 to B7 have 1e-3 and momentum 0.01. */
  eps: z.number().positive().max(1).default(1e-5),
  momentum: z.number().positive().max(1).default(0.1),
  /** Probability of dropping blocks in training, towards which it rises linearly from 0 over them; torchvision's is 0.2. */
  dropPath: z.number().min(0).max(0.9).default(0),
});

export type EfficientNetConfig = z.input<typeof efficientnetConfig>;

const preset = (
  config: EfficientNetConfig,
  size: number,
  interpolation: PresetInput["interpolation"],
  more: Partial<PresetInput> = {},
): Preset => {
  const input = { ...imagenetInput, size, interpolation, ...more };
  return { architecture: "efficientnet", config, input, classifier: "classifier.1", library: "torchvision" };
};

const tensorflowNorm = { eps: 1e-3, momentum: 0.01 };

/** Version 2, whose sizes differ in all numbers. */
const second = (stemWidth: number, stages: EfficientNetConfig["stages"]): EfficientNetConfig => {
  return { stemWidth, stages, fused: 3, lastWidth: 1280, eps: 1e-3 };
};

export const efficientnetPresets: Readonly<Record<string, Preset>> = {
  efficientnet_b0: preset({ width: 1, depth: 1 }, 224, "bicubic"),
  efficientnet_b1: preset({ width: 1, depth: 1.1 }, 240, "bilinear"),
  efficientnet_b2: preset({ width: 1.1, depth: 1.2 }, 288, "bicubic"),
  efficientnet_b3: preset({ width: 1.2, depth: 1.4 }, 300, "bicubic"),
  efficientnet_b4: preset({ width: 1.4, depth: 1.8 }, 380, "bicubic"),
  efficientnet_b5: preset({ width: 1.6, depth: 2.2, ...tensorflowNorm }, 456, "bicubic"),
  efficientnet_b6: preset({ width: 1.8, depth: 2.6, ...tensorflowNorm }, 528, "bicubic"),
  efficientnet_b7: preset({ width: 2, depth: 3.1, ...tensorflowNorm }, 600, "bicubic"),
  efficientnet_v2_s: preset(
    second(24, [
      [1, 3, 1, 24, 2],
      [4, 3, 2, 48, 4],
      [4, 3, 2, 64, 4],
      [4, 3, 2, 128, 6],
      [6, 3, 1, 160, 9],
      [6, 3, 2, 256, 15],
    ]),
    384,
    "bilinear",
  ),
  efficientnet_v2_m: preset(
    second(24, [
      [1, 3, 1, 24, 3],
      [4, 3, 2, 48, 5],
      [4, 3, 2, 80, 5],
      [4, 3, 2, 160, 7],
      [6, 3, 1, 176, 14],
      [6, 3, 2, 304, 18],
      [6, 3, 1, 512, 5],
    ]),
    480,
    "bilinear",
  ),
  efficientnet_v2_l: preset(
    second(32, [
      [1, 3, 1, 32, 4],
      [4, 3, 2, 64, 7],
      [4, 3, 2, 96, 7],
      [4, 3, 2, 192, 10],
      [6, 3, 1, 224, 19],
      [6, 3, 2, 384, 25],
      [6, 3, 1, 640, 7],
    ]),
    480,
    "bicubic",
    { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
  ),
};

const activation = "silu" as const;

/** EfficientNet in any width and depth; [B, 3, H, W] to [B, d]. */
export class EfficientNet extends Backbone {
  readonly featureWidth: number;
  override readonly stemWidth: number;
  readonly #features: Sequential;
  readonly #first: Sequential;

  constructor(config: EfficientNetConfig, options: BackboneOptions) {
    super();
    const parsed = efficientnetConfig.parse(config);
    const { width, depth, stemStride, stages, fused, eps, momentum, dropPath } = parsed;
    const norm: NormShape = { eps, momentum };
    const depths = stages.map(([, , , , blocks]) => Math.ceil(blocks * depth));
    const total = depths.reduce((sum, blocks) => sum + blocks, 0);
    const widths = [divisible(parsed.stemWidth * width)];
    let channels = widths[0] ?? 0;
    const stem = { from: 3, to: channels, kernel: 3, stride: stemStride, activation, norm } as const;
    const features: Module[] = [convNorm(stem, options)];
    let index = 0;
    for (const [stage, [expansion, kernel, stride, base]] of stages.entries()) {
      const to = divisible(base * width);
      const blocks: Module[] = [];
      for (let i = 0; i < (depths[stage] ?? 0); i++, index++) {
        const expanded = divisible(channels * expansion);
        const drop = (dropPath * index) / total;
        const squeeze = stage < fused ? undefined : squeezeOf(channels);
        const sizes = { from: channels, expanded, to, kernel, stride: i === 0 ? stride : 1 };
        const shape = { ...sizes, activation, squeeze, norm, drop, fused: stage < fused };
        blocks.push(invertedResidual(shape, options));
        channels = to;
      }
      features.push(new Sequential(blocks));
      widths.push(to);
    }
    this.featureWidth = parsed.lastWidth ?? 4 * channels;
    features.push(convNorm({ from: channels, to: this.featureWidth, kernel: 1, activation, norm }, options));
    this.#features = this.module("features", new Sequential(features));
    const early = earlyStages(stages.map(([, , stride]) => stride));
    this.#first = new Sequential(features.slice(0, 1 + early));
    this.stemWidth = widths[early] ?? channels;
  }

  override forwardMap(x: Tensor): Tensor {
    return scope(() => this.#features.forward(x));
  }

  override stem(x: Tensor): Tensor {
    return scope(() => this.#first.forward(x));
  }
}

/** A quarter of the block's input, not of what it is expanded to. */
const squeezeOf = (channels: number) =>
  ({
    channels: Math.max(1, Math.floor(channels / 4)),
    activation: "silu",
    gate: "sigmoid",
    zeroBias: true,
  }) as const;
