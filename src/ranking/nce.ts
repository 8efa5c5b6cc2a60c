/**
 * NCE: minus the conditional entropy of the target labels given the source labels (Tran, Nguyen, Hassner:
 * "Transferability and Hardness of Supervised Classification Tasks", ICCV 2019). The source label of an item is the
 * class that the source model finds most probable.
 *
 * n items, S source classes, C target classes with items.
 */
import type { Tensor } from "../torch/index.ts";
import { checkedProbabilities } from "./leep.ts";
import { computing, type Labels, membership } from "./matrix.ts";

/**
 * -H(Y | Z) in nats, from minus the labels' own entropy to 0; larger is better.
 * @param probabilities of the S source classes, [n, S]
 * @throws RangeError when shapes or labels do not fit or rows are no probabilities; UserError when a value is not finite
 */
export function nce(probabilities: Tensor, labels: Labels): number {
  return computing(() => {
    const table = checkedProbabilities(probabilities, labels);
    const source = table.argmax(1).one_hot(table.size(1)).to({ dtype: "float64" });
    const joint = membership(labels, table.device).t().matmul(source).div(table.size(0)); // [C, S]
    const marginal = joint.sum(0, true);
    const empty = joint.eq(0);
    const conditional = joint.div(marginal.masked_fill(marginal.eq(0), 1)).masked_fill(empty, 1);
    return Math.min(0, joint.mul(conditional.log()).sum().item());
  });
}
