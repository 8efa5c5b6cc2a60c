/**
 * MaxViT (Tu, Talebi, Zhang, Yang, Milanfar, Bovik & Li, "MaxViT: Multi-Axis Vision Transformer", ECCV 2022): each layer is a
 * convolution of an inverted bottleneck, attention inside windows, and attention between pixels that are spread over the map.
 * Parameter names are torchvision's. n images, c channels, s side of a window.
 */
import { z } from "zod";
import {
  BatchNorm2d,
  Conv2d,
  DropPath,
  GELU,
  init,
  inOrder,
  LayerNorm,
  Linear,
  Module,
  Sequential,
  Tanh,
} from "../nn/index.ts";
import { empty, noGrad, ops, scope, type Tensor, tensor, UserError } from "../torch/index.ts";
import { Backbone, type BackboneOptions } from "./backbone.ts";
import { SameConv2d } from "./blocks/conv-norm.ts";
import { SqueezeExcitation } from "./blocks/squeeze-excitation.ts";
import {
  biasesOf,
  joinWindows,
  maximumWindow,
  mixed,
  type Partition,
  relativePositions,
  splitHeads,
  windows,
} from "./blocks/windows.ts";
import { type Config, count, type Family, type Shapes } from "./family.ts";
import { imagenetInput, type Preset } from "./preset.ts";

export const maxvitConfig = z
  .strictObject({
    /** Channels of the two convolutions before the first stage. */
    stemWidth: z.int().positive().default(64),
    /** Channels of each stage, whose first layer halves the side. */
    widths: z.array(z.int().positive()).min(1).max(6).default([64, 128, 256, 512]),
    /** Layers in each stage. */
    depths: z.array(z.int().positive()).min(1).max(6).default([2, 2, 5, 2]),
    /** Side of the windows, and number of pixels along a side of those that are spread. */
    partition: z.int().min(1).max(maximumWindow).default(7),
    /** Channels of each head. */
    headWidth: z.int().positive().default(32),
    /**
     * Details of padding, pooling, activation and attention's factor: those of torchvision's code, or of the authors' weights from
     * TensorFlow, which timm has.
     */
    variant: z.enum(["torchvision", "tensorflow"]).default("torchvision"),
    /** Probability of dropping the last layer's branches in training; it rises linearly over the layers. */
    dropPath: z.number().min(0).max(0.9).default(0),
  })
  .refine(({ widths, depths }) => widths.length === depths.length, "widths and depths need the same length")
  .refine(
    ({ widths, headWidth }) => widths.every((width) => width % headWidth === 0),
    "widths must be multiples of headWidth",
  );

export type MaxViTConfig = z.input<typeof maxvitConfig>;
type Network = z.output<typeof maxvitConfig>;

export const maxvitPresets: Readonly<Record<string, Preset>> = {
  maxvit_t: {
    architecture: "maxvit",
    config: {},
    input: { ...imagenetInput, interpolation: "bicubic" },
    classifier: "classifier.5",
    library: "torchvision",
  },
};

const expansion = 4;
const norms = { eps: 1e-3, momentum: 0.01 };

/** Makes layers as a network's configuration wants them. */
class Maker {
  readonly network: Network;
  readonly options: BackboneOptions;
  readonly isTensorflow: boolean;

  constructor(network: Network, options: BackboneOptions) {
    this.network = network;
    this.options = options;
    this.isTensorflow = network.variant === "tensorflow";
  }

  conv(from: number, to: number, kernel: number, { stride = 1, groups = 1, bias = true } = {}): Conv2d {
    const isSame = this.isTensorflow && stride > 1;
    const shape = { ...this.options, stride, groups, bias, padding: isSame ? 0 : (kernel - 1) / 2 };
    const layer = isSame ? new SameConv2d(from, to, kernel, shape) : new Conv2d(from, to, kernel, shape);
    init.kaimingNormalFanOut_(layer.weight, this.options.generator);
    noGrad(() => layer.bias?.zero_());
    return layer;
  }

  norm(channels: number): BatchNorm2d {
    return new BatchNorm2d(channels, { ...this.options, ...norms });
  }

  layerNorm(channels: number): LayerNorm {
    return new LayerNorm([channels], { ...this.options, eps: 1e-5 });
  }

  linear(from: number, to: number): Linear {
    const layer = new Linear(from, to, this.options);
    init.normal_(layer.weight, 0.02, this.options.generator);
    noGrad(() => layer.bias?.zero_());
    return layer;
  }

  activation(): Module {
    return new GELU({ approximate: this.isTensorflow ? "tanh" : "none" });
  }

  dropPath(p: number): DropPath {
    return new DropPath(p, { generator: this.options.dropGenerator ?? this.options.generator });
  }
}

/** Halves the side by means: of 3 x 3 pixels, or of 2 x 2. */
class MeanPool extends Module {
  readonly #isTensorflow: boolean;

  constructor(isTensorflow: boolean) {
    super();
    this.#isTensorflow = isTensorflow;
  }

