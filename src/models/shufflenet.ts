/**
 * ShuffleNetV2 (Ma, Zhang, Zheng & Sun, "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", ECCV
 * 2018). Parameter names are torchvision's.
 */
import { z } from "zod";
import { Module, Sequential } from "../nn/index.ts";
import { cat, ops, scope, type Tensor } from "../torch/index.ts";
import { Backbone, type BackboneOptions } from "./backbone.ts";
import { convNormSteps } from "./blocks/conv-norm.ts";
import { count, type Family, type Shapes } from "./family.ts";
import { imagenetInput, type Preset } from "./preset.ts";

export const shufflenetConfig = z
  .strictObject({
    /** Units in each stage; the first of each halves the side. */
    depths: z.array(z.int().positive()).min(1).max(6).default([4, 8, 4]),
    /** Channels of each stage. */
    widths: z
      .array(
        z
          .int()
          .positive()
          .refine((width) => width % 2 === 0, "channels are split in halves"),
      )
      .min(1)
      .default([116, 232, 464]),
    /** Channels of the first convolution. */
    stemWidth: z.int().positive().default(24),
    /** Channels of the last convolution. */
    headWidth: z.int().positive().default(1024),
  })
  .refine((config) => config.depths.length === config.widths.length, "depths and widths need the same length");

export type ShuffleNetConfig = z.input<typeof shufflenetConfig>;

const preset = (widths: number[], headWidth = 1024): Preset => {
  const config = { widths, headWidth } satisfies ShuffleNetConfig;
  return { architecture: "shufflenet-v2", config, input: imagenetInput, classifier: "fc", library: "torchvision" };
};

export const shufflenetPresets: Readonly<Record<string, Preset>> = {
  shufflenet_v2_x0_5: preset([48, 96, 192]),
  shufflenet_v2_x1_0: preset([116, 232, 464]),
  shufflenet_v2_x1_5: preset([176, 352, 704]),
  shufflenet_v2_x2_0: preset([244, 488, 976], 2048),
};

const activation = "relu";

/** Half of the channels pass as they are, half through convolutions; a unit of stride 2 filters both; then they mix. */
class Unit extends Module {
  readonly #first: Sequential | undefined;
  readonly #second: Sequential;

  constructor(from: number, to: number, stride: number, options: BackboneOptions) {
    super();
    const half = to / 2;
    const deep = (channels: number) => ({ from: channels, to: channels, kernel: 3, stride, groups: channels });
    if (stride > 1) {
      const steps = [
        ...convNormSteps(deep(from), options),
        ...convNormSteps({ from, to: half, kernel: 1, activation }, options),
      ];
      this.#first = this.module("branch1", new Sequential(steps));
    }
    const steps = [
      ...convNormSteps({ from: stride > 1 ? from : half, to: half, kernel: 1, activation }, options),
      ...convNormSteps(deep(half), options),
      ...convNormSteps({ from: half, to: half, kernel: 1, activation }, options),
    ];
    this.#second = this.module("branch2", new Sequential(steps));
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      if (this.#first) return shuffled(cat([this.#first.forward(x), this.#second.forward(x)], 1));
      const half = x.size(1) / 2;
      return shuffled(cat([x.narrow(1, 0, half), this.#second.forward(x.narrow(1, half, half))], 1));
    });
  }
}

/** Takes channels from both halves in turn. */
function shuffled(x: Tensor): Tensor {
  const [batch = 0, channels = 0, height = 0, width = 0] = x.shape;
  const halves = x.reshape([batch, 2, channels / 2, height, width]);
  return halves.transpose(1, 2).reshape([batch, channels, height, width]);
}

/** ShuffleNetV2 in any width; [B, 3, H, W] to [B, d]. */
export class ShuffleNetV2 extends Backbone {
  readonly featureWidth: number;
  readonly #stem: Sequential;
  readonly #stages: Sequential[] = [];
  readonly #last: Sequential;

  constructor(config: ShuffleNetConfig, options: BackboneOptions) {
    super();
    const { depths, widths, stemWidth, headWidth } = shufflenetConfig.parse(config);
    const stem = { from: 3, to: stemWidth, kernel: 3, stride: 2, activation } as const;
    this.#stem = this.module("conv1", new Sequential(convNormSteps(stem, options)));
    let channels = stemWidth;
    for (const [stage, to] of widths.entries()) {
      const units = Array.from({ length: depths[stage] ?? 0 }, (_, i) => {
        return new Unit(i === 0 ? channels : to, to, i === 0 ? 2 : 1, options);
      });
      this.#stages.push(this.module(`stage${stage + 2}`, new Sequential(units)));
      channels = to;
    }
    const last = { from: channels, to: headWidth, kernel: 1, activation } as const;
    this.#last = this.module("conv5", new Sequential(convNormSteps(last, options)));
    this.featureWidth = headWidth;
  }

  override forwardMap(x: Tensor): Tensor {
    return scope(() => {
      const pooled = ops.max_pool2d(this.#stem.forward(x), 3, 2, 1);
      return [...this.#stages, this.#last].reduce((y, part) => part.forward(y), pooled);
    });
  }
}

function infer(shapes: Shapes): ShuffleNetConfig[] {
  const unit = (stage: number, i: number): string => `stage${stage + 2}.${i}.branch2.0.weight`;
  const stages = count(shapes, (stage) => unit(stage, 0));
  const indices = Array.from({ length: stages }, (_, stage) => stage);
  return [
    {
      depths: indices.map((stage) => count(shapes, (i) => unit(stage, i))),
      widths: indices.map((stage) => 2 * (shapes.get(unit(stage, 0))?.[0] ?? 0)),
      stemWidth: shapes.get("conv1.0.weight")?.[0] ?? 0,
      headWidth: shapes.get("conv5.0.weight")?.[0] ?? 0,
    },
  ];
}

/** Recognition of ShuffleNetV2's weights. */
export const shufflenetFamily: Family = {
  architecture: "shufflenet-v2",
  anchor: "stage2.0.branch2.0.weight",
  infer,
  foreign: /^(conv\d|stage\d)/,
  input: () => imagenetInput,
};
