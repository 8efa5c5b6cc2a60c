import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { packBits, unpackBits } from "../../../src/compare/bits.ts";
import {
  crossFittedBest,
  holm,
  meanInterval,
  pairedBootstrap,
  seedDifferences,
  standing,
  studentTest,
  weightedTau,
} from "../../../src/compare/statistics.ts";
import { keyedRandom } from "../../../src/torch/index.ts";
import { studentQuantile, studentTails } from "../../../src/train/index.ts";

test("intervals over seeds are Student's", () => {
  // scipy.stats.t.ppf(0.975, 3) * std(ddof=1) / sqrt(4)
  const { mean, half } = meanInterval([0.5, 0.52, 0.47, 0.55]);
  assert.ok(Math.abs(mean - 0.51) < 1e-12 && Math.abs((half ?? 0) - 0.0535686) < 1e-4, `${mean} ${half}`);
  assert.deepEqual(meanInterval([0.3]), { mean: 0.3, half: null });
});

test("quantiles and tails of Student's t are scipy's", () => {
  // scipy.stats.t.ppf(0.975, degrees), and 2 * scipy.stats.t.sf(t, degrees) of t = 0.5, 2, 5 and 20.
  const known: [degrees: number, quantile: number, tails: number[]][] = [
    [1, 12.706204736174694, [0.7048327646991335, 0.2951672353008665, 0.1256659163780024, 0.03180450251235275]],
    [2, 4.302652729749462, [0.6666666666666667, 0.18350341907227397, 0.037749551350623724, 0.002490663892367097]],
    [3, 3.1824463052837078, [0.651447964848151, 0.13932596855884305, 0.015392438073302294, 0.0002732032502473116]],
    [4, 2.7764451051977934, [0.6433299631818633, 0.11611652351681556, 0.007490433881274525, 3.688310580299731e-5]],
    [9, 2.262157162798205, [0.6290712998260263, 0.07655282377070101, 0.0007389679098032426, 9.079521299916546e-9]],
    [30, 2.0422724563012378, [0.6207230048851272, 0.054625044962983094, 2.32966854670078e-5, 0]],
  ];
  for (const [degrees, quantile, tails] of known) {
    assert.ok(Math.abs(studentQuantile(0.975, degrees) - quantile) < 1e-9, `${degrees} degrees`);
    for (const [i, t] of [0.5, 2, 5, 20].entries())
      assert.ok(Math.abs(studentTails(t, degrees) - (tails[i] ?? 0)) < 1e-12, `${t} of ${degrees} degrees`);
  }
});

test("a t test over seeds is scipy's, and Holm's correction follows its definition", () => {
  // scipy.stats.ttest_1samp and scipy.stats.t.interval of these values.
  const { low = 0, high = 0, p = 0 } = studentTest([0, 0.02, -0.03, 0.05, -0.01]) ?? {};
  for (const [value, expected] of [
    [low, -0.031865662816394545],
    [high, 0.043865662816394556],
    [p, 0.6827060250409898],
  ] as const)
    assert.ok(Math.abs(value - expected) < 1e-9, `${value} and ${expected}`);
  assert.equal(studentTest([0.1]), undefined);
  assert.equal(studentTest([0, 0, 0])?.p, 1);
  assert.equal(studentTest([1, 1])?.p, 0);
  // 5, 4, 3 … times the probabilities in their order, never below the one before.
  const corrected = holm([0.01, 0.04, 0.03, 0.005, 0.2]);
  for (const [i, expected] of [0.04, 0.09, 0.09, 0.025, 0.2].entries())
    assert.ok(Math.abs((corrected[i] ?? 0) - expected) < 1e-12, `${corrected}`);
  assert.deepEqual(holm([0.5, 0.9]), [1, 1]);
  const known = (p: number) => ({ low: 0, high: 1, p });
  // Corrected with two tests: 0.04 stands beside 0.02, not beside 0.03; what is missing does not count.
  assert.deepEqual(standing([known(0.04), undefined, known(0.02)]), [true, false, true]);
  assert.deepEqual(standing([known(0.04), known(0.03)]), [false, false]);
});

test("differences of a seed are means of the targets, of the seeds that all targets have", () => {
  const pair = (seed: number, ours: boolean[]) => ({ seed, ours, rival: ours.map(() => false) });
  const one = [pair(0, [true, true]), pair(1, [true, false]), pair(2, [false, false])];
  const other = [pair(1, [true, true, true, true]), pair(0, [false, false, true, false])];
  assert.deepEqual(seedDifferences([one, other]), [0.625, 0.75]);
  assert.deepEqual(seedDifferences([one]), [1, 0.5, 0]);
});

