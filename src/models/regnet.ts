/**
 * RegNetX and, with squeeze-and-excitation, RegNetY (Radosavovic, Kosaraju, Girshick, He & Dollár, "Designing Network
 * Design Spaces", CVPR 2020). Parameter names are torchvision's.
 */
import { z } from "zod";
import { Module, Sequential } from "../nn/index.ts";
import { ops, scope, type Tensor } from "../torch/index.ts";
import { Backbone, type BackboneOptions } from "./backbone.ts";
import { convNorm } from "./blocks/conv-norm.ts";
import { SqueezeExcitation } from "./blocks/squeeze-excitation.ts";
import { imagenetInput, type Preset } from "./preset.ts";

export const regnetConfig = z
  .strictObject({
    /** Blocks in each stage; each stage halves the side. */
    depths: z.array(z.int().positive()).min(1).default([1, 3, 6, 6]),
    /** Channels of each stage. */
    widths: z.array(z.int().positive()).min(1).default([48, 104, 208, 440]),
    /** Channels of each group of the 3x3 convolutions; stages with fewer have one group. */
    groupWidth: z.int().positive().default(8),
    /** True when blocks squeeze to a quarter of their input (RegNetY). */
    squeeze: z.boolean().default(true),
    /** Channels of the first convolution. */
    stemWidth: z.int().positive().default(32),
    /** 1 keeps small images large. */
    stemStride: z.union([z.literal(1), z.literal(2)]).default(2),
  })
  .refine((config) => config.depths.length === config.widths.length, "depths and widths need the same length")
  .refine(
    ({ widths, groupWidth }) => widths.every((width) => width <= groupWidth || width % groupWidth === 0),
    "widths must be multiples of groupWidth",
  );

export type RegNetConfig = z.input<typeof regnetConfig>;

const preset = (squeeze: boolean, groupWidth: number, depths: number[], widths: number[]): Preset => {
  const config = { depths, widths, groupWidth, squeeze } satisfies RegNetConfig;
  return { architecture: "regnet", config, input: imagenetInput, classifier: "fc", library: "torchvision" };
};

/** Depths and widths are what the paper's quantised linear rule gives, adjusted to whole groups. */
export const regnetPresets: Readonly<Record<string, Preset>> = {
  regnet_y_400mf: preset(true, 8, [1, 3, 6, 6], [48, 104, 208, 440]),
  regnet_y_800mf: preset(true, 16, [1, 3, 8, 2], [64, 144, 320, 784]),
  regnet_y_1_6gf: preset(true, 24, [2, 6, 17, 2], [48, 120, 336, 888]),
  regnet_y_3_2gf: preset(true, 24, [2, 5, 13, 1], [72, 216, 576, 1512]),
  regnet_y_8gf: preset(true, 56, [2, 4, 10, 1], [224, 448, 896, 2016]),
  regnet_y_16gf: preset(true, 112, [2, 4, 11, 1], [224, 448, 1232, 3024]),
  regnet_y_32gf: preset(true, 232, [2, 5, 12, 1], [232, 696, 1392, 3712]),
  regnet_y_128gf: {
    ...preset(true, 264, [2, 7, 17, 1], [528, 1056, 2904, 7392]),
    input: { ...imagenetInput, size: 384, interpolation: "bicubic" },
  },
  regnet_x_400mf: preset(false, 16, [1, 2, 7, 12], [32, 64, 160, 400]),
  regnet_x_800mf: preset(false, 16, [1, 3, 7, 5], [64, 128, 288, 672]),
  regnet_x_1_6gf: preset(false, 24, [2, 4, 10, 2], [72, 168, 408, 912]),
  regnet_x_3_2gf: preset(false, 48, [2, 6, 15, 2], [96, 192, 432, 1008]),
  regnet_x_8gf: preset(false, 120, [2, 5, 15, 1], [80, 240, 720, 1920]),
  regnet_x_16gf: preset(false, 128, [2, 6, 13, 1], [256, 512, 896, 2048]),
  regnet_x_32gf: preset(false, 168, [2, 7, 13, 1], [336, 672, 1344, 2520]),
};

const activation = "relu";

/** Options of one block. */
interface BlockShape {
  from: number;
  to: number;
  stride: number;
  groupWidth: number;
  squeeze: boolean;
}

/** 1x1, grouped 3x3 and 1x1 convolutions of the same width, and a shortcut; the sum is rectified. */
class RegNetBlock extends Module {
  readonly #shortcut: Sequential | undefined;
  readonly #steps: Sequential;

  constructor(shape: BlockShape, options: BackboneOptions) {
    super();
    const { from, to, stride, groupWidth, squeeze } = shape;
    if (from !== to || stride !== 1) {
      this.#shortcut = this.module("proj", convNorm({ from, to, kernel: 1, stride }, options));
    }
    const groups = to / Math.min(to, groupWidth);
    const steps: Record<string, Module> = {
      a: convNorm({ from, to, kernel: 1, activation }, options),
      b: convNorm({ from: to, to, kernel: 3, stride, groups, activation }, options),
    };
    if (squeeze) steps.se = new SqueezeExcitation(to, squeezeOf(from), options);
    steps.c = convNorm({ from: to, to, kernel: 1 }, options);
    this.#steps = this.module("f", new Sequential(steps));
  }

  override forward(x: Tensor): Tensor {
    return scope(() => ops.relu_(this.#steps.forward(x).add_(this.#shortcut?.forward(x) ?? x)));
  }
}

/** A quarter of the block's input, rounded to even at halves as in Python. */
const squeezeOf = (from: number) =>
  ({ channels: Math.max(1, roundToEven(from / 4)), activation: "relu", gate: "sigmoid", zeroBias: false }) as const;

function roundToEven(x: number): number {
  const down = Math.floor(x);
  return x - down === 0.5 && down % 2 === 0 ? down : Math.round(x);
}

/** RegNetX and RegNetY in any size; [B, 3, H, W] to [B, d]. */
export class RegNet extends Backbone {
  readonly featureWidth: number;
  override readonly stemWidth: number;
  readonly #stem: Sequential;
  readonly #trunk: Sequential;

  constructor(config: RegNetConfig, options: BackboneOptions) {
    super();
    const { depths, widths, groupWidth, squeeze, stemWidth, stemStride } = regnetConfig.parse(config);
    const stem = { from: 3, to: stemWidth, kernel: 3, stride: stemStride, activation } as const;
    this.#stem = this.module("stem", convNorm(stem, options));
    let channels = stemWidth;
    const stages: Record<string, Module> = {};
    for (const [stage, to] of widths.entries()) {
      const blocks: Record<string, Module> = {};
      for (let i = 0; i < (depths[stage] ?? 0); i++) {
        const shape = { from: channels, to, stride: i === 0 ? 2 : 1, groupWidth, squeeze };
        blocks[`block${stage + 1}-${i}`] = new RegNetBlock(shape, options);
        channels = to;
      }
      stages[`block${stage + 1}`] = new Sequential(blocks);
    }
    this.#trunk = this.module("trunk_output", new Sequential(stages));
    this.featureWidth = channels;
    this.stemWidth = widths[0] ?? channels;
  }

  override forwardMap(x: Tensor): Tensor {
    return scope(() => this.#trunk.forward(this.#stem.forward(x)));
  }

  override stem(x: Tensor): Tensor {
    return scope(() => this.#trunk.steps()[0]?.forward(this.#stem.forward(x)) ?? x);
  }
}
