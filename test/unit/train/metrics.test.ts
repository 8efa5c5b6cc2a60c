import assert from "node:assert/strict";
import { test } from "node:test";
import {
  computeMetrics,
  confusionMatrix,
  isBetter,
  learningRateFactor,
  pathwayShares,
  routeInformation,
  wilsonInterval,
} from "../../../src/train/index.ts";

test("metrics by hand", () => {
  const probabilities = [0.7, 0.3, 0.4, 0.6, 0.9, 0.1, 0.2, 0.8];
  const labels = [0, 0, 0, 1];
  const metrics = computeMetrics(probabilities, labels, 2);
  assert.equal(metrics.accuracy, 0.75);
  assert.deepEqual(confusionMatrix(probabilities, labels, 2), [
    [2, 1],
    [0, 1],
  ]);
  // F1 of class 0: 2*2/(3+2); of class 1: 2*1/(1+2).
  assert.ok(Math.abs(metrics.macroF1 - (4 / 5 + 2 / 3) / 2) < 1e-12);
  const logLoss = -(Math.log(0.7) + Math.log(0.4) + Math.log(0.9) + Math.log(0.8)) / 4;
  assert.ok(Math.abs(metrics.logLoss - logLoss) < 1e-12);
  // Four confidences in four bins: |0.7-1| + |0.6-0| + |0.9-1| + |0.8-1|, over four items.
  assert.ok(Math.abs(metrics.calibrationError - (0.3 + 0.6 + 0.1 + 0.2) / 4) < 1e-9);
});

test("shares and route information: constant routes say nothing, a partition says log m", () => {
  const constant = Float32Array.from([1, 0, 1, 0]);
  assert.deepEqual(pathwayShares(constant, 2), [1, 0]);
  assert.ok(Math.abs(routeInformation(constant, 2)) < 1e-12);
  const partition = Float32Array.from([1, 0, 0, 1]);
  assert.ok(Math.abs(routeInformation(partition, 2) - Math.log(2)) < 1e-9);
  const both = Float32Array.from([0.5, 0.5, 0.5, 0.5]);
  assert.ok(Math.abs(routeInformation(both, 2)) < 1e-9);
});

test("the learning rate rises, peaks at one and falls to zero", () => {
  assert.ok(learningRateFactor(0, 0.1) > 0 && learningRateFactor(0, 0.1) < 0.1);
  assert.equal(learningRateFactor(0.1, 0.1), 1);
  assert.ok(Math.abs(learningRateFactor(1, 0.1)) < 1e-12);
});

test("Wilson's interval is what solves its own equation, and stays inside 0 and 1", () => {
  for (const [right, count] of [
    [0, 10],
    [7, 10],
    [93, 120],
    [120, 120],
  ] as const) {
    const share = right / count;
    for (const bound of wilsonInterval(right, count)) {
      assert.ok(bound >= 0 && bound <= 1);
      // Each bound is a true share from which the observed one lies 1.96 standard errors away.
      const errors = Math.abs(share - bound) / Math.sqrt((bound * (1 - bound)) / count);
      const isEdge = Math.abs(bound - share) < 1e-12 && (share === 0 || share === 1);
      assert.ok(isEdge || Math.abs(errors - 1.959964) < 1e-5, `${bound} of ${right}/${count}`);
    }
  }
  assert.deepEqual(wilsonInterval(0, 0), [0, 1]);
});

test("a higher score is better, and a lower loss among equals; whatever is first is the best so far", () => {
  const best = { score: 0.5, loss: 1 };
  const cases: [score: number, loss: number, better: boolean][] = [
    [0.6, 9, true],
    [0.4, 0, false],
    [0.5, 0.9, true],
    [0.5, 1, false],
    [0.5, 1.1, false],
  ];
  for (const [score, loss, better] of cases) assert.equal(isBetter({ score, loss }, best), better);
  for (const none of [undefined, null]) assert.equal(isBetter(best, none), true);
});
