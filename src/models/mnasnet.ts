/**
 * MNASNet-B1 (Tan, Chen, Pang, Vasudevan, Sandler, Howard & Le, "MnasNet: Platform-Aware Neural Architecture Search for
 * Mobile", CVPR 2019). Parameter names are torchvision's.
 */
import { z } from "zod";
import { type Module, Sequential } from "../nn/index.ts";
import { scope, type Tensor } from "../torch/index.ts";
import { Backbone, type BackboneOptions } from "./backbone.ts";
import { convNormSteps, divisible, earlyStages, stageRows } from "./blocks/conv-norm.ts";
import { Residual } from "./blocks/inverted-residual.ts";
import { imagenetInput, type Preset } from "./preset.ts";

export const mnasnetConfig = z.strictObject({
  /** Multiplies all channel counts but the last, which are rounded to multiples of 8. */
  width: z.number().positive().default(1),
  /** Channels of the last convolution. */
  lastChannels: z.int().positive().default(1280),
  /** 1 keeps small images large. */
  stemStride: z.union([z.literal(1), z.literal(2)]).default(2),
  /** Rows of expansion, kernel, stride, channels, blocks; the paper's figure 7 without squeezing by default. */
  stages: stageRows.default([
    [3, 3, 2, 24, 3],
    [3, 5, 2, 40, 3],
    [6, 5, 2, 80, 3],
    [6, 3, 1, 96, 2],
    [6, 5, 2, 192, 4],
    [6, 3, 1, 320, 1],
  ]),
});

export type MNASNetConfig = z.input<typeof mnasnetConfig>;

const preset = (width: number): Preset => {
  const config = { width } satisfies MNASNetConfig;
  return { architecture: "mnasnet", config, input: imagenetInput, classifier: "classifier.1", library: "torchvision" };
};

export const mnasnetPresets: Readonly<Record<string, Preset>> = {
  mnasnet0_5: preset(0.5),
  mnasnet0_75: preset(0.75),
  mnasnet1_0: preset(1),
  mnasnet1_3: preset(1.3),
};

/** The paper's 0.9997 is the part that is kept. */
const norm = { momentum: 1 - 0.9997 };

const activation = "relu";

interface BlockShape {
  from: number;
  to: number;
  expansion: number;
  kernel: number;
  stride: number;
}

/** Expands, filters each channel, and projects back without activation. */
function block(shape: BlockShape, options: BackboneOptions): Residual {
  const { from, to, expansion, kernel, stride } = shape;
  const hidden = from * expansion;
  const depthwise = { from: hidden, to: hidden, kernel, stride, groups: hidden, activation, norm } as const;
  const steps = [
    ...convNormSteps({ from, to: hidden, kernel: 1, activation, norm }, options),
    ...convNormSteps(depthwise, options),
    ...convNormSteps({ from: hidden, to, kernel: 1, norm }, options),
  ];
  return new Residual("layers", steps, shape, options);
}

/** MNASNet in any width; [B, 3, H, W] to [B, d]. */
export class MNASNet extends Backbone {
  readonly featureWidth: number;
  override readonly stemWidth: number;
  readonly #layers: Sequential;
  readonly #first: Sequential;

  constructor(config: MNASNetConfig, options: BackboneOptions) {
    super();
    const { width, lastChannels, stemStride, stages } = mnasnetConfig.parse(config);
    const start = divisible(32 * width);
    let channels = divisible(16 * width);
    const depthwise = { from: start, to: start, kernel: 3, groups: start, activation, norm } as const;
    const stem = [
      ...convNormSteps({ from: 3, to: start, kernel: 3, stride: stemStride, activation, norm }, options),
      ...convNormSteps(depthwise, options),
      ...convNormSteps({ from: start, to: channels, kernel: 1, norm }, options),
    ];
    const widths = [channels];
    const stacks: Module[] = [];
    for (const [expansion, kernel, stride, base, count] of stages) {
      const to = divisible(base * width);
      const blocks: Module[] = [];
      for (let i = 0; i < count; i++) {
        blocks.push(block({ from: channels, to, expansion, kernel, stride: i === 0 ? stride : 1 }, options));
        channels = to;
      }
      stacks.push(new Sequential(blocks));
      widths.push(to);
    }
    this.featureWidth = lastChannels;
    const last = convNormSteps({ from: channels, to: lastChannels, kernel: 1, activation, norm }, options);
    this.#layers = this.module("layers", new Sequential([...stem, ...stacks, ...last]));
    const early = earlyStages(stages.map(([, , stride]) => stride));
    this.#first = new Sequential([...stem, ...stacks.slice(0, early)]);
    this.stemWidth = widths[early] ?? channels;
  }

  override forwardMap(x: Tensor): Tensor {
    return scope(() => this.#layers.forward(x));
  }

  override stem(x: Tensor): Tensor {
    return scope(() => this.#first.forward(x));
  }
}
