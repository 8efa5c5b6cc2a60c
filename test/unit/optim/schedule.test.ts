/** Schedules by their definitions, and against PyTorch's where it has the same. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  constant,
  cosine,
  linear,
  linearWarmup,
  oneCycle,
  type Schedule,
  stepDecay,
} from "../../../src/optim/index.ts";
import { fixture } from "../../fixtures/seeded-weights.ts";

const expected = fixture<{ oneCycle: number[]; cosine: number[] }>("optimizers.json");

function assertSchedule(schedule: Schedule, values: readonly number[]): void {
  for (const [step, value] of values.entries()) {
    assert.ok(Math.abs(schedule(step) - value) < 1e-9, `step ${step}: ${schedule(step)}, expected ${value}`);
  }
}

test("cosine and one-cycle give PyTorch's values", () => {
  assertSchedule(cosine(10, 0.1), expected.cosine);
  assertSchedule(oneCycle(20), expected.oneCycle);
});

test("after its end a schedule stays where it ended", () => {
  assert.equal(cosine(10, 0.1)(50), 0.1);
  assert.equal(linear(10, 0.2)(50), 0.2);
  assert.ok(Math.abs(oneCycle(20)(50) - 1 / 25e4) < 1e-12);
  assert.equal(cosine(0)(0), 0);
});

test("steps, lines and warm-up", () => {
  assertSchedule(constant(), [1, 1, 1]);
  assertSchedule(stepDecay([2, 4], 0.5), [1, 1, 0.5, 0.5, 0.25, 0.25]);
  assertSchedule(linear(4), [1, 0.75, 0.5, 0.25, 0, 0]);
  assertSchedule(linearWarmup(4, linear(2)), [0.25, 0.5, 0.75, 1, 1, 0.5, 0]);
  assertSchedule(linearWarmup(0, linear(2)), [1, 0.5, 0]);
});
