/**
 * Convolutions whose filters are aggregated from those of the same layer in several networks of one architecture: the
 * adaptive aggregation of Zoo-Tuning. B batch, m networks, c channels of the layer's input, o of its output, p elements of a
 * filter bank [o, c / groups, k, k].
 */
import { type BatchPart, type Conv2d, gatherRows, init, Linear, Module } from "../nn/index.ts";
import {
  cat,
  conv2d,
  eye,
  full,
  type Generator,
  keep,
  noGrad,
  ops,
  scope,
  stack,
  type Tensor,
} from "../torch/index.ts";

/** Part of a batch's mean gates in their running mean, as BatchNorm's momentum. */
const momentum = 0.1;
/** Channels of the input over those between the two layers of a gate. */
const narrowing = 4;

export interface ZooOptions {
  /** Gates that do not depend on the input: the batch's mean in training, its running mean in evaluation. */
  lite: boolean;
  generator: Generator;
}

/** Shares of the networks in one layer, each 0 … 1, from the mean of its input over the pixels. */
class Gate extends Module {
  readonly #narrow: Linear;
  readonly #score: Linear;
  readonly #lite: boolean;
  /** Running mean of the gates, [m]. */
  readonly average: Tensor;
  /** Of the batch of a training step, where several ranks share it. */
  part: BatchPart | undefined;

  constructor(channels: number, m: number, options: ZooOptions) {
    super();
    const { lite, generator } = options;
    const width = Math.floor(channels / narrowing) + 1;
    this.#lite = lite;
    this.#narrow = this.module("narrow", new Linear(channels, width, { ...options, bias: false }));
    this.#score = this.module("score", new Linear(width, m, options));
    for (const { weight } of [this.#narrow, this.#score]) init.kaimingNormalFanOut_(weight, generator);
    if (this.#score.bias) init.constant_(this.#score.bias, 0);
    this.average = this.buffer("average", full([m], 1 / 2));
  }

  /** Gates of an input [B, c, h, w]: [B, m], or [1, m] where all images share them. */
  override forward(x: Tensor): Tensor {
    if (this.#lite && !this.training) return this.average.unsqueeze(0);
    const narrow = this.#narrow.forward(x.mean([2, 3])).relu();
    const gates = this.#score.forward(narrow).to({ dtype: "float32" }).sigmoid();
    if (!this.#lite) return gates;
    const mean = gatherRows(gates, this.part).mean(0, true);
    noGrad(() => ops.lerp_(this.average, mean.detach().squeeze(0), momentum));
    return mean;
  }
}

/**
 * Σ_i g_i T_i(W_i) as the filters of a convolution; T_i, [groups, o / groups, o / groups], mixes the output channels of
 * network i's filters, within each group. Filters of one pixel, which mix channels themselves, are not aligned. The first
 * network's forward pass comes here instead of to its own layer.
 */
export class ZooConv2d extends Module {
  readonly gate: Gate;
  /** T_i, one for each network; none where filters have one pixel. */
  readonly alignments: readonly Tensor[];
  readonly #parts: readonly Conv2d[];
  #aligned: Tensor | undefined;

  constructor(parts: readonly Conv2d[], options: ZooOptions) {
    super();
    const [out = 0, perGroup = 0, height = 1, width = 1] = parts[0]?.weight.shape ?? [];
    const groups = parts[0]?.groups ?? 1;
    this.gate = this.module("gate", new Gate(perGroup * groups, parts.length, options));
    this.#parts = parts;
    const identity = () => scope(() => ops.repeat(eye(out / groups), [groups, 1, 1]));
    const aligned = height * width > 1 ? parts : [];
    this.alignments = aligned.map((_, i) => this.parameter(`alignments.${i}`, identity()));
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      const { filters, bias } = this.#split(this.gate.forward(x).matmul(this.#bank()));
      return filters.size(0) === 1 ? this.#shared(x, filters, bias) : this.#perImage(x, filters, bias);
    });
  }

  /** Parameters of the layer for given gates [1, m], by their names in a network. */
  merged(gates: Tensor): Map<string, Tensor> {
    return scope(() => {
      const { filters, bias } = this.#split(gates.matmul(this.#align()));
      const weight = filters.squeeze(0);
      return new Map(
        bias
          ? [
              ["weight", weight],
              ["bias", bias.squeeze(0)],
            ]
          : [["weight", weight]],
      );
    });
  }

  /** Forgets what evaluation keeps of parameters that may change. */
  forget(): void {
    this.#aligned?.dispose();
    this.#aligned = undefined;
  }

  override dispose(): void {
    super.dispose();
    this.forget();
  }

  /** [m, p (+ o)], which evaluation keeps. */
  #bank(): Tensor {
    if (this.training) {
      this.forget();
      return this.#align();
    }
    this.#aligned ??= keep(noGrad(() => scope(() => this.#align())));
    return this.#aligned;
  }

  /** Aligned filters, and biases after them, of every network: [m, p (+ o)]. */
  #align(): Tensor {
    const rows = this.#parts.map(({ weight, bias }, i) => {
      const flat = weight.reshape([weight.size(0), -1]);
      const whole = bias ? cat([flat, bias.unsqueeze(1)], 1) : flat;
      const alignment = this.alignments[i];
      if (!alignment) return whole.to({ dtype: "float32" }).flatten();
      const grouped = whole.view([alignment.size(0), alignment.size(1), -1]);
      return alignment.bmm(grouped).to({ dtype: "float32" }).flatten();
    });
    return stack(rows);
  }

  /** [B, p (+ o)] to filters [B, o, c / groups, k, k] and biases [B, o]. */
  #split(rows: Tensor): { filters: Tensor; bias: Tensor | undefined } {
    const first = this.#parts[0] as Conv2d;
    const shape = first.weight.shape;
    if (!first.bias) return { filters: rows.view([-1, ...shape]), bias: undefined };
    const [out = 0] = shape;
    const table = rows.view([rows.size(0), out, -1]);
    const width = table.size(2) - 1;
    const filters = table.narrow(2, 0, width).reshape([-1, ...shape]);
    return { filters, bias: table.select(2, width) };
  }

  #shared(x: Tensor, filters: Tensor, bias: Tensor | undefined): Tensor {
    return this.#convolve(x, filters.squeeze(0), bias?.squeeze(0), 1);
  }

  /** Each image is a group of channels of one convolution. */
  #perImage(x: Tensor, filters: Tensor, bias: Tensor | undefined): Tensor {
    const [batch = 0, channels = 0, height = 0, width = 0] = x.shape;
    const folded = x.contiguous().view([1, batch * channels, height, width]);
    const y = this.#convolve(folded, filters.flatten(0, 1), bias?.flatten(), batch);
    return y.view([batch, -1, y.size(2), y.size(3)]);
  }

  #convolve(x: Tensor, weight: Tensor, bias: Tensor | undefined, images: number): Tensor {
    const { stride, padding, dilation, groups } = this.#parts[0] as Conv2d;
    if (padding === "same") return ops.conv2dPadding(x, weight, bias, stride, "same", dilation, groups * images);
    return conv2d(x, weight, bias, stride, padding, dilation, groups * images);
  }
}