  override forward(x: Tensor): Tensor {
    return this.#isTensorflow ? ops.avg_pool2d(x, 2) : ops.avg_pool2d(x, 3, 2, 1);
  }
}

/** 1x1, depthwise 3x3, squeeze-and-excitation and 1x1, beside a shortcut: [n, from, H, W] to [n, to, H', W']. */
class MBConv extends Module {
  readonly #shortcut: Module | undefined;
  readonly #steps: Sequential;
  readonly #drop: DropPath | undefined;

  constructor(from: number, to: number, stride: number, drop: number, maker: Maker) {
    super();
    if (stride > 1) {
      const projects = !maker.isTensorflow || from !== to;
      const projection = projects ? [maker.conv(from, to, 1)] : [];
      this.#shortcut = this.module("proj", new Sequential([new MeanPool(maker.isTensorflow), ...projection]));
    }
    const hidden = expansion * to;
    const step = (width: number, kernel: number, shape: { stride?: number; groups?: number }): Sequential =>
      new Sequential([
        maker.conv(width, hidden, kernel, { ...shape, bias: false }),
        maker.norm(hidden),
        maker.activation(),
      ]);
    const squeeze = { channels: Math.floor(to / 4), activation: "silu", gate: "sigmoid", zeroBias: true } as const;
    const steps = new Sequential({
      pre_norm: maker.norm(from),
      conv_a: step(from, 1, {}),
      conv_b: step(hidden, 3, { stride, groups: hidden }),
      squeeze_excitation: new SqueezeExcitation(hidden, squeeze, maker.options),
      conv_c: maker.conv(hidden, to, 1),
    });
    this.#steps = this.module("layers", steps);
    if (drop > 0) this.#drop = this.module("stochastic_depth", maker.dropPath(drop));
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      const y = this.#steps.forward(x);
      return (this.#drop?.forward(y) ?? y).add(this.#shortcut?.forward(x) ?? x);
    });
  }
}

/** Attention with a learned bias for each offset: [rows, s², c] to the same. */
class RelativeAttention extends Module {
  readonly #qkv: Linear;
  readonly #merge: Linear;
  readonly #table: Tensor;
  readonly #index: Tensor;
  readonly #heads: number;
  readonly #scale: number;

  constructor(dim: number, maker: Maker) {
    super();
    const { options } = maker;
    const { partition: side, headWidth } = maker.network;
    this.#heads = dim / headWidth;
    this.#scale = (maker.isTensorflow ? headWidth : dim) ** -0.5;
    this.#table = this.parameter("relative_position_bias_table", empty([(2 * side - 1) ** 2, this.#heads], options));
    init.truncNormal_(this.#table, 0.02, options.generator);
    const index = tensor(relativePositions(side), {
      shape: [side ** 2, side ** 2],
      dtype: "int64",
      device: options.device,
    });
    this.#index = this.buffer("relative_position_index", index);
    this.#qkv = this.module("to_qkv", maker.linear(dim, 3 * dim));
    this.#merge = this.module("merge", maker.linear(dim, dim));
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      const [query, key, value] = splitHeads(this.#qkv.forward(x), this.#heads);
      const scores = query.mul(this.#scale).matmul(key.transpose(-2, -1));
      return this.#merge.forward(mixed(scores.add(biasesOf(this.#table, this.#index)), value));
    });
  }
}

/** Attention inside the parts of a map, then a perceptron, both behind a norm and added to their input: [n, h, w, c] to the same. */
class PartitionAttention extends Module {
  readonly #partition: Partition;
  readonly #side: number;
  readonly #norm: LayerNorm;
  readonly #attention: RelativeAttention;
  readonly #mlp: Sequential;
  readonly #drop: DropPath | undefined;

  constructor(partition: Partition, dim: number, drop: number, maker: Maker) {
    super();
    this.#partition = partition;
    this.#side = maker.network.partition;
    this.#norm = this.module("attn_layer.0", maker.layerNorm(dim));
    this.#attention = this.module("attn_layer.1", new RelativeAttention(dim, maker));
    const hidden = expansion * dim;
    const steps = [maker.layerNorm(dim), maker.linear(dim, hidden), maker.activation(), maker.linear(hidden, dim)];
    this.#mlp = this.module("mlp_layer", new Sequential(steps));
    if (drop > 0) this.#drop = this.module("stochastic_depth", maker.dropPath(drop));
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      const attended = this.#attention.forward(windows(this.#norm.forward(x), this.#side, this.#partition));
      const y = this.#dropped(joinWindows(attended, this.#side, x.shape, this.#partition)).add(x);
      return this.#dropped(this.#mlp.forward(y)).add(y);
    });
  }

  #dropped(x: Tensor): Tensor {
    return this.#drop?.forward(x) ?? x;
  }
}

