/**
 * LogME: the logarithm of maximum evidence (You, Liu, Wang, Long: "LogME: Practical Assessment of Pre-trained Models
 * for Transfer Learning", ICML 2021).
 *
 * Each class is a regression of its membership y on the features F, and so is each label and number, at mean 0 and variance 1: y ~ N(F w, 1 / beta), w ~ N(0, I / alpha).
 * With F = U diag(s) V', sigma = s², z = U'y and t = alpha / beta, the best beta for a given t is n / Q(t),
 * Q(t) = sum of z² t / (t + sigma) + delta, delta the part of |y|² outside of F's columns. What is left is a function
 * of t alone with few maxima, which a grid and a search between its points find all; the authors' fixed point
 * alpha = gamma / |w|², beta = (n - gamma) / |F w - y|² leads to one of them, not always the highest.
 *
 * n items, d features, r rank of F, C classes with items.
 */
import { int64, ops, scope, type Tensor, tensor } from "../torch/index.ts";
import { checkedTable, computing, decompose, type Labels, regressed } from "./matrix.ts";

interface Problem {
  n: number;
  /** [r, 1]. */
  sigma: Tensor;
  /** z², [r, C]. */
  energy: Tensor;
  /** delta, [1, C]. */
  outside: Tensor;
}

/** Targets that the features reproduce exactly count as having this part of noise: their evidence has no maximum. */
const leastNoise = 1e-12;
/** Range of t in units of the largest sigma, and the points of the grid in it: eight to a decade. */
const range = { from: 1e-14, to: 1e12, steps: 209 };
/** Each leaves two thirds of the interval. */
const searchRounds = 36;

/**
 * Mean over the classes, labels or numbers of the largest log evidence for one item; larger is better.
 * @param features [n, d]
 * @throws RangeError when shapes or labels do not fit; UserError when a feature is not finite
 */
export function logMe(features: Tensor, labels: Labels): number {
  return computing(() => {
    const table = checkedTable("features", features, labels);
    const n = table.size(0);
    const best = maxima(problemOf(table, regressed(labels, table.device)));
    // Targets that are all the same say nothing of features.
    if (best.length === 0) return 0;
    const mean = best.reduce((sum, value) => sum + value, 0) / best.length;
    return mean / n + 0.5 * (Math.log(n) - 1 - Math.log(2 * Math.PI));
  });
}

function problemOf(table: Tensor, y: Tensor): Problem {
  const n = table.size(0);
  const { u, s } = decompose(table);
  const energy = u.t().matmul(y).square();
  const total = y.square().sum(0, true);
  const rest = total.sub(energy.sum(0, true)).clamp(0);
  // With as many directions as items nothing is outside, and the evidence has a limit for ever less noise.
  const outside = s.size(0) === n ? rest.zero_() : ops.maximum(rest, total.mul(leastNoise));
  return { n, sigma: s.square().unsqueeze(1), energy, outside };
}

/** Largest evidence of each class up to a constant; there may be several maxima. */
function maxima(problem: Problem): number[] {
  const { sigma, energy, outside, n } = problem;
  if (sigma.numel() === 0)
    return outside
      .log()
      .mul(-n / 2)
      .toNumbers();
  const largest = sigma.max().item();
  const [low, high] = [Math.log(largest * range.from), Math.log(largest * range.to)];
  const width = (high - low) / (range.steps - 1);
  const options = { dtype: "float64", device: sigma.device } as const;
  const grid = tensor([Array.from({ length: range.steps }, (_, step) => low + step * width)], options);
  const found = peaks(evidenceOn(problem, grid.exp()));
  const classes = int64(
    found.map(({ label }) => label),
    sigma.device,
  );
  const around = tensor([found.map(({ step }) => low + step * width)], options);
  const highest = searched(
    { n, sigma, energy: energy.index_select(1, classes), outside: outside.index_select(1, classes) },
    around.sub(width),
    around.add(width),
  ).toNumbers();
  const best = new Array<number>(energy.size(1)).fill(Number.NEGATIVE_INFINITY);
  for (const [i, { label }] of found.entries()) best[label] = Math.max(best[label] ?? 0, highest[i] ?? 0);
  return best;
}

/** Log evidence as `evidence` gives it, for each class at every t of a grid [1, T]; [C][T]. */
function evidenceOn({ sigma, energy, outside, n }: Problem, grid: Tensor): number[][] {
  const values = scope(() => {
    const ratio = sigma.div(grid); // [r, T]
    const q = energy
      .t()
      .matmul(ops.reciprocal(ratio.add(1)))
      .add(outside.t());
    const volume = ops.log1p(ratio).sum(0, true).mul(0.5);
    return q
      .log()
      .mul(-n / 2)
      .sub(volume)
      .toNumbers();
  });
  const steps = grid.size(1);
  return Array.from({ length: energy.size(1) }, (_, label) => values.slice(label * steps, (label + 1) * steps));
}

/** Steps, of values [C][T], where a class has its largest value or rises before and does not after. */
function peaks(values: readonly (readonly number[])[]): { label: number; step: number }[] {
  return values.flatMap((row, label) => {
    const largest = row.indexOf(Math.max(...row));
    return row.flatMap((value, step) => {
      // Rounding of evidence that has reached a limit is no peak.
      const rises = value > (row[step - 1] ?? value) + 1e-12 * Math.abs(value);
      const found = step === largest || (rises && value >= (row[step + 1] ?? value));
      return found ? [{ label, step }] : [];
    });
  });
}

/** Largest evidence between two logarithms of t with one maximum between them, [1, C], by ternary search. */
function searched(problem: Problem, from: Tensor, to: Tensor): Tensor {
  let [low, high] = [from, to];
  for (let i = 0; i < searchRounds; i++) {
    const third = high.sub(low).div(3);
    const [left, right] = [low.add(third), high.sub(third)];
    const rises = evidence(problem, left.exp()).lt(evidence(problem, right.exp()));
    low = ops.where(rises, left, low);
    high = ops.where(rises, high, right);
  }
  return evidence(problem, low.add(high).div(2).exp());
}

/** Log evidence at t with the best beta for it, without the terms that do not depend on t; [1, C]. */
function evidence({ sigma, energy, outside, n }: Problem, t: Tensor): Tensor {
  return scope(() => {
    const ratio = sigma.div(t);
    const q = energy.div(ratio.add(1)).sum(0, true).add(outside);
    const volume = ops.log1p(ratio).sum(0, true).mul(0.5);
    return q
      .log()
      .mul(-n / 2)
      .sub(volume);
  });
}
