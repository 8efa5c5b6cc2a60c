/** Every module's output, gradients and buffers against PyTorch's (test/fixtures/make-fixtures.py). */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as nn from "../../../src/nn/index.ts";
import { Generator, scope } from "../../../src/torch/index.ts";
import { fixture, loadRule, seeded } from "../../fixtures/seeded-weights.ts";
import { assertClose } from "../../support/numeric.ts";

interface Case {
  shape: number[];
  output: number[];
  inputGradient?: number[];
  gradients: Record<string, number[]>;
  buffers: Record<string, number[]>;
}

const cases = fixture<Record<string, Case>>("modules.json");
const options = { generator: new Generator(1), dtype: "float64" } as const;

const made: Record<string, [() => nn.Module, number[]]> = {
  linear: [() => new nn.Linear(5, 3, options), [4, 5]],
  "linear-no-bias": [() => new nn.Linear(5, 3, { ...options, bias: false }), [2, 3, 5]],
  conv: [() => new nn.Conv2d(4, 6, 3, { ...options, stride: 2, padding: 1 }), [2, 4, 7, 7]],
  "conv-grouped": [() => new nn.Conv2d(4, 6, 3, { ...options, groups: 2, bias: false }), [2, 4, 6, 6]],
  "conv-dilated": [() => new nn.Conv2d(4, 4, 3, { ...options, dilation: 2, padding: "same" }), [2, 4, 6, 6]],
  "conv-same-even": [() => new nn.Conv2d(3, 4, 4, { ...options, padding: "same" }), [2, 3, 6, 6]],
  "batch-norm-train": [() => new nn.BatchNorm2d(3, options), [8, 3, 2, 2]],
  "batch-norm-eval": [() => new nn.BatchNorm2d(3, options).eval(), [2, 3, 2, 2]],
  "layer-norm": [() => new nn.LayerNorm([6], options), [2, 3, 6]],
  "max-pool": [() => new nn.MaxPool2d(3, { stride: 2, padding: 1 }), [2, 2, 5, 5]],
  relu6: [() => new nn.ReLU6(), [20]],
  gelu: [() => new nn.GELU(), [20]],
  "gelu-tanh": [() => new nn.GELU({ approximate: "tanh" }), [20]],
  silu: [() => new nn.SiLU(), [20]],
  hardswish: [() => new nn.Hardswish(), [20]],
  hardsigmoid: [() => new nn.Hardsigmoid(), [20]],
};

for (const [name, [make, shape]] of Object.entries(made)) {
  test(`${name} computes what PyTorch does, forward and backward`, () => {
    const expected = cases[name];
    assert.ok(expected);
    using module = loadRule(make());
    scope(() => {
      const x = seeded(`${name}.x`, shape).mul(shape.length === 1 ? 8 : 1);
      x.requires_grad = true;
      const y = module.forward(x);
      assert.deepEqual(y.shape, expected.shape);
      assertClose(y, expected.output, 1e-9, "output");
      y.mul(seeded(`${name}.g`, y.shape))
        .sum()
        .backward();
      assert.ok(x.grad);
      assertClose(x.grad, expected.inputGradient ?? [], 1e-9, "input gradient");
      assert.deepEqual([...module.namedParameters().keys()].sort(), Object.keys(expected.gradients).sort());
      for (const [key, parameter] of module.namedParameters()) {
        assert.ok(parameter.grad);
        assertClose(parameter.grad, expected.gradients[key] ?? [], 1e-9, key);
      }
      assert.deepEqual([...module.namedBuffers().keys()].sort(), Object.keys(expected.buffers).sort());
      for (const [key, buffer] of module.namedBuffers()) assertClose(buffer, expected.buffers[key] ?? [], 1e-9, key);
    });
  });
}

test("no case of the fixture is left out", () => {
  assert.deepEqual(Object.keys(made).sort(), Object.keys(cases).sort());
});
