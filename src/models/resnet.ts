/**
 * ResNet (He, Zhang, Ren & Sun, "Deep Residual Learning for Image Recognition", CVPR 2016), v1.5 as in torchvision: the
 * stride of a bottleneck is at its 3x3 convolution. With groups it is ResNeXt (Xie, Girshick, Dollár, Tu & He,
 * "Aggregated Residual Transformations for Deep Neural Networks", CVPR 2017), with a larger width per group Wide ResNet
 * (Zagoruyko & Komodakis, BMVC 2016). Parameter names are torchvision's.
 */
import { z } from "zod";
import { BatchNorm2d, Conv2d, init, Module, Sequential } from "../nn/index.ts";
import { ops, scope, type Tensor } from "../torch/index.ts";
import { Backbone, type BackboneOptions } from "./backbone.ts";
import { imagenetInput, type Preset } from "./preset.ts";

export const resnetConfig = z
  .strictObject({
    /** Blocks in each stage; each stage after the first halves the side and doubles the width. */
    layers: z.array(z.int().positive()).min(1).max(6).default([2, 2, 2, 2]),
    block: z.enum(["basic", "bottleneck"]).default("basic"),
    /** Channels of the first stage. */
    width: z.int().positive().default(64),
    /** "imagenet": 7x7 stride 2 and max pooling; "small": 3x3 without pooling, for images of 32 to 64 pixels. */
    stem: z.enum(["imagenet", "small"]).default("imagenet"),
    /** Stride of the "small" stem. */
    stemStride: z.union([z.literal(1), z.literal(2)]).default(1),
    /** Groups of a bottleneck's 3x3 convolution. */
    groups: z.int().positive().default(1),
    /** Channels of each of these groups in a stage of 64 channels; other stages in proportion. */
    widthPerGroup: z.int().positive().default(64),
    /** How many of the last stages dilate instead of halving the side (DeepLabV3: 2). */
    dilated: z.int().min(0).max(5).default(0),
  })
  .refine(({ width, widthPerGroup }) => width * widthPerGroup >= 64, "groups of less than one channel")
  .refine((config) => config.dilated < config.layers.length, "the first stage has no stride to replace by dilation")
  .refine(
    ({ block, groups, widthPerGroup, dilated }) =>
      block === "bottleneck" || (groups === 1 && widthPerGroup === 64 && dilated === 0),
    "groups, widthPerGroup and dilated are only for bottlenecks",
  );

export type ResNetConfig = z.input<typeof resnetConfig>;

const preset = (config: ResNetConfig): Preset => {
  return { architecture: "resnet", config, input: imagenetInput, classifier: "fc", library: "torchvision" };
};

export const resnetPresets: Readonly<Record<string, Preset>> = {
  resnet18: preset({ layers: [2, 2, 2, 2], block: "basic" }),
  resnet34: preset({ layers: [3, 4, 6, 3], block: "basic" }),
  resnet50: preset({ layers: [3, 4, 6, 3], block: "bottleneck" }),
  resnet101: preset({ layers: [3, 4, 23, 3], block: "bottleneck" }),
  resnet152: preset({ layers: [3, 8, 36, 3], block: "bottleneck" }),
  resnext50_32x4d: preset({ layers: [3, 4, 6, 3], block: "bottleneck", groups: 32, widthPerGroup: 4 }),
  resnext101_32x8d: preset({ layers: [3, 4, 23, 3], block: "bottleneck", groups: 32, widthPerGroup: 8 }),
  resnext101_64x4d: preset({ layers: [3, 4, 23, 3], block: "bottleneck", groups: 64, widthPerGroup: 4 }),
  wide_resnet50_2: preset({ layers: [3, 4, 6, 3], block: "bottleneck", widthPerGroup: 128 }),
  wide_resnet101_2: preset({ layers: [3, 4, 23, 3], block: "bottleneck", widthPerGroup: 128 }),
};

const expansionOf = { basic: 1, bottleneck: 4 } as const;

/** What one block is. */
interface BlockShape {
  in: number;
  /** Channels of the 3x3 convolutions. */
  inner: number;
  out: number;
  stride: number;
  dilation: number;
  groups: number;
  bottleneck: boolean;
}

/** One convolution of a block. */
interface Step {
  from: number;
  to: number;
  kernel: number;
  stride?: number;
  dilation?: number;
  groups?: number;
}

/** Two or three convolutions and a shortcut; the sum is rectified. */
class ResidualBlock extends Module {
  readonly #steps: readonly { conv: Conv2d; norm: BatchNorm2d }[];
  readonly #downsample: Sequential | undefined;

