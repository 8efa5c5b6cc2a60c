import assert from "node:assert/strict";
import { test } from "node:test";
import {
  activeModels,
  byFolder,
  chanceInformation,
  entropy,
  labelEntropy,
  meanScoreEntropy,
  meanWeightEntropy,
  mutualInformation,
  overlapMatrix,
  pathsOf,
  thirds,
  totalVariation,
  useOf,
} from "../../../src/report/index.ts";

const near = (actual: number, expected: number, tolerance = 1e-12) =>
  assert.ok(Math.abs(actual - expected) <= tolerance, `${actual} is not ${expected}`);

/** Five inputs, three models: {0,1} {0,1} {1,2} {0,1} {0}. */
const weights = Float32Array.from([0.5, 0.5, 0, 0.25, 0.75, 0, 0, 0.5, 0.5, 0.5, 0.5, 0, 1, 0, 0]);

test("routes group the inputs, the most frequent first", () => {
  assert.deepEqual(activeModels(weights, 3, 2), [1, 2]);
  assert.deepEqual(pathsOf(weights, 3), [
    { models: [0, 1], items: [0, 1, 3] },
    { models: [1, 2], items: [2] },
    { models: [0], items: [4] },
  ]);
  assert.deepEqual(pathsOf(new Float32Array(), 3), []);
});

test("use is the share of a group's inputs", () => {
  assert.deepEqual(useOf(weights, 3, [0, 1, 2, 3, 4]), [0.8, 0.8, 0.2]);
  assert.deepEqual(useOf(weights, 3, [2]), [0, 1, 1]);
  assert.deepEqual(useOf(weights, 3, []), [0, 0, 0]);
});

test("overlap is intersection over union", () => {
  assert.deepEqual(overlapMatrix(weights, 3), [
    [1, 3 / 5, 0],
    [3 / 5, 1, 1 / 4],
    [0, 1 / 4, 1],
  ]);
  assert.deepEqual(overlapMatrix(Float32Array.from([1, 0]), 2), [
    [1, 0],
    [0, 0],
  ]);
});

test("entropies of known distributions", () => {
  near(entropy([1, 1, 1, 1]), Math.log(4));
  near(entropy([5, 0, 0]), 0);
  near(entropy([1, 3]), Math.log(4) - 0.75 * Math.log(3));
  assert.equal(entropy([0, 0]), 0);
  near(labelEntropy(["a", "b", "a", "b"]), Math.log(2));
  near(meanWeightEntropy(weights, 3), (3 * Math.log(2) + (Math.log(4) - 0.75 * Math.log(3))) / 5);
  near(meanScoreEntropy(Float32Array.from([7, 7, 7, 7]), 4), Math.log(4));
  near(meanScoreEntropy(Float32Array.from([0, 200]), 2), 0);
  assert.equal(meanScoreEntropy(new Float32Array(), 3), 0);
});

test("mutual information: one decides the other, nothing in common, and the binary symmetric channel", () => {
  near(mutualInformation([0, 1, 2, 0, 1, 2], [5, 6, 7, 5, 6, 7]), Math.log(3));
  near(mutualInformation([0, 0, 1, 1], [0, 1, 0, 1]), 0);
  // 3 of 4 pass: log 2 - H(1/4).
  near(mutualInformation([0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1, 1, 0]), Math.log(2) - entropy([1, 3]));
});

test("few inputs show information by chance, about (A - 1)(B - 1) / 2N of it (Miller 1955)", () => {
  const n = 400;
  const a = Array.from({ length: n }, (_, i) => i % 4);
  const b = Array.from({ length: n }, (_, i) => Math.floor(i / 4) % 5);
  near(mutualInformation(a, b), 0);
  near(chanceInformation(a, b), (3 * 4) / (2 * n), 0.003);
  assert.equal(chanceInformation(a, b), chanceInformation(a, b), "always the same shuffles");
});

test("total variation is the mass that moved", () => {
  near(totalVariation([0.5, 0.5, 0], [0.25, 0.5, 0.25]), 0.25);
  near(totalVariation([1, 0], [0, 1]), 1);
  near(totalVariation([0.2, 0.8], [0.2, 0.8]), 0);
});

test("sub-folders part the data where there are several, thirds always", () => {
  const ids = ["photos/cat/night/1.png", "photos/dog/day/2.png", "photos/dog/night/3.png", "photos/dog/4.png"];
  const classes = new Set(["cat", "dog"]);
  assert.deepEqual(byFolder(ids, classes)?.parts, [
    { name: "(none)", items: [3] },
    { name: "day", items: [1] },
    { name: "night", items: [0, 2] },
  ]);
  assert.equal(byFolder(["photos/cat/1.png", "photos/dog/2.png"], classes), undefined);
  assert.equal(
    byFolder(
      Array.from({ length: 50 }, (_, i) => `photos/cat/${i}/1.png`),
      classes,
    ),
    undefined,
  );
  assert.deepEqual(thirds([5, 1, 4, 1, 3, 9, 2], ["low", "mid", "high"]), [
    { name: "low", items: [1, 3] },
    { name: "mid", items: [6, 4, 2] },
    { name: "high", items: [0, 5] },
  ]);
  assert.deepEqual(thirds([7], ["low", "mid", "high"]), [{ name: "mid", items: [0] }]);
});
