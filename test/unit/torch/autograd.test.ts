import assert from "node:assert/strict";
import { test } from "node:test";
import {
  autocast,
  enableGrad,
  Generator,
  grad,
  inferenceMode,
  isGradEnabled,
  noGrad,
  randn,
  scope,
  tensor,
} from "../../../src/torch/index.ts";
import { assertClose, assertGradients, assertNoLeak } from "../../support/numeric.ts";

test("backward accumulates into leaves", () => {
  const x = tensor([1, 2]);
  x.requires_grad = true;
  const loss = scope(() => x.mul(x).sum());
  loss.backward(undefined, { retain_graph: true });
  assert.deepEqual(x.grad?.toArray(), [2, 4]);
  loss.backward();
  assert.deepEqual(x.grad?.toArray(), [4, 8]);
  x.grad = undefined;
  assert.equal(x.grad, undefined);
});

test("second derivatives", () => {
  const x = tensor([3], { dtype: "float64" });
  x.requires_grad = true;
  const [first] = grad([x.pow(3).sum()], [x], { create_graph: true });
  assert.ok(first);
  const [second] = grad([first.sum()], [x]);
  assert.equal(second?.item(), 18);
});

test("gradients by finite differences through several operators", () => {
  const generator = new Generator(3);
  const a = randn([3, 4], { generator, dtype: "float64" });
  const b = randn([4, 2], { generator, dtype: "float64" });
  assertGradients((x, y) => x!.matmul(y!).tanh().softmax(1).select(1, 0).logsumexp(0), [a, b]);
});

test("unused inputs have no gradient", () => {
  const x = tensor([1]);
  const y = tensor([1]);
  x.requires_grad = true;
  y.requires_grad = true;
  const gradients = grad([x.mul(2)], [x, y], { allow_unused: true });
  assert.equal(gradients[0]?.item(), 2);
  assert.equal(gradients[1], undefined);
});

test("modes restore what was there before, after an error too", () => {
  const x = tensor([1]);
  x.requires_grad = true;
  assert.ok(!noGrad(() => x.mul(2).requires_grad));
  assert.ok(noGrad(() => enableGrad(() => x.mul(2).requires_grad)));
  assert.throws(() =>
    noGrad(() => {
      throw new Error("stop");
    }),
  );
  assert.ok(isGradEnabled());
  assert.ok(!inferenceMode(() => x.mul(2).requires_grad));
  assert.ok(x.mul(2).requires_grad);
  assert.throws(() => noGrad(async () => 1), /synchronous/);
});

test("autocast computes products in bfloat16 and leaves the gradient in float32", () => {
  const w = randn([4, 4], { generator: new Generator(1) });
  w.requires_grad = true;
  const product = autocast({ dtype: "bfloat16" }, () => w.matmul(w));
  assert.equal(product.dtype, "bfloat16");
  product.to({ dtype: "float32" }).sum().backward();
  assert.equal(w.grad?.dtype, "float32");
  assert.equal(w.matmul(w).dtype, "float32");
});

test("a training loop keeps the number of live handles constant", () => {
  const w = tensor([[0.1, 0.2]]);
  w.requires_grad = true;
  const x = tensor([[1], [2]]);
  assertNoLeak(() => {
    for (let step = 0; step < 20; step++) {
      const loss = scope(() => w.matmul(x).pow(2).sum());
      loss.backward();
      scope(() => noGrad(() => w.sub_(w.grad!.mul(0.01))));
      w.grad = undefined;
      loss.dispose();
    }
  });
  assertClose(w.matmul(x), [0], 0.5);
});