  constructor(shape: BlockShape, options: BackboneOptions) {
    super();
    const { in: from, inner, out, stride, dilation, groups } = shape;
    const steps: Step[] = shape.bottleneck
      ? [
          { from, to: inner, kernel: 1 },
          { from: inner, to: inner, kernel: 3, stride, dilation, groups },
          { from: inner, to: out, kernel: 1 },
        ]
      : [
          { from, to: inner, kernel: 3, stride },
          { from: inner, to: out, kernel: 3 },
        ];
    this.#steps = steps.map((step, i) => ({
      conv: this.module(`conv${i + 1}`, convolution(step, options)),
      norm: this.module(`bn${i + 1}`, new BatchNorm2d(step.to, options)),
    }));
    if (stride === 1 && from === out) return;
    const projection = [convolution({ from, to: out, kernel: 1, stride }, options), new BatchNorm2d(out, options)];
    this.#downsample = this.module("downsample", new Sequential(projection));
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      let y = x;
      for (const [i, { conv, norm }] of this.#steps.entries()) {
        using filtered = conv.forward(y);
        if (y !== x) y.dispose();
        y = norm.forward(filtered);
        if (i < this.#steps.length - 1) ops.relu_(y);
      }
      y.add_(this.#downsample?.forward(x) ?? x);
      return ops.relu_(y);
    });
  }
}

/** ResNet-18/34 (basic), 50/101/152, ResNeXt and Wide ResNet (bottleneck) in any size; [B, 3, H, W] to [B, d]. */
export class ResNet extends Backbone {
  readonly featureWidth: number;
  readonly #conv1: Conv2d;
  readonly #bn1: BatchNorm2d;
  readonly #pools: boolean;
  readonly #blocks: ResidualBlock[] = [];
  readonly #stemBlocks: number;
  override readonly stemWidth: number;

  constructor(config: ResNetConfig, options: BackboneOptions) {
    super();
    const { layers, block, width, stem, stemStride, groups, widthPerGroup, dilated } = resnetConfig.parse(config);
    const bottleneck = block === "bottleneck";
    this.#pools = stem === "imagenet";
    const [kernel, stride] = this.#pools ? [7, 2] : [3, stemStride];
    this.#conv1 = this.module("conv1", convolution({ from: 3, to: width, kernel, stride }, options));
    this.#bn1 = this.module("bn1", new BatchNorm2d(width, options));
    let channels = width;
    let dilation = 1;
    for (const [stage, depth] of layers.entries()) {
      const own: ResidualBlock[] = [];
      const dilates = stage >= layers.length - dilated;
      const inner = Math.floor((width * 2 ** stage * widthPerGroup) / 64) * groups;
      const out = width * 2 ** stage * expansionOf[block];
      for (let i = 0; i < depth; i++) {
        const stride = stage > 0 && i === 0 && !dilates ? 2 : 1;
        own.push(new ResidualBlock({ in: channels, inner, out, stride, dilation, groups, bottleneck }, options));
        channels = out;
        // As in torchvision, the stage's first block still has the dilation of the stage before.
        if (i === 0 && dilates) dilation *= 2;
      }
      this.module(`layer${stage + 1}`, new Sequential(own));
      this.#blocks.push(...own);
    }
    this.featureWidth = channels;
    this.#stemBlocks = layers[0] ?? 0;
    this.stemWidth = width * expansionOf[block];
  }

  override forwardMap(x: Tensor): Tensor {
    return this.#run(x, this.#blocks);
  }

  override stem(x: Tensor): Tensor {
    return this.#run(x, this.#blocks.slice(0, this.#stemBlocks));
  }

  #run(x: Tensor, blocks: readonly ResidualBlock[]): Tensor {
    return scope(() => {
      let y = ops.relu_(this.#bn1.forward(this.#conv1.forward(x)));
      if (this.#pools) y = ops.max_pool2d(y, 3, 2, 1);
      for (const block of blocks) y = block.forward(y);
      return y;
    });
  }
}

function convolution(step: Step, options: BackboneOptions): Conv2d {
  const { from, to, kernel, stride, dilation = 1, groups } = step;
  const padding = (dilation * (kernel - 1)) / 2;
  const layer = new Conv2d(from, to, kernel, { ...options, stride, dilation, groups, padding, bias: false });
  init.kaimingNormalFanOut_(layer.weight, options.generator);
  return layer;
}
