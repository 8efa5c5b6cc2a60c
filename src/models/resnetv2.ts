/**
 * ResNetV2, whose blocks norm and rectify their input (He, Zhang, Ren & Sun, "Identity Mappings in Deep Residual Networks",
 * ECCV 2016), and Big Transfer's, with GroupNorm and standardised convolutions (Kolesnikov, Beyer, Zhai, Puigcerver, Yung,
 * Gelly & Houlsby, "Big Transfer (BiT): General Visual Representation Learning", ECCV 2020). Parameter names are timm's.
 */
import { z } from "zod";
import { Conv2d, init, inOrder, Module, ReLU, Sequential, StandardizedConv2d } from "../nn/index.ts";
import { ops, scope, type Tensor } from "../torch/index.ts";
import { Backbone, type BackboneOptions } from "./backbone.ts";
import { normOf } from "./blocks/conv-norm.ts";
import { type Config, count, type Family } from "./family.ts";
import { imagenetInput } from "./preset.ts";

export const resnetv2Config = z
  .strictObject({
    /** Bottlenecks in each stage; each stage after the first halves the side and doubles the width. */
    layers: z.array(z.int().positive()).min(1).max(6).default([3, 4, 6, 3]),
    /** Channels of the stem and of the first stage's 3x3 convolutions. */
    width: z.int().positive().default(64),
    /** "group": 32 groups, standardised convolutions, and zeros around what the stem pools (BiT). */
    norm: z.enum(["batch", "group"]).default("group"),
  })
  .refine(({ norm, width }) => norm === "batch" || width % 32 === 0, "GroupNorm has 32 groups");

export type ResNetV2Config = z.input<typeof resnetv2Config>;
type Network = z.output<typeof resnetv2Config>;

/** onnxruntime (1.30) drops zeros before a max pooling for its own padding, which is less than all: float16's least number stays. */
const almostZero = 2 ** -24;

const rectify = new ReLU({ inPlace: true });

/** Makes layers as a network's configuration wants them. */
class Maker {
  readonly #norm: Network["norm"];
  readonly #options: BackboneOptions;

  constructor({ norm }: Network, options: BackboneOptions) {
    this.#norm = norm;
    this.#options = options;
  }

  conv(from: number, to: number, kernel: number, stride = 1): Module {
    const options = { ...this.#options, stride, eps: 1e-8 };
    const padding = (kernel - 1) / 2;
    const layer =
      this.#norm === "group"
        ? new StandardizedConv2d(from, to, kernel, options)
        : new Conv2d(from, to, kernel, { ...options, padding, bias: false });
    init.kaimingNormalFanOut_(layer.weight, options.generator);
    return layer;
  }

  norm(channels: number): Module {
    return normOf(this.#norm, channels, this.#options);
  }
}

/** Bottleneck of three normed, rectified inputs: [B, from, H, W] to [B, 4 · inner, H', W']. */
class PreActivationBlock extends Module {
  readonly #norm: Module;
  readonly #steps: readonly Module[];
  readonly #downsample: Module | undefined;

  constructor(from: number, inner: number, stride: number, isFirst: boolean, maker: Maker) {
    super();
    const out = 4 * inner;
    if (isFirst) this.#downsample = this.module("downsample.conv", maker.conv(from, out, 1, stride));
    this.#norm = this.module("norm1", maker.norm(from));
    this.#steps = [
      this.module("conv1", maker.conv(from, inner, 1)),
      this.module("norm2", maker.norm(inner)),
      rectify,
      this.module("conv2", maker.conv(inner, inner, 3, stride)),
      this.module("norm3", maker.norm(inner)),
      rectify,
      this.module("conv3", maker.conv(inner, out, 1)),
    ];
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      const ready = ops.relu_(this.#norm.forward(x));
      const shortcut = this.#downsample?.forward(ready) ?? x;
      return inOrder(this.#steps, ready).add_(shortcut);
    });
  }
}

/** ResNetV2 and BiT in any size; [B, 3, H, W] to [B, d]. Its feature map is normed and rectified, as pooling needs it. */
export class ResNetV2 extends Backbone {
  readonly featureWidth: number;
  override readonly stemWidth: number;
  readonly #conv: Module;
  readonly #stages: Sequential[] = [];
  readonly #norm: Module;
  readonly #padsZeros: boolean;

  constructor(config: ResNetV2Config, options: BackboneOptions) {
    super();
    const network = resnetv2Config.parse(config);
    const { layers, width, norm } = network;
    const maker = new Maker(network, options);
    this.#padsZeros = norm === "group";
    this.#conv = this.module("stem.conv", maker.conv(3, width, 7, 2));
    let channels = width;
    for (const [stage, depth] of layers.entries()) {
      const inner = width * 2 ** stage;
      const blocks = Array.from({ length: depth }, (_, i) => {
        const isFirst = i === 0;
        const block = new PreActivationBlock(channels, inner, isFirst && stage > 0 ? 2 : 1, isFirst, maker);
        channels = 4 * inner;
        return block;
      });
      this.#stages.push(this.module(`stages.${stage}.blocks`, new Sequential(blocks)));
    }
    this.#norm = this.module("norm", maker.norm(channels));
    this.featureWidth = channels;
    this.stemWidth = 4 * width;
  }

  override forwardMap(x: Tensor): Tensor {
    return scope(() => ops.relu_(this.#norm.forward(inOrder(this.#stages, this.#pooled(x)))));
  }

  override stem(x: Tensor): Tensor {
    return scope(() => this.#stages[0]?.forward(this.#pooled(x)) ?? x);
  }

  #pooled(x: Tensor): Tensor {
    const y = this.#conv.forward(x);
    return this.#padsZeros
      ? ops.max_pool2d(ops.constant_pad_nd(y, [1, 1, 1, 1], almostZero), 3, 2)
      : ops.max_pool2d(y, 3, 2, 1);
  }
}

const anchor = "stages.0.blocks.0.norm3.weight";

/** Recognised by the names of pre-activation bottlenecks behind one 7x7 convolution. */
export const resnetv2Family: Family = {
  architecture: "resnetv2",
  anchor,
  infer: (shapes): Config[] => {
    const [width = 0, , kernel] = shapes.get("stem.conv.weight") ?? [];
    if (kernel !== 7) return [];
    const conv = (stage: number, i: number): string => `stages.${stage}.blocks.${i}.conv3.weight`;
    const stages = count(shapes, (stage) => conv(stage, 0));
    const layers = Array.from({ length: stages }, (_, stage) => count(shapes, (i) => conv(stage, i)));
    const isBatch = shapes.has(anchor.replace("weight", "running_mean"));
    return [{ layers, ...(width === 64 ? {} : { width }), ...(isBatch ? { norm: "batch" } : {}) }];
  },
  named: /^resnetv2_/,
  foreign: /^(stem|stages|norm)/,
  input: () => ({ ...imagenetInput, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] }),
};
