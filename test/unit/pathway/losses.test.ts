import assert from "node:assert/strict";
import { test } from "node:test";
import { klExploration } from "../../../src/pathway/losses.ts";
import { tensor } from "../../../src/torch/index.ts";
import { assertClose, assertGradients } from "../../support/numeric.ts";

const float64 = { dtype: "float64" } as const;

const softmax = (row: number[]) => {
  const e = row.map(Math.exp);
  const total = e.reduce((a, b) => a + b, 0);
  return e.map((value) => value / total);
};
const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;

const table = [
  [1, -0.5, 0.2],
  [0.3, 0.8, -1],
  [-0.4, 0.1, 0.6],
  [2, 0, -0.2],
];

test("KL exploration in closed form, for a uniform and a given prior", () => {
  const p = table.map(softmax);
  const average = [0, 1, 2].map((i) => mean(p.map((row) => row[i] ?? 0)));
  const kl = (prior: number[]) => average.reduce((sum, q, i) => sum + q * Math.log(q / (prior[i] ?? 0)), 0);
  const scores = tensor(table, float64);
  assertClose(klExploration(scores), [kl([1 / 3, 1 / 3, 1 / 3])], 1e-12);
  assertClose(klExploration(scores, [0.5, 0.3, 0.2]), [kl([0.5, 0.3, 0.2])], 1e-12);
  assertClose(klExploration(tensor([[3, 3, 3]], float64)), [0], 1e-12);
  assertGradients((u) => klExploration(u!), [scores]);
});

test("KL exploration sees the mean of the batch: sharp but balanced routes cost nothing", () => {
  const scores = tensor(
    [
      [20, 0],
      [0, 20],
    ],
    float64,
  );
  assert.ok(klExploration(scores).item() < 1e-6);
});
