/**
 * LEEP: the log expected empirical prediction (Nguyen, Hassner, Seeger, Archambeau: "LEEP: A New Measure to Evaluate
 * Transferability of Learned Representations", ICML 2020).
 *
 * The source model's probabilities theta and the target labels give an empirical P(y | z); LEEP is the mean log
 * likelihood of the labels when a source class z is drawn from theta(x) and a label from P(y | z).
 *
 * n items, S source classes, C target classes with items.
 */
import type { Tensor } from "../torch/index.ts";
import { checkedTable, computing, type Labels, membership } from "./matrix.ts";

/** Largest distance of an item's sum of probabilities from one: float16's rounding over many classes. */
const slack = 1e-2;

/**
 * LEEP, at most 0; larger is better.
 * @param probabilities of the S source classes, [n, S]
 * @throws RangeError when shapes or labels do not fit or rows are no probabilities; UserError when a value is not finite
 */
export function leep(probabilities: Tensor, labels: Labels): number {
  return computing(() => {
    const theta = checkedProbabilities(probabilities, labels);
    const y = membership(labels, theta.device);
    const joint = y.t().matmul(theta); // [C, S], n P(y, z)
    const marginal = joint.sum(0, true);
    // A source class that no item has any probability for is never drawn.
    const conditional = joint.div(marginal.masked_fill(marginal.eq(0), 1));
    const likelihood = theta.matmul(conditional.t()).mul(y).sum(1);
    return likelihood.clamp(null, 1).log().mean().item();
  });
}

/** Probabilities as float64 [n, S] with rows that sum to one. */
export function checkedProbabilities(probabilities: Tensor, labels: Labels): Tensor {
  const table = checkedTable("probabilities", probabilities, labels);
  const sums = table.sum(1, true);
  if (table.min().item() < 0 || sums.sub(1).abs().max().item() > slack) {
    throw new RangeError("rows of probabilities must sum to 1 and have no negative element: apply softmax first");
  }
  return table.div(sums);
}
