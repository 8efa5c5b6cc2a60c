/** Statistics over seeds and items. */
import { keyedRandom, shuffled } from "../torch/index.ts";
import { studentQuantile, studentTails } from "../train/index.ts";

export interface MeanInterval {
  mean: number;
  /** Half the width of the 95 % interval by Student's t over seeds; null for one seed. */
  half: number | null;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The upper one of the two in the middle of an even number. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

export function meanInterval(values: readonly number[]): MeanInterval {
  const n = values.length;
  const center = mean(values);
  if (n < 2) return { mean: center, half: null };
  return { mean: center, half: studentQuantile(0.975, n - 1) * standardError(values) };
}

function standardError(values: readonly number[]): number {
  const [n, center] = [values.length, mean(values)];
  return Math.sqrt(values.reduce((sum, value) => sum + (value - center) ** 2, 0) / (n - 1) / n);
}

export interface StudentTest {
  /** 95 % interval of the mean. */
  low: number;
  high: number;
  /** Probability of a mean that far from zero, were the true one zero. */
  p: number;
}

/** Student's t test that values have a mean of zero; undefined for fewer than two. */
export function studentTest(values: readonly number[]): StudentTest | undefined {
  const { mean: center, half } = meanInterval(values);
  if (half === null) return undefined;
  const error = standardError(values);
  const p = error > 0 ? studentTails(center / error, values.length - 1) : Number(center === 0);
  return { low: center - half, high: center + half, p };
}

/** Probabilities corrected for their number (Holm 1979): below 5 % for those that stand when all together may err that often. */
export function holm(probabilities: readonly number[]): number[] {
  const order = [...probabilities.keys()].sort((a, b) => (probabilities[a] ?? 0) - (probabilities[b] ?? 0));
  const corrected = probabilities.map(() => 0);
  let largest = 0;
  for (const [rank, i] of order.entries()) {
    largest = Math.max(largest, Math.min(1, (probabilities.length - rank) * (probabilities[i] ?? 0)));
    corrected[i] = largest;
  }
  return corrected;
}

/** True for each test that stands after Holm's correction for all of them, 5 % in all. */
export function standing(tests: readonly (StudentTest | undefined)[]): boolean[] {
  const known = tests.flatMap((test, at) => (test ? [{ at, p: test.p }] : []));
  const corrected = holm(known.map(({ p }) => p));
  return tests.map((_, at) => (corrected[known.findIndex((one) => one.at === at)] ?? 1) < 0.05);
}

/** Items of one seed's split, the same for both methods: true where the method's prediction is right. */
export interface PairedSeed {
  seed: number;
  ours: readonly boolean[];
  rival: readonly boolean[];
}

export interface Difference {
  /** Mean over seeds of the difference of accuracies. */
  value: number;
  /** Percentile interval of 95 %. */
  low: number;
  high: number;
}

/**
 * Difference of accuracies with the interval of a paired bootstrap nested over seeds and items: each draw takes as many
 * seeds, and as many items within each of them, with replacement. With few seeds it is too narrow, as percentile intervals
 * are: `studentTest` of `seedDifferences` stands beside it. Of several targets the mean is taken within each draw.
 * @param targets the seeds of each target
 * @throws RangeError without seeds, or when two methods were measured on different numbers of items
 */
export function pairedBootstrap(targets: readonly (readonly PairedSeed[])[], draws = 1000, seed = 0): Difference {
  const parts = targets.map((seeds) => seeds.map(differencesOf));
  if (parts.length === 0 || parts.some((seeds) => seeds.length === 0)) throw new RangeError("no seeds to compare");
  const random = keyedRandom(seed, 0xb007);
  const below = (n: number) => Math.floor(random() * n);
  const drawSeed = (differences: Int8Array) => {
    let sum = 0;
    for (let i = 0; i < differences.length; i++) sum += differences[below(differences.length)] ?? 0;
    return sum / differences.length;
  };
  const drawTarget = (seeds: readonly Int8Array[]) =>
    mean(seeds.map(() => drawSeed(seeds[below(seeds.length)] as Int8Array)));
  const sorted = Array.from({ length: draws }, () => mean(parts.map(drawTarget))).sort((a, b) => a - b);
  const at = (part: number) => sorted[Math.min(draws - 1, Math.floor(part * draws))] as number;
  const value = mean(parts.map((seeds) => mean(seeds.map((own) => mean([...own])))));
  return { value, low: at(0.025), high: at(0.975) };
}

/** Difference of accuracies of each seed that all targets have, as the mean of the targets. */
export function seedDifferences(targets: readonly (readonly PairedSeed[])[]): number[] {
  const seeds = targets[0]?.map(({ seed }) => seed) ?? [];
  return seeds.flatMap((seed) => {
    const own = targets.flatMap((pairs) => pairs.find((pair) => pair.seed === seed) ?? []);
    return own.length < targets.length ? [] : [mean(own.map((pair) => mean([...differencesOf(pair)])))];
  });
}

function differencesOf({ ours, rival }: PairedSeed): Int8Array {
  if (ours.length !== rival.length || ours.length === 0)
    throw new RangeError(`${ours.length} and ${rival.length} items: both methods need the same, at least one`);
  return Int8Array.from(ours, (right, i) => Number(right) - Number(rival[i]));
}

/**
 * Accuracy of the best of several choices when it is found on one half of the items and measured on the other, over many halvings:
 * what is left of a best that was found on the very items it is measured on.
 * @param choices whether each choice was right on each item
 */
export function crossFittedBest(choices: readonly (readonly boolean[])[], halvings = 100): number {
  const items = choices[0]?.map((_, i) => i) ?? [];
  const accuracy = (choice: readonly boolean[], part: readonly number[]) => mean(part.map((i) => Number(choice[i])));
  const bestOf = (found: readonly number[], measured: readonly number[]) => {
    const scores = choices.map((choice) => accuracy(choice, found));
    return accuracy(choices[scores.indexOf(Math.max(...scores))] ?? [], measured);
  };
  const draws = Array.from({ length: halvings }, (_, draw) => {
    const order = shuffled(items, keyedRandom(draw, 0x4a1f));
    const [one, other] = [order.slice(0, items.length >> 1), order.slice(items.length >> 1)];
    return (bestOf(one, other) + bestOf(other, one)) / 2;
  });
  return mean(draws);
}

/**
 * Weighted Kendall's tau of two lists, additive hyperbolic by the rank of the first (Vigna 2015), averaged over both lists as
 * the first, as scipy's weightedtau does: 1 for the same order, -1 for the reverse. Ties count neither way; 0 where all of a list is one tie.
 */
export function weightedTau(x: readonly number[], y: readonly number[]): number {
  return (tauByRank(x, y) + tauByRank(y, x)) / 2;
}

function tauByRank(x: readonly number[], y: readonly number[]): number {
  const order = [...x.keys()].sort((a, b) => (x[b] ?? 0) - (x[a] ?? 0) || (y[b] ?? 0) - (y[a] ?? 0));
  const rank = new Array<number>(x.length).fill(0);
  for (const [place, i] of order.entries()) rank[i] = place;
  let [both, ofX, ofY] = [0, 0, 0];
  for (let i = 0; i < x.length; i++) {
    for (let j = 0; j < i; j++) {
      const weight = 1 / ((rank[i] ?? 0) + 1) + 1 / ((rank[j] ?? 0) + 1);
      const [dx, dy] = [Math.sign((x[i] ?? 0) - (x[j] ?? 0)), Math.sign((y[i] ?? 0) - (y[j] ?? 0))];
      both += weight * dx * dy;
      ofX += weight * dx * dx;
      ofY += weight * dy * dy;
    }
  }
  return ofX * ofY === 0 ? 0 : both / Math.sqrt(ofX * ofY);
}
