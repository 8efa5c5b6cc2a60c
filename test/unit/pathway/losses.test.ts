import assert from "node:assert/strict";
import { test } from "node:test";
import { klExploration, lossRegression } from "../../../src/pathway/losses.ts";
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

test("regression on losses in closed form: rows are centred over what is known of them", () => {
  const losses = [
    [0.5, 1.5, -1],
    [2, -1, -1],
    [0.1, 0.2, 0.9],
    [1, 1, 1],
  ];
  const errors = table.map((row, n) => {
    const own = losses[n] ?? [];
    const known = own.flatMap((loss, i) => (loss < 0 ? [] : [i]));
    const [u, l] = [row, own].map((values) => mean(known.map((i) => values[i] ?? 0)));
    return mean(known.map((i) => ((row[i] ?? 0) - (u ?? 0) + (own[i] ?? 0) - (l ?? 0)) ** 2));
  });
  const [scores, targets] = [tensor(table, float64), tensor(losses, float64)];
  assertClose(lossRegression(scores, targets), [mean(errors)], 1e-12);
  assertGradients((u) => lossRegression(u!, targets), [scores]);
  // What all models of a row share says nothing about them.
  assertClose(lossRegression(scores.add(7), targets), [mean(errors)], 1e-12);
  const exact = tensor(
    losses.map((row) => row.map((loss) => 3 - loss)),
    float64,
  );
  assertClose(lossRegression(exact, targets), [0], 1e-12);
});