test("weighted tau is scipy's", () => {
  const known: [number[], number[], number][] = [
    [[3, 1, 2, 5, 4], [1, 2, 3, 4, 5], 0.44160583941605835],
    [[1, 2, 2, 4], [4, 3, 5, 5], 0.5482409585081398],
    [[0.3, 0.9, 0.1, 0.5, 0.7, 0.2], [0.1, 0.8, 0.3, 0.9, 0.2, 0.4], 0.2653061224489796],
  ];
  for (const [x, y, expected] of known)
    assert.ok(Math.abs(weightedTau(x, y) - expected) < 1e-9, `${weightedTau(x, y)}`);
  assert.equal(weightedTau([1, 2, 3], [10, 20, 30]), 1);
  assert.equal(weightedTau([1, 2, 3], [3, 2, 1]), -1);
  assert.equal(weightedTau([1, 2, 3], [1, 1, 1]), 0);
});

const rights = (seed: number, count: number, share: number): boolean[] => {
  const random = keyedRandom(seed);
  return Array.from({ length: count }, () => random() < share);
};

test("a method differs from itself by nothing", () => {
  const own = rights(1, 50, 0.6);
  assert.deepEqual(pairedBootstrap([[{ seed: 0, ours: own, rival: own }]]), { value: 0, low: 0, high: 0 });
});

test("within one seed the interval is that of the mean of paired differences", () => {
  const pair = { seed: 0, ours: rights(2, 2000, 0.7), rival: rights(3, 2000, 0.6) };
  const differences = pair.ours.map((right, i) => Number(right) - Number(pair.rival[i]));
  const mean = differences.reduce((sum, d) => sum + d, 0) / 2000;
  const error = Math.sqrt(differences.reduce((sum, d) => sum + (d - mean) ** 2, 0) / 2000 / 2000);
  const { value, low, high } = pairedBootstrap([[pair]]);
  assert.ok(Math.abs(value - mean) < 1e-12);
  assert.ok(
    Math.abs(low - (mean - 1.96 * error)) < 0.3 * error && Math.abs(high - (mean + 1.96 * error)) < 0.3 * error,
  );
});

test("seeds that differ widen the interval, targets are averaged", () => {
  const better = { seed: 0, ours: new Array<boolean>(400).fill(true), rival: rights(4, 400, 0.5) };
  const worse = { seed: 0, ours: better.rival, rival: better.ours };
  const spread = pairedBootstrap([[better, worse, better, worse]]);
  assert.ok(spread.low < -0.2 && spread.high > 0.2 && Math.abs(spread.value) < 1e-12);
  const twoTargets = pairedBootstrap([[better], [worse]]);
  assert.ok(Math.abs(twoTargets.value) < 1e-12 && twoTargets.high < 0.1);
});

test("what cannot be compared is refused", () => {
  assert.throws(() => pairedBootstrap([]), /no seeds/);
  assert.throws(() => pairedBootstrap([[{ seed: 0, ours: [true], rival: [true, false] }]]), /1 and 2 items/);
});

test("bits come back as they were packed", () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 70 }), (values) => {
      assert.deepEqual(unpackBits(packBits(values), values.length), values);
    }),
  );
  assert.throws(() => unpackBits(packBits([true]), 9), /1 bytes do not hold 9/);
});

test("the best of choices that are all luck is worth no more than luck; a real best keeps its worth", () => {
  const items = 200;
  const draw = (share: number, seed: number) => {
    const random = keyedRandom(seed, 0x7e57);
    return Array.from({ length: items }, () => random() < share);
  };
  const accuracy = (choice: readonly boolean[]) => choice.filter(Boolean).length / items;
  const worlds = Array.from({ length: 12 }, (_, w) => Array.from({ length: 20 }, (_, i) => draw(0.5, 100 * w + i)));
  const over = (value: (luck: boolean[][]) => number) =>
    worlds.reduce((sum, luck) => sum + value(luck), 0) / worlds.length;
  const flattered = over((luck) => Math.max(...luck.map(accuracy)));
  assert.ok(flattered > 0.54, `chosen and measured on the same items, luck looks like skill: ${flattered}`);
  const honest = over((luck) => crossFittedBest(luck, 20));
  assert.ok(Math.abs(honest - 0.5) < 0.02, `${honest}`);
  const skilled = draw(0.9, 9999);
  assert.ok(Math.abs(crossFittedBest([...(worlds[0] ?? []), skilled]) - accuracy(skilled)) < 1e-9);
});
