/**
 * DenseNet-BC (Huang, Liu, van der Maaten & Weinberger, "Densely Connected Convolutional Networks", CVPR 2017).
 * Parameter names are torchvision's.
 */
import { z } from "zod";
import { BatchNorm2d, Conv2d, init, inOrder, MaxPool2d, Module, ReLU, Sequential } from "../nn/index.ts";
import { cat, ops, scope, type Tensor } from "../torch/index.ts";
import { Backbone, type BackboneOptions } from "./backbone.ts";
import { imagenetInput, type Preset } from "./preset.ts";

export const densenetConfig = z.strictObject({
  /** Channels that each layer adds. */
  growth: z.int().positive().default(32),
  /** Layers in each block; the side is halved and the channels too between blocks. */
  layers: z.array(z.int().positive()).min(1).max(6).default([6, 12, 24, 16]),
  /** Channels of the first convolution. */
  width: z.int().positive().default(64),
  /** A layer's 1x1 convolution has this many times the growth. */
  bottleneck: z.int().positive().default(4),
  /** "imagenet": 7x7 stride 2 and max pooling; "small": 3x3 without pooling, for images of 32 to 64 pixels. */
  stem: z.enum(["imagenet", "small"]).default("imagenet"),
  /** Stride of the "small" stem. */
  stemStride: z.union([z.literal(1), z.literal(2)]).default(1),
});

export type DenseNetConfig = z.input<typeof densenetConfig>;

const preset = (config: DenseNetConfig): Preset => {
  return { architecture: "densenet", config, input: imagenetInput, classifier: "classifier", library: "torchvision" };
};

export const densenetPresets: Readonly<Record<string, Preset>> = {
  densenet121: preset({ layers: [6, 12, 24, 16] }),
  densenet161: preset({ layers: [6, 12, 36, 24], growth: 48, width: 96 }),
  densenet169: preset({ layers: [6, 12, 32, 32] }),
  densenet201: preset({ layers: [6, 12, 48, 32] }),
};

const rectify = new ReLU({ inPlace: true });

/** Two normalised, rectified convolutions whose output is added to the channels. */
class DenseLayer extends Module {
  readonly #norm1: BatchNorm2d;
  readonly #conv1: Conv2d;
  readonly #norm2: BatchNorm2d;
  readonly #conv2: Conv2d;

  constructor(from: number, inner: number, growth: number, options: BackboneOptions) {
    super();
    this.#norm1 = this.module("norm1", new BatchNorm2d(from, options));
    this.#conv1 = this.module("conv1", convolution(from, inner, 1, 1, options));
    this.#norm2 = this.module("norm2", new BatchNorm2d(inner, options));
    this.#conv2 = this.module("conv2", convolution(inner, growth, 3, 1, options));
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      return inOrder([this.#conv1, this.#norm2, rectify, this.#conv2], ops.relu_(this.#norm1.forward(x)));
    });
  }
}

/** Each layer sees the block's input and the output of all layers before; so does what follows. */
class DenseBlock extends Module {
  readonly #layers: DenseLayer[] = [];

  constructor(from: number, layers: number, growth: number, inner: number, options: BackboneOptions) {
    super();
    for (let i = 0; i < layers; i++) {
      const layer = new DenseLayer(from + i * growth, inner, growth, options);
      this.#layers.push(this.module(`denselayer${i + 1}`, layer));
    }
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      let joined = x;
      for (const layer of this.#layers) {
        using added = layer.forward(joined);
        const next = cat([joined, added], 1);
        if (joined !== x) joined.dispose();
        joined = next;
      }
      return joined;
    });
  }
}

/** Halves channels and side between two blocks. */
class Transition extends Module {
  readonly #norm: BatchNorm2d;
  readonly #conv: Conv2d;

  constructor(from: number, to: number, options: BackboneOptions) {
    super();
    this.#norm = this.module("norm", new BatchNorm2d(from, options));
    this.#conv = this.module("conv", convolution(from, to, 1, 1, options));
  }

  override forward(x: Tensor): Tensor {
    return scope(() => ops.avg_pool2d(this.#conv.forward(ops.relu_(this.#norm.forward(x))), 2, 2));
  }
}

/** DenseNet in any width and depth; [B, 3, H, W] to [B, d]. Its feature map is rectified, as pooling needs it. */
export class DenseNet extends Backbone {
  readonly featureWidth: number;
  override readonly stemWidth: number;
  readonly #features: Sequential;
  readonly #first: Sequential;

  constructor(config: DenseNetConfig, options: BackboneOptions) {
    super();
    const { growth, layers, width, bottleneck, stem, stemStride } = densenetConfig.parse(config);
    const [kernel, stride] = stem === "imagenet" ? [7, 2] : [3, stemStride];
    const steps: Record<string, Module> = {
      conv0: convolution(3, width, kernel, stride, options),
      norm0: new BatchNorm2d(width, options),
      relu0: new ReLU({ inPlace: true }),
    };
    if (stem === "imagenet") steps.pool0 = new MaxPool2d(3, { stride: 2, padding: 1 });
    let channels = width;
    let first: { steps: Module[]; width: number } | undefined;
    for (const [i, depth] of layers.entries()) {
      steps[`denseblock${i + 1}`] = new DenseBlock(channels, depth, growth, bottleneck * growth, options);
      channels += depth * growth;
      if (i < layers.length - 1) {
        const half = Math.floor(channels / 2);
        steps[`transition${i + 1}`] = new Transition(channels, half, options);
        channels = half;
      }
      first ??= { steps: Object.values(steps), width: channels };
    }
    steps.norm5 = new BatchNorm2d(channels, options);
    this.#features = this.module("features", new Sequential(steps));
    this.featureWidth = channels;
    this.#first = new Sequential(first?.steps ?? []);
    this.stemWidth = first?.width ?? channels;
  }

  override forwardMap(x: Tensor): Tensor {
    return scope(() => ops.relu_(this.#features.forward(x)));
  }

  override stem(x: Tensor): Tensor {
    return scope(() => this.#first.forward(x));
  }
}

/** Initialised after He et al. 2015 in fan-in mode. */
function convolution(from: number, to: number, kernel: number, stride: number, options: BackboneOptions): Conv2d {
  const layer = new Conv2d(from, to, kernel, { ...options, stride, padding: (kernel - 1) / 2, bias: false });
  init.normal_(layer.weight, Math.sqrt(2 / init.fans(layer.weight).fanIn), options.generator);
  return layer;
}
