/**
 * Ways to join or choose members that learn from known items how: stacking, and selection by learned competence.
 * N items, m members, C classes.
 */
import { ridgeHead } from "../../ranking/index.ts";
import { inferenceMode, int64, keep, scope, type Tensor, tensor } from "../../torch/index.ts";
import { type Answers, nearest, outcome, type Policy, rightBy, rowOf } from "./policies.ts";

/** Probabilities below it count as this: their logarithms are features. */
const least = 1e-6;

/**
 * Stacking (Wolpert 1992): ridge regression of class membership on what all members say, its strength and its factor from
 * scores to logits by leaving one known item out. An item that is known is answered by a fit without it.
 */
export const stacking: Policy = (known) => {
  const probabilitiesOf = stackedProbabilities(known);
  const all = known.tables.map((_, i) => i);
  return (asked) => {
    const { classes } = asked;
    const probabilities = probabilitiesOf(asked);
    return outcome(asked, (item) => {
      return { used: all, probabilities: probabilities.subarray(item * classes, (item + 1) * classes) };
    });
  };
};

/** Layer of stacking, for the logarithms of what all members say, [n, m C]: weight [C, m C], bias [C]. The caller disposes them. */
export function stackedHead(known: Answers): { weight: Tensor; bias: Tensor } {
  return computing(() => {
    const { weight, bias } = linear(logarithms(known), known.labels, known.classes);
    return { weight: keep(weight.to({ dtype: "float32" })), bias: keep(bias.to({ dtype: "float32" })) };
  });
}

/** Logarithms as they are features of stacking. */
export const boundedLog = (probabilities: Tensor): Tensor => probabilities.clamp(least).log();

/** Row-major [N, C] of asked items. */
export function stackedProbabilities(known: Answers): (asked: Answers) => Float32Array {
  const logits = fitted(known, { of: logarithms, labels: known.labels, classes: known.classes });
  return (asked) => computing(() => floats(logits(asked).softmax(1)));
}

/**
 * Selection by learned competence, after META-DES (Cruz, Sabourin, Cavalcanti & Ren 2015): a classifier says of each member
 * whether it will be right. Its features are those of the paper that need no answer of that member: whether it was right on each
 * of the nearest known items, how probable it held their classes, and its accuracy there.
 *
 * This project's choices: neighbours are those in what the first member answers, whose confidence is a feature in place of the
 * member's own, so that only members that are chosen run; the classifier is ridge regression. Those that are rather right than
 * wrong answer by their mean, all where none is.
 */
export function metaDes(first: number, neighbours: number): Policy {
  return (known) => {
    const all = known.tables.map((_, i) => i);
    const isAble = competence(known, { first, neighbours });
    return (asked) => {
      const able = isAble(asked);
      return outcome(asked, (item) => {
        const chosen = all.filter((i) => able[item * all.length + i]);
        const by = chosen.length > 0 ? chosen : all;
        return { used: [...new Set([first, ...by])], by };
      });
    };
  };
}

/** True for each member that is held to be right, row-major [N, m] of asked items. */
function competence(known: Answers, near: Neighbourhood): (asked: Answers) => boolean[] {
  const isRight = rightBy(known);
  const labels = known.labels.flatMap((_, j) => isRight.map((right) => Number(right[j])));
  const logits = fitted(known, { of: (asked) => metaFeatures(known, asked, isRight, near), labels, classes: 2 });
  return (asked) => {
    const scores = computing(() => floats(logits(asked)));
    return Array.from({ length: scores.length / 2 }, (_, row) => (scores[2 * row + 1] ?? 0) > (scores[2 * row] ?? 0));
  };
}

interface Neighbourhood {
  first: number;
  neighbours: number;
}

/** Features of each asked item and member, [N m, 2 n + 2]. */
function metaFeatures(
  known: Answers,
  asked: Answers,
  isRight: readonly (readonly boolean[])[],
  { first, neighbours }: Neighbourhood,
): Tensor {
  const width = 2 * neighbours + 2;
  const rows = asked.labels.flatMap((_, item) => {
    const near = nearest(known, asked, { first, item, neighbours });
    const sure = rowOf(asked, first, item).reduce((most, value) => Math.max(most, value), 0);
    return isRight.map((right, i) => {
      const hits = near.map((j) => Number(right[j]));
      const held = near.map((j) => rowOf(known, i, j)[known.labels[j] ?? -1] ?? 0);
      const row = new Float64Array(width);
      row.set(hits);
      row.set(held, neighbours);
      row.set([hits.reduce((sum, hit) => sum + hit, 0) / Math.max(1, near.length), sure], 2 * neighbours);
      return row;
    });
  });
  const table = new Float64Array(rows.length * width);
  for (const [i, row] of rows.entries()) table.set(row, i * width);
  return tensor(table, { shape: [rows.length, width] });
}

/** Logarithms of what all members say of each item, [N, m C]. */
function logarithms({ tables, labels, classes }: Answers): Tensor {
  const width = tables.length * classes;
  const table = new Float64Array(labels.length * width);
  for (const [i, own] of tables.entries()) {
    for (const [at, value] of own.entries()) {
      const [item, c] = [Math.floor(at / classes), at % classes];
      table[item * width + i * classes + c] = Math.log(Math.max(least, value));
    }
  }
  return tensor(table, { shape: [labels.length, width] });
}

interface Reading {
  /** Features of rows of items. */
  of(asked: Answers): Tensor;
  /** Of the known rows. */
  labels: readonly number[];
  classes: number;
}

/** Logits of asked rows by a linear classifier, which holds no tensor; of the known ones by fits without each of them. */
function fitted(known: Answers, { of, labels, classes }: Reading): (asked: Answers) => Tensor {
  const [weight, bias, leftOut] = computing(() => {
    const fit = linear(of(known), labels, classes);
    return [fit.weight, fit.bias, fit.leftOut].map((one) => ({ values: one.toTypedArray(), shape: one.shape }));
  }) as [Stored, Stored, Stored];
  const restored = ({ values, shape }: Stored) => tensor(values, { shape });
  return (asked) => (asked === known ? restored(leftOut) : of(asked).matmul(restored(weight).t()).add(restored(bias)));
}

type Stored = Pick<Tensor, "shape"> & { values: ReturnType<Tensor["toTypedArray"]> };

/** The linear classifier of least loss on items that are left out. */
function linear(features: Tensor, labels: readonly number[], classes: number) {
  const targets = int64([...labels])
    .one_hot(classes)
    .to({ dtype: "float64" });
  return ridgeHead(features, targets, (logits) => -logits.log_softmax(1).mul(targets).sum().item() / labels.length);
}

const computing = <T>(fn: () => T): T => scope(() => inferenceMode(fn));

const floats = (table: Tensor): Float32Array => table.to({ dtype: "float32" }).toTypedArray() as Float32Array;
