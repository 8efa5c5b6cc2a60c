/**
 * Small changes that are trained beside a layer which stays as it is, and can be written into its weights afterwards. All
 * start without effect: the first forward pass is the pre-trained one.
 */
import {
  empty,
  ensureResident,
  type Generator,
  noGrad,
  ones,
  ops,
  scope,
  standIn,
  type Tensor,
  zeros,
} from "../torch/index.ts";
import { Conv2d } from "./conv.ts";
import { kaimingUniform_ } from "./init.ts";
import type { Linear } from "./linear.ts";
import { Module } from "./module.ts";
import { BatchNorm2d, GroupNorm, type LayerNorm, LayerNorm2d } from "./norm.ts";

/** A change of one layer. */
export abstract class Adapter extends Module {
  override forward(): Tensor {
    throw new Error("an adapter changes a layer: call the layer");
  }

  /** Writes the change into the layer's weights; the adapter has no effect from then on. */
  merge(): void {
    scope(() => noGrad(() => this.write()));
    this.remove();
  }

  protected abstract write(): void;
  protected abstract remove: () => void;
}

/** Factor on r, over which the low-rank change is scaled: its size does not depend on r at the start of training. */
const alpha = 16;

/** Matrices of a change (alpha / r) B A of a weight [out, in], or of filters [out, in, h, w] as a matrix. */
interface Factors {
  /** A, [r, in] or [r, in, h, w]; drawn as PyTorch draws a layer's weights. */
  readonly down: Tensor;
  /** B, [out, r]; zero at the start. */
  readonly up: Tensor;
  /** alpha / r. */
  readonly scale: number;
}

/** Factors of at most the given rank. */
function factorsOf(weight: Tensor, rank: number, generator: Generator): Factors {
  const { dtype, device } = weight;
  const [out = 0, ...rest] = weight.shape;
  const most = Math.min(rank, out, weight.numel() / out);
  const drawn = kaimingUniform_(empty([most, ...rest], { dtype, device }), generator);
  const down = rest.length === 3 ? drawn.clone("channels_last") : drawn;
  return { down, up: zeros([out, most], { dtype, device }), scale: alpha / rank };
}

/** (alpha / r) B A, in the shape of the weight. */
function changeOf({ down, up, scale }: Factors, { shape }: Tensor): Tensor {
  return up.mul(scale).matmul(down.flatten(1)).view(shape);
}

function addTo(weight: Tensor, factors: Factors): void {
  ensureResident(weight, true);
  weight.add_(changeOf(factors, weight));
}

/**
 * LoRA (Hu, Shen, Wallis, Allen-Zhu, Li, Wang, Wang & Chen, "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022)
 * beside a linear layer, or a convolution without groups: a convolution to r channels, then one of 1 x 1. The layer's own
 * weight gradient, a third of its training, is not computed.
 */
export class LowRank extends Adapter {
  readonly #layer: Linear | Conv2d;
  readonly #factors: Factors;
  protected override remove: () => void;

  constructor(layer: Linear | Conv2d, rank: number, generator: Generator) {
    super();
    this.#layer = layer;
    this.#factors = scope(() => factorsOf(layer.weight, rank, generator));
    this.parameter("lora_A", this.#factors.down);
    this.parameter("lora_B", this.#factors.up);
    this.remove = layer.registerForwardHook((y, x) => y.add_(scope(() => this.#change(x))));
  }

  #change(x: Tensor): Tensor {
    const { down, up, scale } = this.#factors;
    const wide = up.mul(scale);
    if (!(this.#layer instanceof Conv2d)) return ops.linear(ops.linear(x, down), wide);
    return ops.conv2d(this.#layer.convolve(x, down), wide.unsqueeze(2).unsqueeze(3));
  }

  protected override write(): void {
    addTo(this.#layer.weight, this.#factors);
  }
}

/** LoRA on matrices and filters that a module reads itself: it computes with the changed ones. */
export class LowRankWeights extends Adapter {
  readonly #changes: readonly { weight: Tensor; factors: Factors }[];
  protected override remove: () => void;

  /** @param weights by names that the factors appear under */
  constructor(owner: Module, weights: ReadonlyMap<string, Tensor>, rank: number, generator: Generator) {
    super();
    this.#changes = [...weights].map(([name, weight]) => {
      const factors = scope(() => factorsOf(weight, rank, generator));
      this.parameter(`${name}.lora_A`, factors.down);
      this.parameter(`${name}.lora_B`, factors.up);
      return { weight, factors };
    });
    this.remove = owner.wrap((x, forward) =>
      scope(() => {
        const changed = this.#changes.map(({ weight, factors }): [Tensor, Tensor] => {
          return [weight, weight.add(changeOf(factors, weight))];
        });
        return standIn(changed, () => forward(x));
      }),
    );
  }

  protected override write(): void {
    for (const { weight, factors } of this.#changes) addTo(weight, factors);
  }
}

/** A layer with a weight and a bias for each channel of its output. */
export type BiasedLayer = (Linear | Conv2d | BatchNorm2d | GroupNorm | LayerNorm) & { readonly bias: Tensor };

/**
 * A scale and a shift of each channel of a layer's output (Lian, Zhou, Feng & Wang, "Scaling & Shifting Your Features: A New
 * Baseline for Efficient Model Tuning", NeurIPS 2022): one and zero at the start, where the authors draw them around that.
 */
export class ScaleShift extends Adapter {
  readonly scale: Tensor;
  readonly shift: Tensor;
  readonly #layer: BiasedLayer;
  protected override remove: () => void;

  constructor(layer: BiasedLayer) {
    super();
    this.#layer = layer;
    const { dtype, device, shape } = layer.bias;
    this.scale = this.parameter("scale", ones(shape, { dtype, device }));
    this.shift = this.parameter("shift", zeros(shape, { dtype, device }));
    const isMap = [Conv2d, BatchNorm2d, GroupNorm, LayerNorm2d].some((kind) => layer instanceof kind);
    const across = (channels: Tensor): Tensor => (isMap ? channels.unsqueeze(1).unsqueeze(2) : channels);
    this.remove = layer.registerForwardHook((y) => scope(() => y.mul(across(this.scale)).add_(across(this.shift))));
  }

  protected override write(): void {
    const { weight, bias } = this.#layer;
    for (const tensor of [weight, bias]) ensureResident(tensor, true);
    weight.mul_(this.scale.view([-1, ...weight.shape.slice(1).map(() => 1)]));
    bias.mul_(this.scale).add_(this.shift);
  }
}
