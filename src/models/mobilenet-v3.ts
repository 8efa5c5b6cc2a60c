/**
 * MobileNetV3 (Howard, Sandler, Chu, Chen, Chen, Tan, Wang, Zhu, Pang, Vasudevan, Le & Adam, "Searching for MobileNetV3",
 * ICCV 2019). Parameter names are torchvision's; the features are those of the hidden layer before the classifier.
 */
import { z } from "zod";
import { Hardswish, init, Linear, type Module, Sequential } from "../nn/index.ts";
import { noGrad, scope, type Tensor } from "../torch/index.ts";
import { Backbone, type BackboneOptions } from "./backbone.ts";
import { convNorm, divisible, earlyStages, oddKernel } from "./blocks/conv-norm.ts";
import { invertedResidual } from "./blocks/inverted-residual.ts";
import { imagenetInput, type Preset } from "./preset.ts";

const row = z.tuple([
  oddKernel,
  z.int().positive(),
  z.int().positive(),
  z.boolean(),
  z.enum(["relu", "hardswish"]),
  z.int().min(1).max(2),
]);

export const mobilenetV3Config = z.strictObject({
  /** The paper's table 1 or 2. */
  variant: z.enum(["large", "small"]).default("large"),
  /** Multiplies all channel counts, which are rounded to multiples of 8. */
  width: z.number().positive().default(1),
  /** 1 keeps small images large. */
  stemStride: z.union([z.literal(1), z.literal(2)]).default(2),
  /** Rows of kernel, expanded channels, channels, squeeze-and-excitation, activation, stride; the variant's by default. */
  blocks: z.array(row).min(1).optional(),
  /** Channels of the hidden layer before the classifier; the variant's times the width when left out. */
  hidden: z.int().positive().optional(),
});

export type MobileNetV3Config = z.input<typeof mobilenetV3Config>;

const preset = (variant: "large" | "small"): Preset => {
  const config = { variant } satisfies MobileNetV3Config;
  return {
    architecture: "mobilenet-v3",
    config,
    input: imagenetInput,
    classifier: "classifier.3",
    library: "torchvision",
  };
};

export const mobilenetV3Presets: Readonly<Record<string, Preset>> = {
  mobilenet_v3_large: preset("large"),
  mobilenet_v3_small: preset("small"),
};

const variants: Record<"large" | "small", { hidden: number; blocks: z.output<typeof row>[] }> = {
  large: {
    hidden: 1280,
    blocks: [
      [3, 16, 16, false, "relu", 1],
      [3, 64, 24, false, "relu", 2],
      [3, 72, 24, false, "relu", 1],
      [5, 72, 40, true, "relu", 2],
      [5, 120, 40, true, "relu", 1],
      [5, 120, 40, true, "relu", 1],
      [3, 240, 80, false, "hardswish", 2],
      [3, 200, 80, false, "hardswish", 1],
      [3, 184, 80, false, "hardswish", 1],
      [3, 184, 80, false, "hardswish", 1],
      [3, 480, 112, true, "hardswish", 1],
      [3, 672, 112, true, "hardswish", 1],
      [5, 672, 160, true, "hardswish", 2],
      [5, 960, 160, true, "hardswish", 1],
      [5, 960, 160, true, "hardswish", 1],
    ],
  },
  small: {
    hidden: 1024,
    blocks: [
      [3, 16, 16, true, "relu", 2],
      [3, 72, 24, false, "relu", 2],
      [3, 88, 24, false, "relu", 1],
      [5, 96, 40, true, "hardswish", 2],
      [5, 240, 40, true, "hardswish", 1],
      [5, 240, 40, true, "hardswish", 1],
      [5, 120, 48, true, "hardswish", 1],
      [5, 144, 48, true, "hardswish", 1],
      [5, 288, 96, true, "hardswish", 2],
      [5, 576, 96, true, "hardswish", 1],
      [5, 576, 96, true, "hardswish", 1],
    ],
  },
};

/** As in the authors' code. */
const norm = { eps: 1e-3, momentum: 0.01 };

/** MobileNetV3 in any width; [B, 3, H, W] to [B, d]. The hidden layer keeps torchvision's name, classifier.0. */
export class MobileNetV3 extends Backbone {
  readonly featureWidth: number;
  override readonly stemWidth: number;
  readonly #mapWidth: number;
  readonly #features: Sequential;
  readonly #first: Sequential;
  readonly #hidden: Linear;
  readonly #activation = new Hardswish();

  constructor(config: MobileNetV3Config, options: BackboneOptions) {
    super();
    const parsed = mobilenetV3Config.parse(config);
    const { width, stemStride, blocks } = { ...parsed, blocks: parsed.blocks ?? variants[parsed.variant].blocks };
    let channels = divisible(16 * width);
    const stem = { from: 3, to: channels, kernel: 3, stride: stemStride, activation: "hardswish", norm } as const;
    const features: Module[] = [convNorm(stem, options)];
    const widths: number[] = [];
    for (const [kernel, inner, out, squeezes, activation, stride] of blocks) {
      const [expanded, to] = [divisible(inner * width), divisible(out * width)];
      const squeeze = squeezes ? squeezeOf(expanded) : undefined;
      const shape = { from: channels, expanded, to, kernel, stride, activation, squeeze, norm };
      features.push(invertedResidual(shape, options));
      channels = to;
      widths.push(to);
    }
    this.#mapWidth = 6 * channels;
    features.push(convNorm({ from: channels, to: this.#mapWidth, kernel: 1, activation: "hardswish", norm }, options));
    this.#features = this.module("features", new Sequential(features));
    const early = earlyStages(blocks.map(([, , , , , stride]) => stride));
    this.#first = new Sequential(features.slice(0, 1 + early));
    this.stemWidth = widths[early - 1] ?? divisible(16 * width);
    this.featureWidth = parsed.hidden ?? divisible(variants[parsed.variant].hidden * width);
    this.#hidden = this.module("classifier.0", hiddenLayer(this.#mapWidth, this.featureWidth, options));
  }

  override get mapWidth(): number {
    return this.#mapWidth;
  }

  override forwardMap(x: Tensor): Tensor {
    return scope(() => this.#features.forward(x));
  }

  override stem(x: Tensor): Tensor {
    return scope(() => this.#first.forward(x));
  }

  override forward(x: Tensor): Tensor {
    return scope(() => this.#activation.forward(this.#hidden.forward(this.forwardMap(x).mean([2, 3]))));
  }
}

const squeezeOf = (expanded: number) =>
  ({
    channels: divisible(Math.floor(expanded / 4)),
    activation: "relu",
    gate: "hardsigmoid",
    zeroBias: true,
  }) as const;

function hiddenLayer(from: number, to: number, options: BackboneOptions): Linear {
  const layer = new Linear(from, to, options);
  init.normal_(layer.weight, 0.01, options.generator);
  noGrad(() => layer.bias?.zero_());
  return layer;
}
