/**
 * Layers whose parameters are aggregated from those of the same layer in several networks of one architecture: the adaptive
 * aggregation of Zoo-Tuning. B batch, m networks, c channels of the layer's input, o of its output, p elements of a filter
 * bank [o, c / groups, k, k].
 */
import { type BatchNorm2d, type Conv2d, Linear, Module } from "../nn/index.ts";
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

export interface ZooOptions {
  /** Gates that do not depend on the input: the batch's mean in training, its running mean in evaluation. */
  lite: boolean;
  generator: Generator;
}

/** Shares of the networks in one layer, from its input. */
class Gate extends Module {
  readonly #score: Linear;
  readonly #lite: boolean;
  /** Running mean of the gates, [m]. */
  readonly average: Tensor;

  constructor(channels: number, m: number, options: ZooOptions) {
    super();
    this.#lite = options.lite;
    this.#score = this.module("score", new Linear(channels, m, options));
    // Every network has the same share to begin with.
    noGrad(() => {
      for (const parameter of this.#score.parameters()) parameter.zero_();
    });
    this.average = this.buffer("average", full([m], 1 / m));
  }

  /** Gates of an input [B, c, h, w]: [B, m], or [1, m] where all images share them. */
  override forward(x: Tensor): Tensor {
    if (this.#lite && !this.training) return this.average.unsqueeze(0);
    const gates = this.#score
      .forward(x.mean([2, 3]))
      .to({ dtype: "float32" })
      .softmax(1);
    if (!this.#lite) return gates;
    const mean = gates.mean(0, true);
    noGrad(() => ops.lerp_(this.average, mean.detach().squeeze(0), momentum));
    return mean;
  }
}

/** One layer's place in all networks. The first network's forward pass comes here instead of to its own layer. */
export abstract class ZooLayer extends Module {
  readonly gate: Gate;

  protected constructor(channels: number, m: number, options: ZooOptions) {
    super();
    this.gate = this.module("gate", new Gate(channels, m, options));
  }

  /** Parameters of the layer for given gates [1, m], by their names in a network. */
  abstract merged(gates: Tensor): Map<string, Tensor>;

  /** Forgets what evaluation keeps of parameters that may change. */
  forget(): void {}
}

/**
 * Σ_i g_i T_i(W_i) as the filters of a convolution; T_i, [groups, o / groups, o / groups], mixes the output channels of
 * network i's filters, within each group.
 */
export class ZooConv2d extends ZooLayer {
  readonly #parts: readonly Conv2d[];
  readonly #alignments: readonly Tensor[];
  #aligned: Tensor | undefined;

  constructor(parts: readonly Conv2d[], options: ZooOptions) {
    const [out = 0, perGroup = 0] = parts[0]?.weight.shape ?? [];
    const groups = parts[0]?.groups ?? 1;
    super(perGroup * groups, parts.length, options);
    this.#parts = parts;
    const identity = () => scope(() => ops.repeat(eye(out / groups), [groups, 1, 1]));
    this.#alignments = parts.map((_, i) => this.parameter(`alignments.${i}`, identity()));
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      const { filters, bias } = this.#split(this.gate.forward(x).matmul(this.#bank()));
      return filters.size(0) === 1 ? this.#shared(x, filters, bias) : this.#perImage(x, filters, bias);
    });
  }

  override merged(gates: Tensor): Map<string, Tensor> {
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

  override forget(): void {
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
      const alignment = this.#alignments[i] as Tensor;
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

/**
 * Scale and shift of a BatchNorm aggregated, without alignment; one set of running statistics, in the first network's
 * layer, begins with the networks' mean.
 */
export class ZooBatchNorm2d extends ZooLayer {
  readonly #parts: readonly BatchNorm2d[];

  constructor(parts: readonly BatchNorm2d[], options: ZooOptions) {
    const channels = parts[0]?.weight.numel() ?? 0;
    super(channels, parts.length, options);
    this.#parts = parts;
    const first = parts[0] as BatchNorm2d;
    scope(() =>
      noGrad(() => {
        first.running_mean.copy_(stack(parts.map((part) => part.running_mean)).mean(0));
        first.running_var.copy_(stack(parts.map((part) => part.running_var)).mean(0));
      }),
    );
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      const first = this.#parts[0] as BatchNorm2d;
      const { running_mean, running_var, policy, minimumRows, eps } = first;
      const batch = first.training && policy === "batch" && x.size(0) >= minimumRows;
      if (batch) first.num_batches_tracked.add_(1);
      const gates = this.gate.forward(x);
      const [scale, shift] = [this.#mixed(gates, "weight"), this.#mixed(gates, "bias")];
      const normal = ops.batch_norm(x, null, null, running_mean, running_var, batch, first.momentum, eps, true);
      const wide = (rows: Tensor) => rows.to({ dtype: normal.dtype }).unsqueeze(2).unsqueeze(3);
      return normal.mul(wide(scale)).add(wide(shift));
    });
  }

  override merged(gates: Tensor): Map<string, Tensor> {
    const { running_mean, running_var, num_batches_tracked } = this.#parts[0] as BatchNorm2d;
    const own = (name: "weight" | "bias") => scope(() => this.#mixed(gates, name).squeeze(0));
    return new Map([
      ["weight", own("weight")],
      ["bias", own("bias")],
      ["running_mean", running_mean],
      ["running_var", running_var],
      ["num_batches_tracked", num_batches_tracked],
    ]);
  }

  /** Mixed parameters [B, c] for gates [B, m]; no matrix product, which autocast would round. */
  #mixed(gates: Tensor, name: "weight" | "bias"): Tensor {
    const table = stack(this.#parts.map((part) => part[name]));
    return gates.unsqueeze(2).mul(table).sum(1);
  }
}
