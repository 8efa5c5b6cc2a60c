/** Statistics that BatchNorm uses and updates. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BatchNorm2d, BatchNormRecalibration, Dropout, Sequential, setBatchNormPolicy } from "../../../src/nn/index.ts";
import { Generator, randn, scope, type Tensor } from "../../../src/torch/index.ts";
import { loadRule } from "../../fixtures/seeded-weights.ts";
import { assertClose, assertGradients } from "../../support/numeric.ts";

const generator = new Generator(5);
const float64 = { dtype: "float64", generator } as const;

/** Output of a layer, a change of its running statistics, and the steps that it has counted. */
function run(layer: BatchNorm2d, x: Tensor): { output: number[]; moved: boolean; tracked: number } {
  return scope(() => {
    const before = [...layer.running_mean.toNumbers(), ...layer.running_var.toNumbers()];
    const output = layer.forward(x).toNumbers();
    const after = [...layer.running_mean.toNumbers(), ...layer.running_var.toNumbers()];
    return { output, moved: String(before) !== String(after), tracked: layer.num_batches_tracked.item() };
  });
}

test("in training the batch's statistics are used; the running ones follow", () => {
  using layer = loadRule(new BatchNorm2d(3, { dtype: "float64" }));
  const result = run(layer, randn([8, 3, 2, 2], float64));
  assert.ok(result.moved);
  assert.equal(result.tracked, 1);
});

test("with the policy `running`, and with too few rows, training gives what evaluation gives and moves nothing", () => {
  for (const [policy, rows] of [
    ["running", 8],
    ["batch", 7],
    ["batch", 1],
  ] as const) {
    using layer = loadRule(new BatchNorm2d(3, { dtype: "float64", policy }));
    const x = randn([rows, 3, 2, 2], float64);
    const trained = run(layer, x);
    assert.deepEqual(trained, { output: run(layer.eval(), x).output, moved: false, tracked: 0 });
    layer.train();
    scope(() => layer.forward(x).mul(x).sum()).backward();
    assert.ok(layer.weight.grad && layer.bias.grad, "the affine part is trained");
  }
});

test("one row of one pixel under the policy `batch` is no division by zero", () => {
  using layer = new BatchNorm2d(2);
  const { output } = run(layer, randn([1, 2, 1, 1], { generator }));
  assert.ok(output.every(Number.isFinite));
});

test("gradients under both policies by finite differences", () => {
  for (const policy of ["batch", "running"] as const) {
    using layer = loadRule(new BatchNorm2d(2, { dtype: "float64", policy, minimumRows: 2 }));
    const x = randn([3, 2, 2, 2], float64);
    const g = randn([3, 2, 2, 2], float64);
    // Running statistics move at each call under `batch`, which does not read them; `running` leaves them alone.
    assertGradients(() => layer.forward(x).mul(g).sum(), [x, layer.weight, layer.bias], 1e-6);
  }
});

test("a pass by the running statistics has its own gradient, whatever a later pass makes of them", () => {
  using layer = loadRule(new BatchNorm2d(2, { dtype: "float64" }));
  const few = randn([3, 2, 2, 2], float64);
  few.requires_grad = true;
  const gradient = (between: () => void) => {
    few.grad = undefined;
    const loss = scope(() => layer.forward(few).square().sum());
    between();
    loss.backward();
    return few.grad as unknown as Tensor;
  };
  const expected = gradient(() => {}).toNumbers();
  const found = gradient(() => scope(() => void layer.forward(randn([8, 2, 2, 2], float64).mul(9))));
  assertClose(found, expected, 1e-12);
});

test("the policy of a whole model", () => {
  using model = new Sequential([new BatchNorm2d(2), new Sequential([new BatchNorm2d(2)])]);
  setBatchNormPolicy(model, "running", 4);
  const norms = model.modules().filter((module) => module instanceof BatchNorm2d);
  assert.deepEqual(
    norms.map(({ policy, minimumRows }) => ({ policy, minimumRows })),
    [
      { policy: "running", minimumRows: 4 },
      { policy: "running", minimumRows: 4 },
    ],
  );
});

test("channels-last inputs stay channels-last", () => {
  using layer = new BatchNorm2d(4);
  const x = randn([8, 4, 3, 3], { generator });
  const plain = layer.eval().forward(x);
  const last = layer.forward(x.to({ memory_format: "channels_last" }));
  assert.ok(last.is_contiguous("channels_last"));
  assertClose(last, plain, 1e-6);
});

test("recalibration gives each batch the same weight and restores modes and settings", () => {
  using layer = loadRule(new BatchNorm2d(2, { dtype: "float64", policy: "running" }));
  using model = new Sequential([layer, new Dropout(0.5, { generator })]).eval();
  layer.train();
  const batches = [1, 2, 3].map((shift) => randn([4, 2, 3, 3], float64).add(shift));
  const recalibration = new BatchNormRecalibration(model);
  for (const batch of batches) {
    recalibration.observe(() => {
      assert.ok(!model.training && layer.training);
      return model.forward(batch);
    });
  }
  recalibration.finish();
  const mean = batches
    .map((batch) => batch.mean([0, 2, 3]))
    .reduce((a, b) => a.add(b))
    .div(3);
  const variance = batches
    .map((batch) => batch.var([0, 2, 3]))
    .reduce((a, b) => a.add(b))
    .div(3);
  assertClose(layer.running_mean, mean, 1e-12);
  assertClose(layer.running_var, variance, 1e-12);
  assert.deepEqual([layer.policy, layer.minimumRows, layer.momentum], ["running", 8, 0.1]);
  assert.deepEqual(
    model.modules().map((part) => part.training),
    [false, true, false],
  );
});
