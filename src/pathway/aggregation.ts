/**
 * Pathway aggregation at the output level: the activated models' knowledge, weighted, becomes the prediction.
 * B batch, n rows of one model, d its feature width, D projected width, C outputs, m models.
 */
import { type InitOptions, LayerNorm, Linear, Module } from "../nn/index.ts";
import { ops, type Tensor, zeros } from "../torch/index.ts";

/** Results of one activated model for its rows. */
export interface MemberOutput {
  /** Index of the model in the hub. */
  index: number;
  /** Rows of the batch that activated it, ascending. */
  rows: number[];
  /** The same as int64 [n]. */
  rowIndex: Tensor;
  /** f_i(x), [n, d]. */
  features: Tensor;
  /** h_i(f_i(x)), [n, C]. */
  logits: Tensor;
  /** a_i of its rows, [n, 1]. */
  weights: Tensor;
}

/** Joins the outputs of the activated models into logits [B, C]. */
export abstract class Aggregation extends Module {
  /** @param beta part of the gradient that flows back into the members, 0 … 1 */
  abstract join(members: readonly MemberOutput[], batch: number, beta: number): Tensor;

  override forward(): Tensor {
    throw new Error("an aggregation joins member outputs: call join()");
  }
}

/** The value of x with its gradient scaled by beta. */
export function scaleGradient(x: Tensor, beta: number): Tensor {
  if (beta === 1) return x;
  if (beta === 0) return x.detach();
  return x.mul(beta).add(x.detach().mul(1 - beta));
}

/** Σ over S of a_i h_i(f_i(x)). */
export class LogitAggregation extends Aggregation {
  override join(members: readonly MemberOutput[], batch: number, beta: number): Tensor {
    return weightedSum(members, batch, (member) => scaleGradient(member.logits, beta));
  }
}

/** One task head g over the weighted sum of projected features: g(Σ over S of a_i norm(P_i f_i(x))). */
export class FeatureAggregation extends Aggregation {
  readonly #projections: Linear[];
  readonly #norms: LayerNorm[];
  readonly #head: Linear;

  /** @param widths d of each model @param width D */
  constructor(widths: readonly number[], width: number, outputs: number, init: InitOptions) {
    super();
    this.#projections = widths.map((d, i) => this.module(`projections.${i}`, new Linear(d, width, init)));
    this.#norms = widths.map((_, i) => this.module(`norms.${i}`, new LayerNorm([width], init)));
    this.#head = this.module("head", new Linear(width, outputs, init));
  }

  override join(members: readonly MemberOutput[], batch: number, beta: number): Tensor {
    const project = (member: MemberOutput): Tensor => {
      const projection = this.#projections[member.index];
      const norm = this.#norms[member.index];
      if (!projection || !norm) throw new RangeError(`no projection for model ${member.index}`);
      return norm.forward(projection.forward(scaleGradient(member.features, beta)));
    };
    return this.#head.forward(weightedSum(members, batch, project));
  }
}

/** Σ over the activated models of a_i times a value [n, w], each on its own rows of [B, w]. */
function weightedSum(members: readonly MemberOutput[], batch: number, value: (member: MemberOutput) => Tensor): Tensor {
  let total: Tensor | undefined;
  for (const member of members) {
    // Under autocast a head's output is bfloat16: sums over models are done in the weights' own type.
    const part = value(member).to({ dtype: member.weights.dtype }).mul(member.weights);
    total ??= zeros([batch, part.size(1)], { dtype: part.dtype, device: part.device });
    total = ops.index_add(total, 0, member.rowIndex, part);
  }
  if (!total) throw new Error("no model was activated");
  return total;
}
