import assert from "node:assert/strict";
import { test } from "node:test";
import {
  bestSet,
  combinations,
  EnsemblePredictor,
  findMethod,
  meanProbabilities,
  methods,
} from "../../../src/methods/index.ts";
import { ConfigError, tensor } from "../../../src/torch/index.ts";
import { ClassificationTask, type Predictor, qualityBy } from "../../../src/train/index.ts";

test("combinations are all sets, once each", () => {
  assert.deepEqual(combinations(4, 2), [
    [0, 1],
    [0, 2],
    [0, 3],
    [1, 2],
    [1, 3],
    [2, 3],
  ]);
  assert.equal(combinations(6, 3).length, 20);
  assert.deepEqual(combinations(3, 3), [[0, 1, 2]]);
});

test("the best set is the one whose mean is most accurate, found by hand", () => {
  const labels = [0, 1, 0, 1];
  const sure = (right: number[]) =>
    Float32Array.from(labels.flatMap((label, i) => (right[i] ? [1 - label, label] : [label, 1 - label])));
  const soft = (right: number[], p: number) => sure(right).map((value) => (value === 1 ? p : 1 - p));
  // 1 and 2 are wrong on different items and mildly so: together they are always right.
  const tables = [soft([1, 1, 0, 0], 0.9), soft([1, 0, 1, 1], 0.6), soft([0, 1, 1, 1], 0.7)].map((table, i) =>
    i === 1 ? Float32Array.from([0.9, 0.1, 0.55, 0.45, 0.9, 0.1, 0.1, 0.9]) : table,
  );
  const judge = qualityBy(new ClassificationTask(2), { labels });
  assert.deepEqual(bestSet(tables, judge, 2), [1, 2]);
  assert.deepEqual(bestSet(tables, judge, 3), [0, 1, 2]);
});

test("mean probabilities and an ensemble agree", () => {
  const rows = [
    [0.2, 0.8],
    [0.6, 0.4],
  ];
  const part = (row: number[]): Predictor => ({
    predict: () => ({ probabilities: tensor([row]) }),
    memberNames: ["one"],
    parameters: 10,
    inferenceFlops: 5,
    eval() {},
    dispose() {},
  });
  const ensemble = new EnsemblePredictor(rows.map(part));
  const predicted = ensemble.predict(tensor([0])).probabilities.toNumbers();
  const mean = meanProbabilities(rows.map((row) => Float32Array.from(row)));
  for (const [i, value] of predicted.entries()) assert.ok(Math.abs(value - (mean[i] ?? 0)) < 1e-6);
  assert.equal(ensemble.parameters, 20);
  assert.equal(ensemble.inferenceFlops, 10);
});

test("methods are found by name", () => {
  for (const method of methods) assert.equal(findMethod(method.name), method);
  assert.throws(() => findMethod("x"), ConfigError);
});
