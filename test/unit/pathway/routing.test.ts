import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  addNoise,
  pathwayWeights,
  randomRoutes,
  restrict,
  routeMask,
  rowsByModel,
  topRoutes,
} from "../../../src/pathway/routing.ts";
import { Generator, grad, memory, scope, tensor, zeros } from "../../../src/torch/index.ts";
import { assertClose, assertGradients } from "../../support/numeric.ts";

test("routes are the k largest scores, ties to the lower index, negative scores included", () => {
  const scores = tensor([
    [-3, -1, -2],
    [5, 5, 5],
    [0, Number.NEGATIVE_INFINITY, -7],
  ]);
  assert.deepEqual(topRoutes(scores, 2), [
    [1, 2],
    [0, 1],
    [0, 2],
  ]);
});

test("weights sum to one over exactly k models, whatever the scores (property)", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 6 }).chain((m) =>
        fc.record({
          rows: fc.array(fc.array(fc.double({ min: -50, max: 50, noNaN: true }), { minLength: m, maxLength: m }), {
            minLength: 1,
            maxLength: 5,
          }),
          k: fc.integer({ min: 1, max: m }),
          tau: fc.oneof(fc.constant("equal" as const), fc.constant(1), fc.constant(3)),
        }),
      ),
      ({ rows, k, tau }) => {
        scope(() => {
          const scores = tensor(rows, { dtype: "float64" });
          const routes = topRoutes(scores, k);
          const mask = routeMask(routes, scores);
          const weights = pathwayWeights(scores, mask, k, tau).toArray() as number[][];
          for (const [i, row] of weights.entries()) {
            const active = new Set(routes[i]);
            assert.equal(active.size, k);
            assert.ok(Math.abs(row.reduce((a, b) => a + b, 0) - 1) < 1e-9);
            for (const [j, value] of row.entries()) assert.ok(active.has(j) ? value >= 0 : value === 0);
          }
        });
      },
    ),
    { numRuns: 60 },
  );
});

test("k = 1 has the value 1 and the gradient of log w", () => {
  const scores = tensor([[0.3, -0.2, 1.1]], { dtype: "float64" });
  scores.requires_grad = true;
  const mask = routeMask([[2]], scores);
  const weights = pathwayWeights(scores, mask, 1, 1);
  assert.deepEqual(weights.toArray(), [[0, 0, 1]]);
  const [gradient] = grad([weights.sum()], [scores]);
  const p = scores.detach().softmax(1).toNumbers();
  assertClose(gradient!, [-p[0]!, -p[1]!, 1 - p[2]!], 1e-12);
});

test("`equal` has the value 1/k and the gradient of tau = 1", () => {
  const scores = tensor([[0.5, -1, 2, 0.1]], { dtype: "float64" });
  scores.requires_grad = true;
  const mask = routeMask([[0, 2]], scores);
  const coefficients = tensor([[1, 7, -2, 3]], { dtype: "float64" });
  const equal = pathwayWeights(scores, mask, 2, "equal");
  const soft = pathwayWeights(scores, mask, 2, 1);
  assertClose(equal, [0.5, 0, 0.5, 0], 1e-12);
  assertClose(
    grad([equal.mul(coefficients).sum()], [scores])[0]!,
    grad([soft.mul(coefficients).sum()], [scores])[0]!,
    1e-12,
  );
});

test("soft weights by finite differences, and tau flattens them", () => {
  const scores = tensor([[0.5, -1, 2, 0.1]], { dtype: "float64" });
  const mask = routeMask([[0, 2]], scores);
  assertGradients(
    (u) =>
      pathwayWeights(u!, mask, 2, 2)
        .mul(tensor([[1, 7, -2, 3]], { dtype: "float64" }))
        .sum(),
    [scores],
  );
  const [at1, at4] = [1, 4].map((tau) => pathwayWeights(scores, mask, 2, tau).toNumbers());
  assert.ok(Math.abs(at4![0]! - 0.5) < Math.abs(at1![0]! - 0.5));
});

test("models outside the allowed set are never chosen and weigh nothing", () => {
  const scores = restrict(tensor([[9, 1, -5, 2]], { dtype: "float64" }), [1, 2, 3]);
  const routes = topRoutes(scores, 3);
  assert.deepEqual(routes, [[3, 1, 2]]);
  for (const tau of ["equal", 1] as const) {
    assert.equal(pathwayWeights(scores, routeMask(routes, scores), 3, tau).toNumbers()[0], 0);
  }
  const one = restrict(tensor([[9, 1, -5, 2]], { dtype: "float64" }), [1, 2]);
  one.requires_grad = false;
  assert.deepEqual(pathwayWeights(one, routeMask([[1]], one), 1, 1).toArray(), [[0, 1, 0, 0]]);
});

test("random routes choose every model equally often, k different ones a row", () => {
  const generator = new Generator(5);
  const routes = randomRoutes(3000, 5, 2, generator);
  const counts = rowsByModel(routes, 5).map((rows) => rows.length);
  for (const row of routes) assert.equal(new Set(row).size, 2);
  for (const count of counts) assert.ok(Math.abs(count - 1200) < 120, `${counts}`);
  const allowed = randomRoutes(50, 5, 2, generator, [0, 3, 4]).flat();
  assert.deepEqual([...new Set(allowed)].sort(), [0, 3, 4]);
});

test("noise has the asked scale, comes from the given stream, and is absent in evaluation", () => {
  const scores = zeros([4000, 2]);
  const first = addNoise(scores, 0.5, new Generator(1));
  const again = addNoise(scores, 0.5, new Generator(1));
  assert.deepEqual(first.toNumbers(), again.toNumbers());
  assert.ok(Math.abs(Math.sqrt(first.var().item()) - 0.5) < 0.02);
  assert.equal(addNoise(scores, 0, new Generator(1)), scores);
});

test("routing leaves no handle behind", () => {
  const scores = zeros([8, 4]);
  const before = memory().handles;
  for (let i = 0; i < 3; i++) topRoutes(scores, 2);
  scope(() => randomRoutes(8, 4, 2, new Generator(1)));
  assert.ok(memory().handles <= before + 1);
});
