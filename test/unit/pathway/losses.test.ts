import assert from "node:assert/strict";
import { test } from "node:test";
import {
  importanceLoadExploration,
  klExploration,
  type Routing,
  rowsByModel,
  squaredVariation,
  switchExploration,
  topRoutes,
} from "../../../src/pathway/index.ts";
import { Generator, randn, type Tensor, tensor } from "../../../src/torch/index.ts";
import { assertClose, assertGradients } from "../../support/numeric.ts";

const float64 = { dtype: "float64" } as const;

function routingOf(scores: Tensor, noisyScores: Tensor, noiseScale: Tensor | number, k: number): Routing {
  const rows = rowsByModel(topRoutes(noisyScores, k), scores.size(1));
  return { scores, noisyScores, noiseScale, weights: scores.softmax(1), rows, k };
}

const softmax = (row: number[]) => {
  const e = row.map(Math.exp);
  const total = e.reduce((a, b) => a + b, 0);
  return e.map((value) => value / total);
};
const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const cv2 = (values: number[]) => mean(values.map((v) => (v - mean(values)) ** 2)) / mean(values) ** 2;
/** Φ by numeric integration of the density, an oracle without erf. */
const gaussianCdf = (z: number) => {
  let sum = 0;
  const steps = 20_000;
  const low = -9;
  for (let i = 0; i < steps; i++) {
    const x = low + ((i + 0.5) * (z - low)) / steps;
    sum += Math.exp((-x * x) / 2);
  }
  return (sum * (z - low)) / steps / Math.sqrt(2 * Math.PI);
};

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

test("squared variation in closed form", () => {
  assertClose(squaredVariation(tensor([1, 2, 6], float64)), [cv2([1, 2, 6])], 1e-9);
});

test("importance and load in closed form, with scheduled noise", () => {
  const scores = tensor(table, float64);
  const noise = tensor(
    [
      [0.1, 0.45, -0.3],
      [0.2, -0.9, 0.5],
      [0, 0.3, -0.7],
      [-0.6, 0.2, 0.9],
    ],
    float64,
  );
  const noisy = scores.add(noise);
  const k = 2;
  const values = noisy.toArray() as number[][];
  const importance = [0, 1, 2].map((i) => table.map(softmax).reduce((sum, row) => sum + (row[i] ?? 0), 0));
  const load = [0, 1, 2].map((i) =>
    values.reduce((sum, row, r) => {
      const others = row.filter((_, j) => j !== i).sort((a, b) => b - a);
      return sum + gaussianCdf(((table[r]?.[i] ?? 0) - (others[k - 1] ?? 0)) / 0.7);
    }, 0),
  );
  const loss = importanceLoadExploration(routingOf(scores, noisy, 0.7, k));
  assertClose(loss, [cv2(importance) + cv2(load)], 1e-6);
  assertGradients(
    (u) => importanceLoadExploration(routingOf(u!, u!.add(noise), 0.7, k)),
    [tensor(table, float64)],
    1e-5,
  );
});

test("without noise the load term is left out instead of dividing by zero", () => {
  const scores = tensor(table, float64);
  const importance = [0, 1, 2].map((i) => table.map(softmax).reduce((sum, row) => sum + (row[i] ?? 0), 0));
  assertClose(importanceLoadExploration(routingOf(scores, scores, 0, 2)), [cv2(importance)], 1e-9);
  assert.ok(Number.isFinite(importanceLoadExploration(routingOf(scores, scores, 0.5, 3)).item()));
});

test("the balance loss counts all models' probabilities, not only the activated ones", () => {
  // Every row activates models 0 and 1; only model 2's unseen probability differs between the two tables.
  const low = tensor([[3, 3, -9]], float64);
  const high = tensor([[3, 3, 2.9]], float64);
  const loss = (u: Tensor) => importanceLoadExploration(routingOf(u, u, 0, 2)).item();
  assert.ok(loss(low) > loss(high) + 0.1);
});

test("switch exploration in closed form: 1 when balanced", () => {
  const scores = tensor(table, float64);
  const routing = routingOf(scores, scores, 0, 1);
  const p = table.map(softmax);
  const f = [0, 1, 2].map((i) => topRoutes(scores, 1).filter((route) => route[0] === i).length / 4);
  const P = [0, 1, 2].map((i) => mean(p.map((row) => row[i] ?? 0)));
  assertClose(switchExploration(routing), [3 * f.reduce((sum, value, i) => sum + value * (P[i] ?? 0), 0)], 1e-12);
  const balanced = tensor(
    [
      [0, 0],
      [0, 0],
    ],
    float64,
  );
  const even: Routing = { ...routingOf(balanced, balanced, 0, 1), rows: [[0], [1]] };
  assertClose(switchExploration(even), [1], 1e-12);
});

test("learned noise reaches the load term with its own gradient", () => {
  const generator = new Generator(2);
  const scores = randn([5, 4], { generator, dtype: "float64" });
  const noise = randn([5, 4], { generator, dtype: "float64" });
  const scale = randn([5, 4], { generator, dtype: "float64" }).abs().add(0.3);
  assertGradients(
    (u, s) => importanceLoadExploration(routingOf(u!, u!.add(noise.mul(s!)), s!, 2)),
    [scores, scale],
    1e-5,
  );
});
