/**
 * ResNet (He, Zhang, Ren & Sun, "Deep Residual Learning for Image Recognition", CVPR 2016), v1.5 as in torchvision: the
 * stride of a bottleneck is at its 3x3 convolution. With groups it is ResNeXt (Xie, Girshick, Dollár, Tu & He,
 * "Aggregated Residual Transformations for Deep Neural Networks", CVPR 2017), with a larger width per group Wide ResNet
 * (Zagoruyko & Komodakis, BMVC 2016). With a deep stem and averaging before the shortcuts' projections it is ResNet-D (He,
 * Zhang, Zhang, Zhang, Xie & Li, "Bag of Tricks for Image Classification with Convolutional Neural Networks", CVPR 2019).
 * With means in place of all strides, and attention that pools, it is CLIP's (Radford et al., ICML 2021). Parameter names are
 * torchvision's, and timm's for what torchvision has not.
 */
import { z } from "zod";
import { BatchNorm2d, Conv2d, foldedForward, init, Module, ReLU, reluAfter, Sequential } from "../nn/index.ts";
import { ops, scope, type Tensor, UserError } from "../torch/index.ts";
import { Backbone, type BackboneOptions } from "./backbone.ts";
import { AttentionPool2d, headChannels } from "./blocks/attention-pool.ts";
import { normOf } from "./blocks/conv-norm.ts";
import { EfficientChannelAttention, SqueezeExcitation } from "./blocks/squeeze-excitation.ts";
import { imagenetInput, type Preset } from "./preset.ts";

const expansionOf = { basic: 1, bottleneck: 4 } as const;

/** Pixels of an image along a side of a pixel that attention pools. */
export const attentionCell = (layers: readonly number[]): number => 2 ** (layers.length + 1);

export const resnetConfig = z
  .strictObject({
    /** Blocks in each stage; each stage after the first halves the side and doubles the width. */
    layers: z.array(z.int().positive()).min(1).max(6).default([2, 2, 2, 2]),
    block: z.enum(["basic", "bottleneck"]).default("basic"),
    /** Channels of the first stage. */
    width: z.int().positive().default(64),
    /**
     * "imagenet": 7x7 stride 2 and max pooling; "deep": three 3x3 instead of the 7x7; "small": one 3x3 without pooling, for
     * images of 32 to 64 pixels.
     */
    stem: z.enum(["imagenet", "deep", "small"]).default("imagenet"),
    /** Channels of the first two convolutions of the "deep" stem, and of the third where it has not the first stage's. */
    stemWidths: z
      .union([
        z.tuple([z.int().positive(), z.int().positive()]),
        z.tuple([z.int().positive(), z.int().positive(), z.int().positive()]),
      ])
      .default([32, 32]),
    /** Stride of the "small" stem. */
    stemStride: z.union([z.literal(1), z.literal(2)]).default(1),
    /** Groups of a bottleneck's 3x3 convolution. */
    groups: z.int().positive().default(1),
    /** Channels of each of these groups in a stage of 64 channels; other stages in proportion. */
    widthPerGroup: z.int().positive().default(64),
    /** Number of last stages that dilate instead of halving the side (DeepLabV3: 2). */
    dilated: z.int().min(0).max(5).default(0),
    /**
     * True when shortcuts that halve the side average 2 x 2 pixels instead of leaving out three of four; "all" when bottlenecks
     * and the deep stem do so too, behind a convolution without stride (CLIP).
     */
    averageDown: z.union([z.boolean(), z.literal("all")]).default(false),
    /** Squeeze-and-excitation, or efficient channel attention, at each block's end. */
    attention: z.enum(["none", "se", "eca"]).default("none"),
    /** Convolution of a bottleneck that has the stride: the first in weights from Caffe. */
    strideAt: z.enum(["3x3", "1x1"]).default("3x3"),
    /** Stride of the first stage. */
    firstStride: z.union([z.literal(1), z.literal(2)]).default(1),
    /** "group": GroupNorm with 32 groups in BatchNorm's place. */
    norm: z.enum(["batch", "group"]).default("batch"),
    /** Width of the features where attention pools (CLIP), for images of one size. */
    embedding: z.int().positive().optional(),
    /** Side of these images. */
    image: z.int().positive().optional(),
  })
  .refine(
    ({ averageDown, block, stem, strideAt }) =>
      averageDown !== "all" || (block === "bottleneck" && stem === "deep" && strideAt === "3x3"),
    'averageDown "all" is for bottlenecks with their stride at 3x3 and the deep stem',
  )
  .refine(
    ({ embedding, image, layers, stem, dilated, firstStride }) =>
      embedding === undefined
        ? image === undefined
        : image !== undefined &&
          image % attentionCell(layers) === 0 &&
          stem === "deep" &&
          dilated === 0 &&
          firstStride === 1,
    "pooling by attention needs embedding, image (a multiple of all strides), the deep stem and no other strides",
  )
  .refine(
    ({ embedding, layers, block, width }) =>
      embedding === undefined || (width * 2 ** (layers.length - 1) * expansionOf[block]) % headChannels === 0,
    `pooling by attention has heads of ${headChannels} channels`,
  )
  .refine(
    ({ norm, stem, width }) => norm === "batch" || (stem !== "deep" && width % 32 === 0),
    "GroupNorm has 32 groups",
  )
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

