/** Of samples from a known population about as many hold the population's figure as intervals promise. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { keyedRandom } from "../../../src/torch/index.ts";
import { type Interval, meanInterval, precisionInterval, r2Interval } from "../../../src/train/target-intervals.ts";
import { averagePrecision } from "../../../src/train/target-metrics.ts";

const [samples, items] = [100, 100];
const none: Interval = [0, 0];

/** Box and Muller's pairs, one of them used. */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** Two labels of which one is often there, and answers that are rather right. */
function labelled(random: () => number, count: number): { probabilities: number[]; targets: number[] } {
  const targets = Array.from({ length: 2 * count }, (_, at) => Number(random() < (at % 2 === 0 ? 0.5 : 0.2)));
  return { targets, probabilities: targets.map((there) => 1 / (1 + Math.exp(-there - normal(random)))) };
}

function assertCovers(intervals: readonly (Interval | null)[], truth: number): void {
  const holds = (range: Interval | null) => range !== null && range[0] <= truth && truth <= range[1];
  const held = intervals.filter(holds).length / intervals.length;
  assert.ok(held > 0.85 && held < 0.995, `${held} of the intervals hold ${truth}`);
}

const meanPrecision = ({ probabilities, targets }: ReturnType<typeof labelled>): number => {
  const column = (values: readonly number[], c: number) => values.filter((_, at) => at % 2 === c);
  const all = [0, 1].map((c) => averagePrecision(column(probabilities, c), column(targets, c)) ?? 0);
  return ((all[0] ?? 0) + (all[1] ?? 0)) / 2;
};

test("intervals of the mean average precision", () => {
  const random = keyedRandom(1);
  const truth = meanPrecision(labelled(random, 40_000));
  const intervals = Array.from({ length: samples }, () => {
    const own = labelled(random, items);
    return precisionInterval(meanPrecision(own), own.probabilities, own.targets, items, 2);
  });
  assertCovers(intervals, truth);
});

test("intervals of R2 and of a mean absolute error, whatever the numbers' unit", () => {
  const random = keyedRandom(2);
  const drawn = Array.from({ length: samples }, () => {
    const targets = Array.from({ length: items }, () => 1e6 + normal(random));
    return { targets, answers: targets.map((value) => value + 0.5 * normal(random)) };
  });
  const squares = (values: readonly number[]) => values.reduce((sum, value) => sum + value ** 2, 0);
  const r2s = drawn.map(({ targets, answers }) => {
    const mean = targets.reduce((sum, value) => sum + value, 0) / items;
    const r2 = 1 - squares(answers.map((y, i) => y - (targets[i] ?? 0))) / squares(targets.map((y) => y - mean));
    return r2Interval(r2, answers, targets, items, 1);
  });
  // A noise of half a deviation leaves a quarter of the variance.
  assertCovers(r2s, 0.75);
  const errors = drawn.map(({ targets, answers }) =>
    meanInterval(answers.map((y, i) => Math.abs(y - (targets[i] ?? 0)))),
  );
  assertCovers(errors, 0.5 * Math.sqrt(2 / Math.PI));
});

test("a number that is the same on all images, or in a resample, does not decide the interval", () => {
  const random = keyedRandom(3);
  const targets = Array.from({ length: items }, () => normal(random));
  const answers = targets.map((value) => value + normal(random));
  const [low, high] = r2Interval(0.2, answers, targets, items, 1) ?? none;
  const both = (values: readonly number[], other: number) => values.flatMap((value) => [value, other]);
  const halved = r2Interval(0.1, both(answers, 5.1), both(targets, 5), items, 2) ?? none;
  assert.ok(high > low && Math.abs(halved[1] - halved[0] - (high - low) / 2) < 1e-12);
  // In a third of the resamples all values are the same.
  const rare = targets.map((_, i) => (i === 0 ? 3.3 : 0.7));
  const [least] =
    r2Interval(
      0.9,
      rare.map((value, i) => value + 0.1 * Math.cos(i)),
      rare,
      items,
      1,
    ) ?? none;
  assert.ok(least > 0 && least < 0.9);
});

test("intervals of few images hold as often, by Student's t", () => {
  const random = keyedRandom(3);
  const errors = Array.from({ length: 400 }, () => meanInterval(Array.from({ length: 3 }, () => 9 + normal(random))));
  assertCovers(errors, 9);
  // scipy.stats.t.ppf(0.975, 3) * std(ddof=1) / sqrt(4)
  const [low, high] = meanInterval([0.5, 0.52, 0.47, 0.55]) ?? [0, 0];
  assert.ok(Math.abs(low - 0.4564314) < 1e-4 && Math.abs(high - 0.5635686) < 1e-4, `${low} ${high}`);
});

test("there is no interval where the images say nothing of others", () => {
  assert.equal(meanInterval([3]), null);
  assert.equal(meanInterval([0.1, 0.1, 0.1]), null);
  assert.equal(r2Interval(0, [5], [4], 1, 1), null, "one image");
  assert.equal(r2Interval(0, [5, 6, 7], [4, 4, 4], 3, 1), null, "the same number on all images");
  assert.equal(precisionInterval(1, [0.9], [1], 1, 1), null, "one image");
  assert.equal(precisionInterval(1, [0.9, 0.8, 0.1], [1, 1, 0], 3, 1), null, "every draw is right");
  assert.equal(precisionInterval(0.5, [0.9, 0.8, 0.1, 0.2], [0, 1, 0, 0], 4, 1), null, "one image with the label");
  const some = precisionInterval(0.75, [0.9, 0.8, 0.1, 0.2], [0, 1, 0, 1], 4, 1);
  assert.ok(some && some[0] < 0.7 && some[1] === 1, `${some}`);
});
