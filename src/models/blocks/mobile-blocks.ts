/**
 * Networks of mobile blocks under timm's names: MobileNetV1 to V4, MNASNet, FBNet, EfficientNet (Tan & Le, ICML 2019), its
 * Lite and EdgeTPU kinds, and EfficientNetV2 (Tan & Le, "EfficientNetV2: Smaller Models and Faster Training", ICML 2021).
 * A configuration lists every block, because the published networks differ in all of it.
 */
import { z } from "zod";
import { BatchNorm2d, Conv2d, DropPath, init, inOrder, Module, Sequential } from "../../nn/index.ts";
import { full, scope, type Tensor } from "../../torch/index.ts";
import { Backbone, type BackboneOptions } from "../backbone.ts";
import { type Activation, activationOf, activations, earlyStages, SameConv2d } from "./conv-norm.ts";
import { SqueezeExcitation } from "./squeeze-excitation.ts";

const activation = z.enum(Object.keys(activations) as [Activation, ...Activation[]]);

const blockSchema = z.strictObject({
  /**
   * "conv": one convolution. "separable": depthwise, then 1x1. "inverted": 1x1, depthwise, 1x1. "fused": a full convolution,
   * then 1x1. "universal": MobileNetV4's, with a depthwise convolution before the first 1x1, between both, or none.
   */
  type: z.enum(["conv", "separable", "inverted", "fused", "universal"]),
  /** Side of the convolution's kernel; 0 for a universal block without the one between. */
  kernel: z.int().min(0),
  /** Side of the kernel of a universal block's first depthwise convolution; 0 for none. */
  startKernel: z.int().min(0).default(0),
  stride: z.int().min(1).max(2).default(1),
  /** Channels inside; those of the input for "conv" and "separable". */
  hidden: z.int().positive().optional(),
  out: z.int().positive(),
  /** Channels of each group of the depthwise convolutions. */
  groupWidth: z.int().positive().default(1),
  /** Channels that squeeze-and-excitation squeezes to; none when left out. */
  squeeze: z.int().positive().optional(),
  /** Activation; that of the network when left out. */
  activation: activation.optional(),
  /** Activation after the last 1x1 convolution of a separable block, which then has no shortcut. */
  activated: z.boolean().default(false),
  /** True when a block has a shortcut where shapes allow. */
  shortcut: z.boolean().default(true),
  /** True when a universal block's output is scaled channel by channel. */
  scaled: z.boolean().default(false),
});

export const mobileBlocksConfig = z.strictObject({
  /** Channels of the first convolution, 3x3. */
  stemWidth: z.int().positive().default(32),
  stemStride: z.union([z.literal(1), z.literal(2)]).default(2),
  /** Blocks of each stage. */
  stages: z.array(z.array(blockSchema).min(1)).min(1),
  activation: activation.default("silu"),
  /** "same": TensorFlow's, as much as the stride needs, the larger part below and to the right. */
  padding: z.enum(["symmetric", "same"]).default("symmetric"),
  /** Activation and gate of squeeze-and-excitation; the activation is the block's when left out. */
  squeezeActivation: activation.optional(),
  gate: z.enum(["sigmoid", "hardsigmoid"]).default("sigmoid"),
  /** Channels of the last 1x1 convolution; none when left out. */
  headWidth: z.int().positive().optional(),
  /**
   * "map": BatchNorm and activation before pooling (EfficientNet). "pooled": activation after pooling (MobileNetV3).
   * "normed": BatchNorm and activation after pooling (MobileNetV4).
   */
  head: z.enum(["map", "pooled", "normed"]).default("map"),
  /** True when the last 1x1 convolution has a bias; for "pooled". */
  headBias: z.boolean().default(false),
  /** Epsilon of every BatchNorm; 1e-3 where weights come from TensorFlow. */
  eps: z.number().positive().max(1).default(1e-5),
  momentum: z.number().positive().max(1).default(0.1),
  /** Probability of dropping blocks in training, towards which it rises linearly from 0 over them. */
  dropPath: z.number().min(0).max(0.9).default(0),
});

