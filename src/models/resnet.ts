/**
 * ResNet (He, Zhang, Ren & Sun, "Deep Residual Learning for Image Recognition", CVPR 2016), v1.5 as in torchvision: the
 * stride of a bottleneck is at its 3x3 convolution. Parameter names are torchvision's.
 */
import { z } from "zod";
import { BatchNorm2d, Conv2d, init, Module, Sequential } from "../nn/index.ts";
import { ops, scope, type Tensor } from "../torch/index.ts";
import { Backbone, type BackboneOptions } from "./backbone.ts";
import { imagenetInput, type Preset } from "./preset.ts";

export const resnetConfig = z.strictObject({
  /** Blocks in each stage; each stage after the first halves the side and doubles the width. */
  layers: z.array(z.int().positive()).min(1).max(6).default([2, 2, 2, 2]),
  block: z.enum(["basic", "bottleneck"]).default("basic"),
  /** Channels of the first stage. */
  width: z.int().positive().default(64),
  /** "imagenet": 7x7 stride 2 and max pooling; "small": 3x3 without pooling, for images of 32 to 64 pixels. */
  stem: z.enum(["imagenet", "small"]).default("imagenet"),
  /** Stride of the "small" stem. */
  stemStride: z.union([z.literal(1), z.literal(2)]).default(1),
});

export type ResNetConfig = z.input<typeof resnetConfig>;

const preset = (config: ResNetConfig): Preset => {
  return { architecture: "resnet", config, input: imagenetInput, classifier: "fc", library: "torchvision" };
};

export const resnetPresets: Readonly<Record<string, Preset>> = {
  resnet18: preset({ layers: [2, 2, 2, 2], block: "basic" }),
  resnet34: preset({ layers: [3, 4, 6, 3], block: "basic" }),
  resnet50: preset({ layers: [3, 4, 6, 3], block: "bottleneck" }),
  resnet101: preset({ layers: [3, 4, 23, 3], block: "bottleneck" }),
};

const expansionOf = { basic: 1, bottleneck: 4 } as const;

/** Two or three convolutions and a shortcut; the sum is rectified. */
class ResidualBlock extends Module {
  readonly #steps: readonly { conv: Conv2d; norm: BatchNorm2d }[];
  readonly #downsample: Sequential | undefined;

  constructor(inChannels: number, channels: number, stride: number, bottleneck: boolean, options: BackboneOptions) {
    super();
    const expansion = expansionOf[bottleneck ? "bottleneck" : "basic"];
    const sizes: [number, number, number, number][] = bottleneck
      ? [
          [inChannels, channels, 1, 1],
          [channels, channels, 3, stride],
          [channels, channels * expansion, 1, 1],
        ]
      : [
          [inChannels, channels, 3, stride],
          [channels, channels, 3, 1],
        ];
    this.#steps = sizes.map(([from, to, kernel, step], i) => ({
      conv: this.module(`conv${i + 1}`, convolution(from, to, kernel, step, options)),
      norm: this.module(`bn${i + 1}`, new BatchNorm2d(to, options)),
    }));
    const out = channels * expansion;
    if (stride === 1 && inChannels === out) return;
    const projection = [convolution(inChannels, out, 1, stride, options), new BatchNorm2d(out, options)];
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

/** ResNet-18/34 (basic) and 50/101/152 (bottleneck) in any width and depth; [B, 3, H, W] to [B, d]. */
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
    const { layers, block, width, stem, stemStride } = resnetConfig.parse(config);
    this.#pools = stem === "imagenet";
    const [kernel, stride] = this.#pools ? [7, 2] : [3, stemStride];
    this.#conv1 = this.module("conv1", convolution(3, width, kernel, stride, options));
    this.#bn1 = this.module("bn1", new BatchNorm2d(width, options));
    let channels = width;
    for (const [stage, depth] of layers.entries()) {
      const own: ResidualBlock[] = [];
      for (let i = 0; i < depth; i++) {
        const step = stage > 0 && i === 0 ? 2 : 1;
        own.push(new ResidualBlock(channels, width * 2 ** stage, step, block === "bottleneck", options));
        channels = width * 2 ** stage * expansionOf[block];
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

function convolution(from: number, to: number, kernel: number, stride: number, options: BackboneOptions): Conv2d {
  const layer = new Conv2d(from, to, kernel, { ...options, stride, padding: (kernel - 1) / 2, bias: false });
  init.kaimingNormalFanOut_(layer.weight, options.generator);
  return layer;
}
