/**
 * Pathway aggregation at the output level: the activated models' knowledge, weighted, becomes the prediction.
 * B batch, n rows of one model, d its feature width, D projected width, C outputs, m models.
 */
import { LayerNorm, Linear, Module } from "../nn/index.ts";
import { type Generator, ops, type Tensor, zeros } from "../torch/index.ts";
import type { PathwayConfig } from "./config.ts";

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

export interface AggregationOptions {
  featureWidths: readonly number[];
  outputs: number;
  projectionWidth: number;
  generator: Generator;
  device?: string | undefined;
}

/** Joins the outputs of the activated models into logits [B, C]. */
export abstract class Aggregation extends Module {
  /** @param beta part of the gradient that flows back into the members, 0 … 1 */
  abstract join(members: readonly MemberOutput[], batch: number, beta: number): Tensor;

  override forward(): Tensor {
    throw new Error("an aggregation joins member outputs: call join()");
  }
}

/** The aggregation by its name. */
export function createAggregation(name: PathwayConfig["aggregation"], options: AggregationOptions): Aggregation {
  if (name === "logits") return new LogitAggregation();
  if (name === "probabilities") return new ProbabilityAggregation();
  return new FeatureAggregation(options);
}

/** The value of x with its gradient scaled by beta. */
export function scaleGradient(x: Tensor, beta: number): Tensor {
  if (beta === 1) return x;
  if (beta === 0) return x.detach();
  return x.mul(beta).add(x.detach().mul(1 - beta));
}

/** Σ over S of a_i h_i(f_i(x)). */
class LogitAggregation extends Aggregation {
  override join(members: readonly MemberOutput[], batch: number, beta: number): Tensor {
    return weightedSum(members, batch, (member) => scaleGradient(member.logits, beta));
  }
}

/**
 * log Σ over S of a_i softmax(h_i(f_i(x))): its cross-entropy is the mixture's negative log-likelihood. What the weights
 * leave out of one goes to the uniform distribution. Its value is zero, its gradient is not for k = 1: there the
 * logarithm of a_i p_i would ask for more weight whatever p_i says, and so learn nothing.
 */
class ProbabilityAggregation extends Aggregation {
  override join(members: readonly MemberOutput[], batch: number, beta: number): Tensor {
    const mixture = weightedSum(members, batch, (member) => scaleGradient(member.logits, beta).softmax(1));
    const rest = mixture.sum(1, true).neg().add(1).div(mixture.size(1));
    return mixture.add(rest).clamp(1e-30).log();
  }
}

/** One task head g over the weighted sum of projected features: g(Σ over S of a_i norm(P_i f_i(x))). */
class FeatureAggregation extends Aggregation {
  readonly #projections: Linear[];
  readonly #norms: LayerNorm[];
  readonly #head: Linear;

  constructor(options: AggregationOptions) {
    super();
    const { generator, device, projectionWidth, featureWidths } = options;
    const common = { generator, ...(device ? { device } : {}) };
    this.#projections = featureWidths.map((d, i) =>
      this.module(`projections.${i}`, new Linear(d, projectionWidth, common)),
    );
    this.#norms = featureWidths.map((_, i) => this.module(`norms.${i}`, new LayerNorm([projectionWidth], common)));
    this.#head = this.module("head", new Linear(projectionWidth, options.outputs, common));
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