export type MobileBlocksConfig = z.input<typeof mobileBlocksConfig>;
type Network = z.output<typeof mobileBlocksConfig>;
type Block = z.output<typeof blockSchema>;

/** One convolution of these networks. */
interface Filter {
  from: number;
  to: number;
  kernel: number;
  stride?: number;
  groups?: number;
  bias?: boolean;
}

/** Makes layers as a network's configuration wants them. */
class Maker {
  readonly network: Network;
  readonly options: BackboneOptions;

  constructor(network: Network, options: BackboneOptions) {
    this.network = network;
    this.options = options;
  }

  conv({ from, to, kernel, stride = 1, groups = 1, bias = false }: Filter): Conv2d {
    const isSame = this.network.padding === "same" && stride > 1;
    const padding = isSame ? 0 : Math.floor((kernel - 1) / 2);
    const shape = { ...this.options, stride, groups, bias, padding };
    const layer = isSame ? new SameConv2d(from, to, kernel, shape) : new Conv2d(from, to, kernel, shape);
    init.kaimingNormalFanOut_(layer.weight, this.options.generator);
    return layer;
  }

  norm(channels: number): BatchNorm2d {
    const { eps, momentum } = this.network;
    return new BatchNorm2d(channels, { ...this.options, eps, momentum });
  }

  squeeze(width: number, channels: number, own: Activation): SqueezeExcitation {
    const { gate, squeezeActivation = own } = this.network;
    const names = ["conv_reduce", "conv_expand"] as const;
    return new SqueezeExcitation(
      width,
      { channels, activation: squeezeActivation, gate, zeroBias: true, names },
      this.options,
    );
  }
}

/** Steps of one block in a row, and the input added where shapes allow: [B, from, H, W] to [B, out, H', W']. */
class MobileBlock extends Module {
  readonly #steps: Module[] = [];
  readonly #scale: Tensor | undefined;
  readonly #drop: DropPath | undefined;
  readonly #adds: boolean;
  readonly #maker: Maker;

  constructor(block: Block, from: number, drop: number, maker: Maker) {
    super();
    this.#maker = maker;
    const { stride, out, shortcut, activated, scaled } = block;
    this.#build(block, from);
    if (scaled) this.#scale = this.parameter("layer_scale.gamma", full([out], 1e-5, maker.options));
    this.#adds = stride === 1 && from === out && shortcut && !activated;
    const { dropGenerator, generator } = maker.options;
    if (this.#adds && drop > 0) {
      this.#drop = this.module("drop_path", new DropPath(drop, { generator: dropGenerator ?? generator }));
    }
  }

  #build(block: Block, from: number): void {
    const { type, kernel, startKernel, stride, out, groupWidth, activated, squeeze } = block;
    const hidden = block.hidden ?? from;
    const act = block.activation ?? this.#maker.network.activation;
    const deep = (channels: number, side: number, step: number): Filter => {
      return { from: channels, to: channels, kernel: side, stride: step, groups: channels / groupWidth };
    };
    const point = (input: number, to: number): Filter => ({ from: input, to, kernel: 1 });
    const squeezed = (): void => {
      if (squeeze !== undefined) this.#add("se", this.#maker.squeeze(hidden, squeeze, act));
    };
    if (type === "conv") this.#filter("conv", "bn1", { from, to: out, kernel, stride }, act);
    if (type === "separable") {
      this.#filter("conv_dw", "bn1", deep(from, kernel, stride), act);
      squeezed();
      this.#filter("conv_pw", "bn2", point(from, out), activated ? act : undefined);
    }
    if (type === "inverted") {
      this.#filter("conv_pw", "bn1", point(from, hidden), act);
      this.#filter("conv_dw", "bn2", deep(hidden, kernel, stride), act);
      squeezed();
      this.#filter("conv_pwl", "bn3", point(hidden, out));
    }
    if (type === "fused") {
      this.#filter("conv_exp", "bn1", { from, to: hidden, kernel, stride }, act);
      squeezed();
      this.#filter("conv_pwl", "bn2", point(hidden, out));
    }
    if (type === "universal") {
      const first = kernel > 0 ? 1 : stride;
      if (startKernel > 0) this.#filter("dw_start.conv", "dw_start.bn", deep(from, startKernel, first));
      this.#filter("pw_exp.conv", "pw_exp.bn", point(from, hidden), act);
      if (kernel > 0) this.#filter("dw_mid.conv", "dw_mid.bn", deep(hidden, kernel, stride), act);
      this.#filter("pw_proj.conv", "pw_proj.bn", point(hidden, out));
    }
  }

  #filter(name: string, norm: string, filter: Filter, act?: Activation): void {
    this.#add(name, this.#maker.conv(filter));
    this.#add(norm, this.#maker.norm(filter.to));
    if (act) this.#steps.push(activationOf(act));
  }

  #add(name: string, step: Module): void {
    this.#steps.push(this.module(name, step));
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      let y = inOrder(this.#steps, x);
      if (this.#scale) y = y.mul(this.#scale.view([1, -1, 1, 1]));
      return this.#adds ? (this.#drop?.forward(y) ?? y).add(x) : y;
    });
  }
}

