/**
 * Oracle routing: what the best possible choice of k members for each image would reach, an upper bound for every router
 * over the same members. It looks at the labels, so that it measures finished predictions and is no method that trains
 * or predicts. N images, C classes.
 */
import { argmaxAt, computeMetrics, type Metrics } from "../train/index.ts";
import { combinations, meanProbabilities } from "./ensemble-predictor.ts";

export interface OracleRouting {
  metrics: Metrics;
  /** Row-major [N, C]: the mean of the chosen members for each image. */
  probabilities: Float32Array;
  /** The chosen members of each image. */
  routes: number[][];
}

/**
 * For each image the k members whose mean probabilities are right with the most probability for its label, or come
 * nearest to it where none is right.
 * @param tables predictions [N, C] of each member on the same images
 */
export function oracleRouting(
  tables: readonly Float32Array[],
  labels: readonly number[],
  classes: number,
  k: number,
): OracleRouting {
  if (!(Number.isInteger(k) && k >= 1 && k <= tables.length)) {
    throw new RangeError(`k is ${k}: it must be a whole number from 1 to ${tables.length}`);
  }
  const probabilities = new Float32Array(labels.length * classes);
  const routes: number[][] = labels.map(() => []);
  const best = labels.map(() => -1);
  for (const set of combinations(tables.length, k)) {
    const mean = meanProbabilities(set.map((i) => tables[i] ?? new Float32Array()));
    for (const [item, label] of labels.entries()) {
      const right = argmaxAt(mean, item * classes, classes) === label;
      const quality = (mean[item * classes + label] ?? 0) + (right ? 1 : 0);
      if (quality <= (best[item] ?? 0)) continue;
      best[item] = quality;
      routes[item] = set;
      probabilities.set(mean.subarray(item * classes, (item + 1) * classes), item * classes);
    }
  }
  return { metrics: computeMetrics(probabilities, labels, classes), probabilities, routes };
}
