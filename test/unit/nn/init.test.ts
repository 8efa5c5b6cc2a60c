/** Initial values: draw by draw against PyTorch's with the same seed, and their statistics against the rules. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as nn from "../../../src/nn/index.ts";
import { empty, Generator, type Tensor } from "../../../src/torch/index.ts";
import { fixture } from "../../fixtures/seeded-weights.ts";
import { assertClose } from "../../support/numeric.ts";

const expected = fixture<{
  linear: { weight: number[]; bias: number[] };
  conv: { weight: number[]; bias: number[] };
  truncNormal: number[];
  truncNormalWide: number[];
  kaimingNormal: number[];
}>("init.json");

test("the same seed gives PyTorch's initial weights", () => {
  const linear = new nn.Linear(6, 4, { generator: new Generator(7) });
  assertClose(linear.weight, expected.linear.weight, 1e-6);
  assertClose(linear.bias as Tensor, expected.linear.bias, 1e-6);
  const conv = new nn.Conv2d(4, 2, 3, { generator: new Generator(7), groups: 2 });
  assertClose(conv.weight, expected.conv.weight, 1e-6);
  assertClose(conv.bias as Tensor, expected.conv.bias, 1e-6);
});

test("the initialisation functions draw what torch.nn.init draws", () => {
  const seed = (): Generator => new Generator(7);
  assertClose(nn.init.truncNormal_(empty([40]), 0.02, seed()), expected.truncNormal, 1e-6);
  assertClose(nn.init.truncNormal_(empty([40]), 1.5, seed()), expected.truncNormalWide, 1e-5);
  assertClose(nn.init.kaimingNormalFanOut_(empty([4, 2, 3, 3]), seed()), expected.kaimingNormal, 1e-6);
});

/** Mean, standard deviation and largest magnitude. */
function statistics(x: Tensor): { mean: number; std: number; largest: number } {
  return { mean: x.mean().item(), std: x.var().sqrt().item(), largest: x.abs().max().item() };
}

test("statistics of large layers follow the rules", () => {
  const generator = new Generator(3);
  const bounded = statistics(new nn.Conv2d(64, 64, 3, { generator }).weight);
  const bound = 1 / Math.sqrt(64 * 9);
  assert.ok(Math.abs(bounded.mean) < 0.01 * bound && bounded.largest <= bound && bounded.largest > 0.99 * bound);
  assert.ok(Math.abs(bounded.std / (bound / Math.sqrt(3)) - 1) < 0.02);
  const normal = statistics(nn.init.kaimingNormalFanOut_(empty([128, 64, 3, 3]), generator));
  assert.ok(Math.abs(normal.std / Math.sqrt(2 / (128 * 9)) - 1) < 0.02);
});