/** Mobile blocks in any number; [B, 3, H, W] to [B, d]. */
export class MobileBlocks extends Backbone {
  readonly featureWidth: number;
  override readonly stemWidth: number;
  readonly #mapWidth: number;
  readonly #stem: Module[];
  readonly #stages: Sequential[] = [];
  readonly #early: number;
  readonly #head: Module[] = [];
  readonly #pools: boolean;

  constructor(config: MobileBlocksConfig, options: BackboneOptions) {
    super();
    const network = mobileBlocksConfig.parse(config);
    const { stemWidth, stemStride, stages, head, headWidth, headBias, dropPath } = network;
    const maker = new Maker(network, options);
    const first = maker.conv({ from: 3, to: stemWidth, kernel: 3, stride: stemStride });
    const act = (): Module => activationOf(network.activation);
    this.#stem = [this.module("conv_stem", first), this.module("bn1", maker.norm(stemWidth)), act()];
    const total = stages.reduce((sum, blocks) => sum + blocks.length, 0);
    const widths = [stemWidth];
    let channels = stemWidth;
    let index = 0;
    for (const blocks of stages) {
      const made = blocks.map((block) => {
        const one = new MobileBlock(block, channels, (dropPath * index++) / total, maker);
        channels = block.out;
        return one;
      });
      this.#stages.push(new Sequential(made));
      widths.push(channels);
    }
    this.module("blocks", new Sequential(this.#stages));
    this.#early = earlyStages(stages.map(([block]) => block?.stride ?? 1));
    this.stemWidth = widths[this.#early] ?? channels;
    this.featureWidth = headWidth ?? channels;
    this.#pools = head === "map";
    this.#mapWidth = this.#pools ? this.featureWidth : channels;
    if (headWidth === undefined) return;
    const bias = head === "pooled" && headBias;
    this.#head = [this.module("conv_head", maker.conv({ from: channels, to: headWidth, kernel: 1, bias }))];
    const norm = { map: "bn2", normed: "norm_head", pooled: undefined }[head];
    if (norm !== undefined) this.#head.push(this.module(norm, maker.norm(headWidth)));
    this.#head.push(act());
  }

  override get mapWidth(): number {
    return this.#mapWidth;
  }

  override forwardMap(x: Tensor): Tensor {
    return scope(() => inOrder([...this.#stem, ...this.#stages, ...(this.#pools ? this.#head : [])], x));
  }

  override stem(x: Tensor): Tensor {
    return scope(() => inOrder([...this.#stem, ...this.#stages.slice(0, this.#early)], x));
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      const pooled = this.forwardMap(x).mean([2, 3], true);
      return (this.#pools ? pooled : inOrder(this.#head, pooled)).flatten(1);
    });
  }
}
