/**
 * Routes and weights: which models an input activates, and how much each counts.
 * B batch, m models, k activated models.
 */
import { type BatchPart, drawRows } from "../nn/index.ts";
import { type Generator, scope, type Tensor, tensor, zeros } from "../torch/index.ts";

export interface Routing {
  /** u, [B, m]. */
  scores: Tensor;
  /** u~, [B, m]: the scores with noise, by which the activated models are weighted. */
  noisyScores: Tensor;
  /** Scale of the noise: [B, m] when learned, else a number (0 in evaluation). */
  noiseScale: Tensor | number;
  /** a, [B, m]: weights of the activated models, zero elsewhere. */
  weights: Tensor;
  /** For each of the m models, the rows that activate it, ascending. */
  rows: number[][];
}

/** u~ = u + s e with e ~ N(0, 1) from the run's own stream; u itself when the scale is zero. */
export function addNoise(scores: Tensor, scale: Tensor | number, generator: Generator, part?: BatchPart): Tensor {
  if (scale === 0) return scores;
  const noise = drawRows(scores, generator, (place) => place.normal_(0, 1, { generator }), part);
  return scores.add(noise.mul(scale));
}

/**
 * S(x): the indices of the k largest scores of each row, ties to the lower index. [B][k]
 * Ranks are compared, never masked products, so negative scores and -inf are ordinary values.
 */
export function topRoutes(scores: Tensor, k: number): number[][] {
  const [rows, m] = [scores.size(0), scores.size(1)];
  const values = scores.toNumbers();
  return Array.from({ length: rows }, (_, row) => {
    const order = Array.from({ length: m }, (_, i) => i);
    order.sort((a, b) => (values[row * m + b] ?? 0) - (values[row * m + a] ?? 0) || a - b);
    return order.slice(0, k);
  });
}

/** k different models for each row out of the allowed ones, each set equally likely. [B][k] */
export function randomRoutes(
  rows: number,
  m: number,
  k: number,
  generator: Generator,
  allowed?: readonly number[],
  part?: BatchPart,
): number[][] {
  const draw = () => drawRows(zeros([rows, m]), generator, (place) => place.uniform_(0, 1, { generator }), part);
  return scope(() => topRoutes(restrict(draw(), allowed), k));
}

/** Scores with the members that are not allowed in this step at -inf. */
export function restrict(scores: Tensor, allowed: readonly number[] | undefined): Tensor {
  if (!allowed) return scores;
  const forbidden = new Uint8Array(scores.size(1)).fill(1);
  for (const i of allowed) forbidden[i] = 0;
  return scores.masked_fill(tensor(forbidden).to({ dtype: "bool", device: scores.device }), Number.NEGATIVE_INFINITY);
}

/** A mask [B, m], 1 where the row activates the model. */
export function routeMask(routes: readonly (readonly number[])[], like: Tensor): Tensor {
  const [rows, m] = [like.size(0), like.size(1)];
  const mask = new Uint8Array(rows * m);
  for (const [row, chosen] of routes.entries()) for (const i of chosen) mask[row * m + i] = 1;
  return tensor(mask, { shape: [rows, m] }).to({ dtype: "bool", device: like.device });
}

/**
 * a, [B, m]: softmax over the activated models of u~ / tau, zero elsewhere; rows sum to one. "equal" has the value 1/k
 * and the gradient of tau = 1. With k = 1 the softmax over one model would be the constant 1 and teach the generator
 * nothing, so a = w / stopgrad(w) with w = softmax(u~): value 1, gradient of log w.
 */
export function pathwayWeights(noisyScores: Tensor, mask: Tensor, k: number, tau: number | "equal"): Tensor {
  if (k === 1) {
    const logWeights = noisyScores.log_softmax(1).masked_fill(mask.logical_not(), 0);
    return logWeights.sub(logWeights.detach()).exp().mul(mask);
  }
  const scaled = tau === "equal" ? noisyScores : noisyScores.div(tau);
  const soft = scaled.masked_fill(mask.logical_not(), Number.NEGATIVE_INFINITY).softmax(1);
  if (tau !== "equal") return soft.clamp(1e-30).mul(mask); // above zero: who counts activations must find them all
  const equal = mask.to({ dtype: soft.dtype }).div(k);
  return equal.add(soft.sub(soft.detach()));
}

/** The rows of each model, from the models of each row. */
export function rowsByModel(routes: readonly (readonly number[])[], m: number): number[][] {
  const rows: number[][] = Array.from({ length: m }, () => []);
  for (const [row, chosen] of routes.entries()) for (const i of chosen) rows[i]?.push(row);
  return rows;
}
