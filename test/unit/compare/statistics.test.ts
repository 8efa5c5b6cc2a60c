import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { packBits, unpackBits } from "../../../src/compare/bits.ts";
import { crossFittedBest, meanInterval, pairedBootstrap, weightedTau } from "../../../src/compare/statistics.ts";
import { keyedRandom } from "../../../src/torch/index.ts";

test("intervals over seeds are Student's", () => {
  // scipy.stats.t.ppf(0.975, 3) * std(ddof=1) / sqrt(4)
  const { mean, half } = meanInterval([0.5, 0.52, 0.47, 0.55]);
  assert.ok(Math.abs(mean - 0.51) < 1e-12 && Math.abs((half ?? 0) - 0.0535686) < 1e-4, `${mean} ${half}`);
  assert.deepEqual(meanInterval([0.3]), { mean: 0.3, half: null });
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
  assert.deepEqual(pairedBootstrap([[{ ours: own, rival: own }]]), { value: 0, low: 0, high: 0 });
});

test("within one seed the interval is that of the mean of paired differences", () => {
  const pair = { ours: rights(2, 2000, 0.7), rival: rights(3, 2000, 0.6) };
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
  const better = { ours: new Array<boolean>(400).fill(true), rival: rights(4, 400, 0.5) };
  const worse = { ours: better.rival, rival: better.ours };
  const spread = pairedBootstrap([[better, worse, better, worse]]);
  assert.ok(spread.low < -0.2 && spread.high > 0.2 && Math.abs(spread.value) < 1e-12);
  const twoTargets = pairedBootstrap([[better], [worse]]);
  assert.ok(Math.abs(twoTargets.value) < 1e-12 && twoTargets.high < 0.1);
});

test("what cannot be compared is refused", () => {
  assert.throws(() => pairedBootstrap([]), /no seeds/);
  assert.throws(() => pairedBootstrap([[{ ours: [true], rival: [true, false] }]]), /1 and 2 items/);
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
