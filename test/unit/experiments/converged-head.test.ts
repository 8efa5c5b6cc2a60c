import assert from "node:assert/strict";
import { test } from "node:test";
import { convergedHead, headProbabilities } from "../../../src/experiments/routing/converged-head.ts";
import { disposeTree, keyedRandom, memory, tensor } from "../../../src/torch/index.ts";

/** Rows whose class is the larger of two of their three features, far from zero mean and unit scale. */
function rowsOf(count: number, seed: number): { values: number[]; labels: number[] } {
  const random = keyedRandom(seed, 0x4ead);
  const rows = Array.from({ length: count }, () => [random(), random(), random()] as const);
  const values = rows.flatMap(([a, b, c]) => [1000 * a + 50, 1000 * b - 20, c * 1e-3]);
  return { values, labels: rows.map(([a, b]) => (a > b ? 0 : 1)) };
}

test("a head learns what is linear, whatever the scale of its features, and leaves nothing in memory", () => {
  const before = memory().handles;
  const [known, asked] = [rowsOf(400, 1), rowsOf(400, 2)];
  const features = tensor(Float32Array.from(known.values), { shape: [400, 3] });
  const others = tensor(Float32Array.from(asked.values), { shape: [400, 3] });
  const head = convergedHead(features, known.labels, 2, 0);
  const probabilities = headProbabilities(head, others);
  const right = asked.labels.filter((label, i) => (probabilities[2 * i + label] ?? 0) > 0.5).length;
  assert.ok(right >= 370, `${right} of 400`);
  assert.ok(
    asked.labels.every((_, i) => Math.abs((probabilities[2 * i] ?? 0) + (probabilities[2 * i + 1] ?? 0) - 1) < 1e-5),
  );
  disposeTree([features, others, head]);
  assert.equal(memory().handles, before);
});
