/**
 * Upper bound of routing, from predictions of fine-tuned members on rows that none of them trained on. A linear router
 * on pre-trained features learns from the members' true losses on held-out rows, by cross-fitting; no generator ever
 * gets these. n rows, d features, C classes, m members.
 */

import { combinations, meanProbabilities, oracleRouting } from "../../methods/index.ts";
import { cat, int64, keyedRandom, noGrad, ops, scope, shuffled, type Tensor, tensor } from "../../torch/index.ts";
import { computeMetrics, rightItems } from "../../train/index.ts";

/** The features of all pre-trained members, which cost as much as running all of them, or the cheap first stages of one. */
export const views = ["all members", "first stages"] as const;
export type View = (typeof views)[number];

/** Data of the held-out rows. */
export interface HeldOut {
  /** Probabilities [n, C] of each member. */
  tables: readonly Float32Array[];
  labels: readonly number[];
  classes: number;
  /** The part of the data that each row comes from, such as the data set of a mix; all zero for one part. */
  parts: readonly number[];
  /** Inputs of the routers, [n, d] each. */
  views: Readonly<Record<View, Tensor>>;
}

/** Accuracies on held-out rows; what is chosen or fitted never saw the rows that it is measured on. */
export interface Ceiling {
  rows: number;
  bestSingle: number;
  bestPair: number;
  ensemble: number;
  /** The best pair of each part of the data, when the part is known. */
  bestPairByPart: number;
  /** Linear router to one member, and to a pair, by what it sees. */
  routedSingle: Record<View, number>;
  routedPair: Record<View, number>;
  /** Choices made by the rows' own labels: no router can pass them, and few come near, since most of it is luck. */
  oracleSingle: number;
  oraclePair: number;
}

const folds = 5;
/** Ridge penalties, as multiples of the mean squared singular value. */
const penalties = [0.01, 0.1, 1, 10, 100];

export function ceiling(held: HeldOut, seed: number): Ceiling {
  const { tables, labels, classes } = held;
  const all = labels.map((_, i) => i);
  const order = shuffled(all, keyedRandom(seed, 0xf01d));
  const pairs = combinations(tables.length, Math.min(2, tables.length));
  const singles = tables.map((_, i) => [i]);
  const setTables = (sets: readonly number[][]) =>
    sets.map((set) => meanProbabilities(set.map((i) => tables[i] as Float32Array)));
  const [single, pair] = [lossesOf(setTables(singles), held), lossesOf(setTables(pairs), held)];
  const none = (): Record<View, number> => ({ "all members": 0, "first stages": 0 });
  const totals = { bestSingle: 0, bestPair: 0, bestPairByPart: 0 };
  const routed = { single: none(), pair: none() };
  for (let fold = 0; fold < folds; fold++) {
    const inside = order.filter((_, i) => i % folds !== fold);
    const outside = order.filter((_, i) => i % folds === fold);
    totals.bestSingle += constantRight(single, inside, outside);
    totals.bestPair += constantRight(pair, inside, outside);
    for (const part of new Set(held.parts)) {
      const own = (rows: number[]) => rows.filter((row) => held.parts[row] === part);
      totals.bestPairByPart += constantRight(pair, own(inside), own(outside));
    }
    for (const view of views) {
      routed.single[view] += routedRight(single, held.views[view], inside, outside) / labels.length;
      routed.pair[view] += routedRight(pair, held.views[view], inside, outside) / labels.length;
    }
  }
  const n = labels.length;
  const part = (right: number) => right / n;
  return {
    rows: n,
    bestSingle: part(totals.bestSingle),
    bestPair: part(totals.bestPair),
    bestPairByPart: part(totals.bestPairByPart),
    routedSingle: routed.single,
    routedPair: routed.pair,
    ensemble: computeMetrics(meanProbabilities(tables), labels, classes).accuracy,
    oracleSingle: oracleRouting(tables, labels, classes, 1).metrics.accuracy,
    oraclePair: oracleRouting(tables, labels, classes, Math.min(2, tables.length)).metrics.accuracy,
  };
}

/** Each choice's losses and whether it is right, for every row. */
interface Outcomes {
  loss: Float32Array[];
  right: boolean[][];
}

function lossesOf(tables: readonly Float32Array[], { labels, classes }: HeldOut): Outcomes {
  const loss = tables.map((table) =>
    Float32Array.from(labels, (label, row) => -Math.log(Math.max(1e-4, table[row * classes + label] ?? 0))),
  );
  const right = tables.map((table) => rightItems(table, labels, classes));
  return { loss, right };
}

const count = (right: readonly boolean[], rows: readonly number[]) => rows.filter((row) => right[row]).length;

/** Rows of `outside` that the choice is right on which is right most often on those of `inside`. */
function constantRight({ right }: Outcomes, inside: readonly number[], outside: readonly number[]): number {
  const scores = right.map((own) => count(own, inside));
  return count(right[scores.indexOf(Math.max(...scores))] ?? [], outside);
}

/** Rows of `outside` that are right when each goes to the choice of the lowest predicted loss. */
function routedRight(
  { loss, right }: Outcomes,
  features: Tensor,
  inside: readonly number[],
  outside: readonly number[],
): number {
  return scope(() =>
    noGrad(() => {
      const columns = loss.map((own) => tensor(own).to({ dtype: "float64" }).unsqueeze(1));
      const all = cat(columns, 1);
      const held = inside.filter((_, i) => i % 4 === 0);
      const fitted = inside.filter((_, i) => i % 4 !== 0);
      const value = (penalty: number) => routedCount(predict(features, all, fitted, held, penalty), right, held);
      const best = penalties.reduce((a, b) => (value(b) > value(a) ? b : a));
      return routedCount(predict(features, all, inside, outside, best), right, outside);
    }),
  );
}

/** Rows whose choice of the lowest predicted loss is right. @param predicted [rows, choices] */
function routedCount(predicted: Tensor, right: readonly boolean[][], rows: readonly number[]): number {
  const chosen = predicted.neg().argmax(1).toNumbers();
  return rows.filter((row, i) => right[chosen[i] ?? 0]?.[row]).length;
}

/** Ridge regression of centred losses on standardised features. */
function predict(
  features: Tensor,
  losses: Tensor,
  from: readonly number[],
  to: readonly number[],
  penalty: number,
): Tensor {
  const pick = (all: Tensor, rows: readonly number[]) => all.index_select(0, int64(rows));
  const [x, y] = [pick(features, from), pick(losses, from)];
  const [center, middle] = [x.mean([0], true), y.mean([0], true)];
  const scale = x.sub(center).square().mean([0], true).sqrt().add(1e-6);
  const [u, s, vh] = ops.linalg_svd(x.sub(center).div(scale), false);
  const lambda = s.square().mean().item() * penalty;
  const shrunk = u
    .t()
    .matmul(y.sub(middle))
    .mul(s.div(s.square().add(lambda)).unsqueeze(1));
  return pick(features, to).sub(center).div(scale).matmul(vh.t().matmul(shrunk)).add(middle);
}
