/** Losses against PyTorch's numbers and finite differences; random masks by their definition. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as nn from "../../../src/nn/index.ts";
import { autocast, Generator, ones, scope, type Tensor, tensor } from "../../../src/torch/index.ts";
import { fixture, loadRule, seeded } from "../../fixtures/seeded-weights.ts";
import { assertClose, assertGradients } from "../../support/numeric.ts";

const expected = fixture<Record<string, number[]>>("losses.json");
const logits = seeded("logits", [4, 5]).mul(3);
const other = seeded("other", [4, 5]).mul(3);
const target = tensor([1, 0, 4, 4], { dtype: "int64" });
const soft = other.softmax(1);
const weight = seeded("class-weight", [5]).add(1.5);

const losses: Record<string, (x: Tensor) => Tensor> = {
  plain: (x) => nn.crossEntropy(x, target),
  smoothed: (x) => nn.crossEntropy(x, target, { labelSmoothing: 0.1 }),
  sum: (x) => nn.crossEntropy(x, target, { reduction: "sum" }),
  none: (x) => nn.crossEntropy(x, target, { reduction: "none", labelSmoothing: 0.1 }),
  weighted: (x) => nn.crossEntropy(x, target, { weight }),
  soft: (x) => nn.crossEntropy(x, soft),
  softSmoothed: (x) => nn.crossEntropy(x, soft, { labelSmoothing: 0.2 }),
  smoothL1: (x) => nn.smoothL1(x, other, { beta: 0.5 }),
  distillation: (x) => nn.distillationLoss(x, other, 3),
};

for (const [name, loss] of Object.entries(losses)) {
  test(`${name} loss: PyTorch's value, gradients by finite differences`, () => {
    assertClose(loss(logits), expected[name] ?? [], 1e-10);
    assertGradients((x) => loss(x as Tensor).sum(), [logits.clone()], 1e-6);
  });
}

test("losses of half-precision logits are computed in float32", () => {
  const half = logits.to({ dtype: "bfloat16" });
  const loss = nn.crossEntropy(half, target);
  assert.equal(loss.dtype, "float32");
  assertClose(loss, nn.crossEntropy(half.to({ dtype: "float32" }), target), 1e-6);
});

test("drop path zeroes whole samples and keeps the mean", () => {
  const x = ones([2000, 2, 2]);
  const y = nn.dropPath(x, 0.3, new Generator(4)).toNumbers();
  let kept = 0;
  for (let row = 0; row < 2000; row++) {
    const sample = y.slice(row * 4, row * 4 + 4);
    assert.equal(new Set(sample).size, 1);
    if (sample[0] !== 0) kept++;
    assert.ok(sample[0] === 0 || Math.abs((sample[0] ?? 0) - 1 / 0.7) < 1e-6);
  }
  assert.ok(Math.abs(kept / 2000 - 0.7) < 0.04);
  assert.equal(nn.dropPath(x, 0, new Generator(4)), x);
});

test("gradients of masks and attention by finite differences", () => {
  const x = seeded("x", [3, 4, 6]);
  const g = seeded("g", [3, 4, 6]);
  for (const mask of [nn.dropout, nn.dropPath]) {
    assertGradients(
      (input) =>
        mask(input as Tensor, 0.5, new Generator(2))
          .mul(g)
          .sum(),
      [x.clone()],
    );
  }
  const joined = seeded("joined", [3, 4, 18]);
  assertGradients(() => nn.selfAttention(joined, 2).mul(g).sum(), [joined]);
});

test("gradients of the other modules by finite differences", () => {
  const options = { generator: new Generator(1), dtype: "float64" } as const;
  const x = seeded("x", [2, 4, 3, 3]);
  const layers = [
    new nn.LayerNorm2d(4, options),
    new nn.Conv2d(4, 4, 2, { ...options, padding: "same" }),
    new nn.Sequential([new nn.Conv2d(4, 4, 1, options), new nn.ReLU6({ inPlace: true }), new nn.Hardswish()]),
  ];
  for (const layer of layers) {
    loadRule(layer);
    const g = seeded("g", layer.forward(x).shape);
    assertGradients(() => layer.forward(x).mul(g).sum(), [x, ...layer.parameters()]);
  }
});

test("LayerNorm2d of a channels-last input stays channels-last", () => {
  const layer = new nn.LayerNorm2d(4);
  const x = seeded("x", [2, 4, 3, 3], "float32");
  const y = layer.forward(x.to({ memory_format: "channels_last" }));
  assert.ok(y.is_contiguous("channels_last"));
  assertClose(y, layer.forward(x), 1e-6);
});

test("a module computes under bfloat16 autocast, with float32 weights", () => {
  using model = new nn.Sequential([
    new nn.Conv2d(3, 8, 3, { generator: new Generator(1) }),
    new nn.BatchNorm2d(8),
    new nn.LayerNorm2d(8),
    new nn.Flatten(),
    new nn.Linear(8 * 16, 4, { generator: new Generator(1) }),
  ]);
  const x = seeded("x", [8, 3, 6, 6], "float32");
  const exact = model.forward(x);
  const loss = scope(() => {
    const y = autocast({}, () => model.forward(x));
    assert.equal(y.dtype, "bfloat16");
    assertClose(y, exact, 0.1);
    return y.sum();
  });
  loss.backward();
  assert.ok(model.parameters().every((parameter) => parameter.grad?.dtype === "float32"));
});
