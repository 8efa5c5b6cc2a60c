/**
 * MobileNetV2 (Sandler, Howard, Zhu, Zhmoginov & Chen, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR
 * 2018). Parameter names are torchvision's.
 */
import { z } from "zod";
import { type Module, Sequential } from "../nn/index.ts";
import { scope, type Tensor } from "../torch/index.ts";
import { Backbone, type BackboneOptions } from "./backbone.ts";
import { convNorm, convNormSteps, divisible } from "./blocks/conv-norm.ts";
import { Residual } from "./blocks/inverted-residual.ts";
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

const activation = "relu6";

/** Expands, filters each channel, and projects back without activation. */
function block(from: number, to: number, stride: number, expansion: number, options: BackboneOptions): Residual {
  const hidden = Math.round(from * expansion);
  const depthwise = { from: hidden, to: hidden, kernel: 3, stride, groups: hidden, activation } as const;
  const expanding = { from, to: hidden, kernel: 1, activation } as const;
  const steps: Module[] = expansion === 1 ? [] : [convNorm(expanding, options)];
  steps.push(convNorm(depthwise, options), ...convNormSteps({ from: hidden, to, kernel: 1 }, options));
  return new Residual("conv", steps, { from, to, stride }, options);
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
    const features: Module[] = [
      convNorm({ from: 3, to: channels, kernel: 3, stride: stemStride, activation }, options),
    ];
    for (const [expansion, base, blocks, stride] of stages) {
      const out = divisible(base * width);
      for (let i = 0; i < blocks; i++) {
        features.push(block(channels, out, i === 0 ? stride : 1, expansion, options));
        channels = out;
      }
    }
    features.push(convNorm({ from: channels, to: this.featureWidth, kernel: 1, activation }, options));
    this.#features = this.module("features", new Sequential(features));
  }

  override forwardMap(x: Tensor): Tensor {
    return scope(() => this.#features.forward(x));
  }
}
