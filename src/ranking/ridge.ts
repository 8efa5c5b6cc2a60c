/**
 * Linear heads in closed form: ridge regression of class membership on features, with what it says of each item when that
 * item is left out. n items, d features, C classes, r directions.
 */
import type { Tensor } from "../torch/index.ts";
import { checkedFinite, decomposeCentred } from "./matrix.ts";

export interface RidgeHead {
  /** [C, d]. */
  weight: Tensor;
  /** [C]. */
  bias: Tensor;
  /** Logits of each item by a head that was fitted without it, [n, C]. */
  leftOut: Tensor;
}

/** Ridge strengths that are tried, over the mean square of the singular values. */
const strengths = Array.from({ length: 13 }, (_, i) => 10 ** (i / 2 - 4));
/** Factors from scores to logits that are tried. */
const scales = Array.from({ length: 25 }, (_, i) => 2 ** (i / 4 - 1));

/**
 * The head of least loss on left-out items: strength by squared error, then the factor from regression scores, which lie
 * between 0 and 1, to logits by the given loss. Leaving one out costs nothing more: its residual is that of the fit over
 * one minus the item's leverage.
 * @param features float64 [n, d] @param targets class probabilities float64 [n, C] @param loss mean loss of logits [n, C]
 * @throws UserError when a feature is not finite
 */
export function ridgeHead(features: Tensor, targets: Tensor, loss: (logits: Tensor) => number): RidgeHead {
  const n = features.size(0);
  const { u, s, centred } = decomposeCentred(checkedFinite("features", features));
  const mean = targets.mean(0, true);
  const y = targets.sub(mean);
  const squares = s.square();
  // No number for features of rank zero, where there is nothing to shrink.
  const unit = squares.mean().item();
  const uy = u.t().matmul(y);
  const leftOutBy = (strength: number): { shrink: Tensor; residual: Tensor } => {
    const shrink = squares.div(squares.add(strength * unit));
    const fitted = u.matmul(uy.mul(shrink.unsqueeze(1)));
    const leverage = u
      .square()
      .matmul(shrink.unsqueeze(1))
      .add(1 / n);
    return { shrink, residual: y.sub(fitted).div(leverage.neg().add(1).clamp(1e-6)) };
  };
  const tried = strengths.map((strength) => {
    const found = leftOutBy(strength);
    return { ...found, error: found.residual.square().mean().item() };
  });
  const { shrink, residual } = tried.reduce((a, b) => (b.error < a.error ? b : a));
  // V S^-1 shrink U' y: V from the table itself, so that no right singular vectors are needed.
  const inverse = shrink.div(squares);
  const slope = centred.t().matmul(u.mul(inverse.unsqueeze(0)).matmul(uy));
  const scores = targets.sub(residual);
  const losses = scales.map((scale) => loss(scores.mul(scale)));
  const scale = scales[losses.indexOf(Math.min(...losses))] as number;
  const weight = slope.t().mul(scale);
  const bias = mean
    .squeeze(0)
    .mul(scale)
    .sub(weight.matmul(features.mean(0)));
  return { weight, bias, leftOut: scores.mul(scale) };
}