/** Options of one block. */
interface BlockShape {
  in: number;
  /** Channels of the 3x3 convolutions. */
  inner: number;
  out: number;
  stride: number;
  dilation: number;
  groups: number;
  bottleneck: boolean;
  averageDown: boolean | "all";
  attention: "none" | "se" | "eca";
  strideAt: "3x3" | "1x1";
  norm: "batch" | "group";
}

/** One convolution of a block. */
interface Step {
  from: number;
  to: number;
  kernel: number;
  stride?: number;
  /** Side of the squares whose means take the place of a stride. */
  pool?: number;
  dilation?: number;
  groups?: number;
}

/** Two or three convolutions and a shortcut; the sum is rectified. */
class ResidualBlock extends Module {
  readonly #steps: readonly { conv: Conv2d; norm: Module; pool: number }[];
  readonly #attention: Module | undefined;
  readonly #downsample: Sequential | undefined;

  constructor(shape: BlockShape, options: BackboneOptions) {
    super();
    const { in: from, inner, out, stride, dilation, groups } = shape;
    const { attention, averageDown, strideAt } = shape;
    const middle = averageDown === "all" ? { pool: stride } : { stride: strideAt === "3x3" ? stride : 1 };
    const steps: Step[] = shape.bottleneck
      ? [
          { from, to: inner, kernel: 1, stride: strideAt === "1x1" ? stride : 1 },
          { from: inner, to: inner, kernel: 3, ...middle, dilation, groups },
          { from: inner, to: out, kernel: 1 },
        ]
      : [
          { from, to: inner, kernel: 3, stride },
          { from: inner, to: out, kernel: 3 },
        ];
    this.#steps = steps.map((step, i) => ({
      conv: this.module(`conv${i + 1}`, convolution(step, options)),
      norm: this.module(`bn${i + 1}`, normOf(shape.norm, step.to, options)),
      pool: step.pool ?? 1,
    }));
    if (attention === "se") this.#attention = this.module("se", new SqueezeExcitation(out, squeezeOf(out), options));
    if (attention === "eca") this.#attention = this.module("se", new EfficientChannelAttention(out, options));
    if (stride === 1 && from === out) return;
    const norm = normOf(shape.norm, out, options);
    const projection = averageDown
      ? [new AverageDown(stride, averageDown), convolution({ from, to: out, kernel: 1 }, options), norm]
      : [convolution({ from, to: out, kernel: 1, stride }, options), norm];
    this.#downsample = this.module("downsample", new Sequential(projection));
  }

  override forward(x: Tensor): Tensor {
    return this.#run(x, false);
  }

  /** The same where nobody else needs the input, whose memory the result may take. */
  forwardOver(x: Tensor): Tensor {
    return this.forward === ResidualBlock.prototype.forward ? this.#run(x, true) : this.forward(x);
  }

  #run(x: Tensor, over: boolean): Tensor {
    return scope(() => {
      let y = x;
      let sum: Tensor | undefined;
      for (const [i, { conv, norm, pool }] of this.#steps.entries()) {
        const isLast = i === this.#steps.length - 1;
        const before = y;
        if (isLast && !this.#attention && (over || this.#downsample)) sum = this.#downsample?.forward(x) ?? x;
        const folded = foldedForward(y, conv, norm, { sum, activation: isLast && !sum ? undefined : reluAfter });
        if (folded) {
          y = folded;
        } else {
          using filtered = conv.forward(y);
          y = norm.forward(filtered);
          if (!isLast) ops.relu_(y);
        }
        if (pool > 1) y = replaced(y, ops.avg_pool2d(y, pool));
        if (before !== x) before.dispose();
      }
      if (y === sum) return y;
      if (this.#attention) y = this.#attention.forward(y);
      y.add_(sum ?? this.#downsample?.forward(x) ?? x);
      return ops.relu_(y);
    });
  }
}

/**
 * Means of stride x stride pixels: [B, C, H, W] to [B, C, ⌈H/stride⌉, ⌈W/stride⌉], at a border of those that are there; "all"
 * leaves such borders out, as the blocks do.
 */
class AverageDown extends Module {
  readonly #stride: number;
  readonly #hasBorder: boolean;

  constructor(stride: number, kind: true | "all") {
    super();
    this.#stride = stride;
    this.#hasBorder = kind !== "all";
  }

  override forward(x: Tensor): Tensor {
    return this.#stride === 1 ? x : ops.avg_pool2d(x, 2, this.#stride, 0, this.#hasBorder, false);
  }
}

/** A sixteenth of the channels, to the nearest multiple of 8. */
const squeezeOf = (width: number) =>
  ({
    channels: Math.max(8, Math.floor((width / 16 + 4) / 8) * 8),
    activation: "relu",
    gate: "sigmoid",
    zeroBias: false,
  }) as const;

/** ResNet-18/34 (basic), 50/101/152, ResNeXt, Wide ResNet and CLIP's (bottleneck) in any size; [B, 3, H, W] to [B, d]. */
export class ResNet extends Backbone {
  readonly featureWidth: number;
  readonly #mapWidth: number;
  readonly #conv1: Module;
  readonly #bn1: Module;
  readonly #pool: ((x: Tensor) => Tensor) | undefined;
  readonly #attention: AttentionPool2d | undefined;
  readonly #image: number | undefined;
  readonly #blocks: ResidualBlock[] = [];
  readonly #stemBlocks: number;
  override readonly stemWidth: number;

  constructor(config: ResNetConfig, options: BackboneOptions) {
    super();
    const parsed = resnetConfig.parse(config);
    const { layers, block, width, stem, groups, widthPerGroup, dilated, firstStride } = parsed;
    const { averageDown, attention, strideAt, norm, embedding, image } = parsed;
    const bottleneck = block === "bottleneck";
    const pool = (x: Tensor): Tensor => (averageDown === "all" ? ops.avg_pool2d(x, 2) : ops.max_pool2d(x, 3, 2, 1));
    this.#pool = stem === "small" ? undefined : pool;
    this.#conv1 = this.module("conv1", stemOf(parsed, options));
    let channels = stem === "deep" ? (parsed.stemWidths[2] ?? width) : width;
    this.#bn1 = this.module("bn1", normOf(parsed.norm, channels, options));
    let dilation = 1;
    for (const [stage, depth] of layers.entries()) {
      const own: ResidualBlock[] = [];
      const dilates = stage >= layers.length - dilated;
      const inner = Math.floor((width * 2 ** stage * widthPerGroup) / 64) * groups;
      const out = width * 2 ** stage * expansionOf[block];
      for (let i = 0; i < depth; i++) {
        const stride = i > 0 || dilates ? 1 : stage > 0 ? 2 : firstStride;
        const kind = { groups, bottleneck, averageDown, attention, strideAt, norm };
        own.push(new ResidualBlock({ in: channels, inner, out, stride, dilation, ...kind }, options));
        channels = out;
        // As in torchvision, the stage's first block still has the dilation of the stage before.
        if (i === 0 && dilates) dilation *= 2;
      }
      this.module(`layer${stage + 1}`, new Sequential(own));
      this.#blocks.push(...own);
    }
    this.#mapWidth = channels;
    this.featureWidth = embedding ?? channels;
    this.#image = image;
    if (embedding !== undefined && image !== undefined) {
      const side = image / attentionCell(layers);
      this.#attention = this.module("attnpool", new AttentionPool2d(side, channels, embedding, options));
    }
    this.#stemBlocks = layers[0] ?? 0;
    this.stemWidth = width * expansionOf[block];
  }

  override get mapWidth(): number {
    return this.#mapWidth;
  }

  override forward(x: Tensor): Tensor {
    const attention = this.#attention;
    if (!attention) return super.forward(x);
    if (x.size(2) !== this.#image || x.size(3) !== this.#image) {
      const size = `${this.#image} x ${this.#image} pixels, got ${x.size(3)} x ${x.size(2)}`;
      throw new UserError(`this ResNet, whose pooling has learned positions, takes images of ${size}`);
    }
    return scope(() => attention.forward(this.forwardMap(x)));
  }

  override forwardMap(x: Tensor): Tensor {
    return this.#run(x, this.#blocks);
  }

  override stem(x: Tensor): Tensor {
    return this.#run(x, this.#blocks.slice(0, this.#stemBlocks));
  }

  #first(x: Tensor): Tensor {
    const folded = foldedForward(x, this.#conv1, this.#bn1, { activation: reluAfter });
    return folded ?? ops.relu_(this.#bn1.forward(this.#conv1.forward(x)));
  }

  #run(x: Tensor, blocks: readonly ResidualBlock[]): Tensor {
    return scope(() => {
      let y = this.#first(x);
      if (this.#pool) y = replaced(y, this.#pool(y));
      for (const block of blocks) y = replaced(y, block.forwardOver(y));
      return y;
    });
  }
}

/** The next of two tensors; the other goes at once, so that its memory is used again while it is in the cache. */
function replaced(before: Tensor, next: Tensor): Tensor {
  if (before !== next) before.dispose();
  return next;
}

/** The first convolution, or the three that stand for it. */
function stemOf(
  { stem, stemStride, stemWidths, width }: z.output<typeof resnetConfig>,
  options: BackboneOptions,
): Module {
  if (stem === "small") return convolution({ from: 3, to: width, kernel: 3, stride: stemStride }, options);
  if (stem === "imagenet") return convolution({ from: 3, to: width, kernel: 7, stride: 2 }, options);
  const [first, second, third = width] = stemWidths;
  return new Sequential([
    convolution({ from: 3, to: first, kernel: 3, stride: 2 }, options),
    new BatchNorm2d(first, options),
    new ReLU({ inPlace: true }),
    convolution({ from: first, to: second, kernel: 3 }, options),
    new BatchNorm2d(second, options),
    new ReLU({ inPlace: true }),
    convolution({ from: second, to: third, kernel: 3 }, options),
  ]);
}

function convolution(step: Step, options: BackboneOptions): Conv2d {
  const { from, to, kernel, stride, dilation = 1, groups } = step;
  const padding = (dilation * (kernel - 1)) / 2;
  const layer = new Conv2d(from, to, kernel, { ...options, stride, dilation, groups, padding, bias: false });
  init.kaimingNormalFanOut_(layer.weight, options.generator);
  return layer;
}
