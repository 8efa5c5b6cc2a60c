/** Figures over seeds and games. */
import assert from "node:assert/strict";
import test from "node:test";
import { mean } from "../../../src/compare/statistics.ts";
import { bootstrapInterval, interquartileMean } from "../../../src/experiments/rl/statistics.ts";

test("the interquartile mean is that of the middle half", () => {
  assert.equal(interquartileMean([100, 1, 2, 3, -50, 4, 5, 6].toSorted()), 3.5);
  assert.equal(interquartileMean([0, 1, 2, 3]), 1.5);
  // The middle one of five values counts whole, its neighbours three quarters each.
  assert.ok(Math.abs(interquartileMean([0, 10, 20, 60, 1000]) - (0.75 * 10 + 20 + 0.75 * 60) / 2.5) < 1e-12);
  assert.equal(interquartileMean([7]), 7);
});

test("the bootstrap's interval covers a mean as often as it says, within each game's own spread", () => {
  // Two games of very different levels: drawn across games, the interval would be a hundred wide.
  const { value, low, high } = bootstrapInterval(
    [
      [1, 2, 3, 4, 5],
      [101, 102, 103, 104, 105],
    ],
    mean,
  );
  assert.equal(value, 53);
  // The standard error of the mean of ten values with deviation √2 is 0.447.
  assert.ok(Math.abs(low - (53 - 1.96 * 0.447)) < 0.15, String(low));
  assert.ok(Math.abs(high - (53 + 1.96 * 0.447)) < 0.15, String(high));
});

test("equal values have no interval", () => {
  assert.deepEqual(bootstrapInterval([[2, 2, 2]], interquartileMean), { value: 2, low: 2, high: 2 });
});