/** Convolution, attention inside windows and attention over the map: [n, from, H, W] to [n, to, H', W']. */
class MaxViTLayer extends Module {
  readonly #convolution: MBConv;
  readonly #attention: readonly PartitionAttention[];

  constructor(from: number, to: number, stride: number, drop: number, maker: Maker) {
    super();
    const layers = {
      MBconv: new MBConv(from, to, stride, drop, maker),
      window_attention: new PartitionAttention("window", to, drop, maker),
      grid_attention: new PartitionAttention("grid", to, drop, maker),
    };
    this.module("layers", new Sequential(layers));
    this.#convolution = layers.MBconv;
    this.#attention = [layers.window_attention, layers.grid_attention];
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      const map = ops.permute(this.#convolution.forward(x), [0, 2, 3, 1]);
      return ops.permute(inOrder(this.#attention, map), [0, 3, 1, 2]);
    });
  }
}

/** MaxViT in any size; [n, 3, H, W] to [n, d], sides that all windows divide. */
export class MaxViT extends Backbone {
  readonly featureWidth: number;
  readonly #stem: Sequential;
  readonly #layers: MaxViTLayer[] = [];
  readonly #head: Sequential;
  /** Pixels that the sides of images are multiples of. */
  readonly #cell: number;

  constructor(config: MaxViTConfig, options: BackboneOptions) {
    super();
    const network = maxvitConfig.parse(config);
    const { stemWidth, widths, depths, dropPath } = network;
    const maker = new Maker(network, options);
    const first = maker.conv(3, stemWidth, 3, { stride: 2, bias: maker.isTensorflow });
    this.#stem = this.module(
      "stem",
      new Sequential([
        new Sequential([first, maker.norm(stemWidth), maker.activation()]),
        new Sequential([maker.conv(stemWidth, stemWidth, 3)]),
      ]),
    );
    const total = depths.reduce((sum, depth) => sum + depth, 0);
    let from = stemWidth;
    for (const [stage, depth] of depths.entries()) {
      const to = widths[stage] ?? from;
      for (let i = 0; i < depth; i++) {
        const drop = (dropPath * this.#layers.length) / Math.max(1, total - 1);
        const layer = new MaxViTLayer(from, to, i === 0 ? 2 : 1, drop, maker);
        this.#layers.push(this.module(`blocks.${stage}.layers.${i}`, layer));
        from = to;
      }
    }
    const head = { 2: maker.layerNorm(from), 3: maker.linear(from, from), 4: new Tanh() };
    this.#head = this.module("classifier", new Sequential(head));
    this.featureWidth = from;
    this.#cell = maxvitCell(network);
  }

  override forwardMap(x: Tensor): Tensor {
    if (x.size(2) % this.#cell !== 0 || x.size(3) % this.#cell !== 0) {
      const sides = `${this.#cell} pixels, got ${x.size(3)} x ${x.size(2)}`;
      throw new UserError(`this MaxViT takes images whose sides are multiples of ${sides}`);
    }
    return scope(() => inOrder([this.#stem, ...this.#layers], x));
  }

  override forward(x: Tensor): Tensor {
    return scope(() => this.#head.forward(this.forwardMap(x).mean([2, 3])));
  }
}

/** Pixels along a side of an image that make one window of the last stage. */
export const maxvitCell = ({ partition, widths }: Pick<Network, "partition" | "widths">): number =>
  partition * 2 ** (widths.length + 1);

function infer(shapes: Shapes): Config[] {
  const at = (stage: number, i: number, rest: string): string => `blocks.${stage}.layers.${i}.layers.${rest}`;
  const output = "MBconv.layers.conv_c.weight";
  const stages = count(shapes, (stage) => at(stage, 0, output));
  const indices = Array.from({ length: stages }, (_, stage) => stage);
  const depths = indices.map((stage) => count(shapes, (i) => at(stage, i, output)));
  const widths = indices.map((stage) => shapes.get(at(stage, 0, output))?.[0] ?? 0);
  const table = shapes.get(at(0, 0, "window_attention.attn_layer.1.relative_position_bias_table"));
  const [offsets = 0, heads = 0] = table ?? [];
  const headWidth = (widths[0] ?? 0) / heads;
  const stemWidth = shapes.get("stem.0.0.weight")?.[0] ?? 0;
  return [
    {
      ...(stemWidth === 64 ? {} : { stemWidth }),
      widths,
      depths,
      ...(offsets === 169 ? {} : { partition: (Math.sqrt(offsets) + 1) / 2 }),
      ...(headWidth === 32 ? {} : { headWidth }),
    },
  ];
}

/** Recognition of these networks' weights. */
export const maxvitFamily: Family = {
  architecture: "maxvit",
  anchor: "blocks.0.layers.0.layers.MBconv.layers.conv_a.0.weight",
  infer,
  foreign: /^(stem|blocks)/,
  nested: /^classifier\.5\./,
  input: (config) => ({ ...imagenetInput, interpolation: "bicubic", size: maxvitCell(maxvitConfig.parse(config)) }),
};
