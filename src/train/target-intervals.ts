/** How far figures of several labels or numbers may be off, since other images could have been measured. N images, C labels or numbers. */
import { keyedRandom } from "../torch/index.ts";
import { studentQuantile } from "./student.ts";
import { averagePrecisionBy, byProbability, columnOf, type Table } from "./target-metrics.ts";

export type Interval = [low: number, high: number];

/** Resamples, and additions that they may take together before they are fewer. */
const [mostDraws, fewestDraws, budget] = [200, 40, 5e7];

/**
 * 95 % interval of the mean average precision, by a bootstrap over the images; null where no two images have the same label, or nothing
 * varies. Few images with a label flatter its average precision, so that about nine of ten such intervals hold.
 * @param figure of all images
 */
export function precisionInterval(
  figure: number,
  probabilities: Table,
  targets: Table,
  items: number,
  width: number,
): Interval | null {
  const labels = Array.from({ length: width }, (_, c) => {
    const [own, truths] = [columnOf(probabilities, items, width, c), columnOf(targets, items, width, c)];
    return { own, truths, order: byProbability(own) };
  });
  if (labels.every(({ truths }) => truths.filter((truth) => truth > 0).length < 2)) return null;
  return bootstrapped(figure, items, width, [0, 1], (counts) => {
    const found = labels.flatMap(({ own, truths, order }) => averagePrecisionBy(order, own, truths, counts) ?? []);
    return found.length === 0 ? undefined : meanOf(found);
  });
}

/**
 * 95 % interval of R2, the mean over the numbers, likewise. A number that is the same on all images counts as in the figure; resamples in
 * which another one is the same are left out.
 */
export function r2Interval(
  figure: number,
  answers: Table,
  targets: Table,
  items: number,
  width: number,
): Interval | null {
  const numbers = Array.from({ length: width }, (_, c) => {
    const [own, truths] = [columnOf(answers, items, width, c), columnOf(targets, items, width, c)];
    return { own, truths, varies: truths.some((truth) => truth !== truths[0]) };
  }).filter(({ varies }) => varies);
  return bootstrapped(figure, items, width, [Number.NEGATIVE_INFINITY, 1], (counts) => {
    let sum = 0;
    for (const { own, truths } of numbers) {
      const first = truths.find((_, i) => (counts[i] ?? 0) > 0) ?? 0;
      let [total, squares, errors] = [0, 0, 0];
      for (const [i, truth] of truths.entries()) {
        const count = counts[i] ?? 0;
        // Around one of the drawn values, so that large means cost no digits.
        total += count * (truth - first);
        squares += count * (truth - first) ** 2;
        errors += count * ((own[i] ?? 0) - truth) ** 2;
      }
      const spread = squares - total ** 2 / items;
      if (!(spread > 0)) return undefined;
      sum += 1 - errors / spread;
    }
    return sum / width;
  });
}

/** 95 % interval of a mean of values, at least 0, by Student's t; null where they do not vary. */
export function meanInterval(values: readonly number[]): Interval | null {
  const deviation = deviationOf(values);
  return deviation === 0
    ? null
    : around(meanOf(values), deviation / Math.sqrt(values.length), values.length, [0, Infinity]);
}

/**
 * The figure of all images, and on both sides of it as much as resamples of them scatter (Efron 1979), by Student's t and with n / (n - 1)
 * for the variance of few images (Hesterberg 2015); null where they do not vary.
 */
function bootstrapped(
  figure: number,
  items: number,
  width: number,
  bounds: Interval,
  measure: (counts: Uint16Array) => number | undefined,
): Interval | null {
  const random = keyedRandom(items, 0x1a7e);
  const draws = Math.max(fewestDraws, Math.min(mostDraws, Math.floor(budget / (items * width))));
  const found = Array.from({ length: draws }, () => {
    const counts = new Uint16Array(items);
    for (let i = 0; i < items; i++) {
      const drawn = Math.floor(random() * items);
      counts[drawn] = (counts[drawn] ?? 0) + 1;
    }
    return measure(counts);
  }).filter((one) => one !== undefined);
  const deviation = deviationOf(found);
  return deviation === 0 ? null : around(figure, deviation * Math.sqrt(items / (items - 1)), items, bounds);
}

/** @param error standard error of the figure of so many items */
function around(figure: number, error: number, items: number, [least, most]: Interval): Interval {
  const half = studentQuantile(0.975, items - 1) * error;
  return [Math.max(least, figure - half), Math.min(most, figure + half)];
}

/** Standard deviation of a sample; 0 without two values, or where only rounding sets them apart. */
function deviationOf(values: readonly number[]): number {
  const mean = meanOf(values);
  const deviation = Math.sqrt(
    values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, values.length - 1),
  );
  return deviation > 1e-12 * Math.abs(mean) ? deviation : 0;
}

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
