/** Heads in closed form against the fits that they save: one for each item that is left out. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { crossEntropy } from "../../../src/nn/index.ts";
import { ridgeHead } from "../../../src/ranking/index.ts";
import { Generator, int64, memory, noGrad, ops, randn, scope, type Tensor } from "../../../src/torch/index.ts";
import { assertClose } from "../../support/numeric.ts";

const [n, d, classes] = [14, 5, 3];
const labels = Array.from({ length: n }, (_, i) => i % classes);
const loss = (logits: Tensor) => crossEntropy(logits, int64(labels)).item();

/** Features that say something of the class, and targets. */
function sample(seed: number): { x: Tensor; y: Tensor } {
  using generator = new Generator(seed);
  const y = int64(labels).one_hot(classes).to({ dtype: "float64" });
  const mix = randn([classes, d], { generator, dtype: "float64" });
  return { x: randn([n, d], { generator, dtype: "float64" }).mul(0.7).add(y.matmul(mix)), y };
}

/** Ridge with an intercept that nothing holds back, by the normal equations: (X' X + strength) w = X' y. */
function fit(x: Tensor, y: Tensor, strength: number): { weight: Tensor; bias: Tensor } {
  const [mx, my] = [x.mean(0, true), y.mean(0, true)];
  const [cx, cy] = [x.sub(mx), y.sub(my)];
  const gram = cx
    .t()
    .matmul(cx)
    .add(ops.eye(x.size(1), { dtype: "float64" }).mul(strength));
  const weight = inverse(gram).matmul(cx.t().matmul(cy)).t();
  return { weight, bias: my.squeeze(0).sub(weight.matmul(mx.squeeze(0))) };
}

/** Of a symmetric positive matrix: V diag(1 / s) U'. */
function inverse(a: Tensor): Tensor {
  const [u, s, v] = ops.linalg_svd(a, false);
  return v.t().matmul(u.t().div(s.unsqueeze(1)));
}

test("what it says of left-out items is what fits without them say, at the best strength and scale", () => {
  const { handles } = memory();
  scope(() =>
    noGrad(() => {
      const { x, y } = sample(3);
      const { leftOut, weight, bias } = ridgeHead(x, y, loss);
      const unit = ops
        .linalg_svd(x.sub(x.mean(0, true)), false)[1]
        .square()
        .mean()
        .item();
      const rows = Array.from({ length: n }, (_, i) => i);
      const predictions = Array.from({ length: 13 }, (_, j) => 10 ** (j / 2 - 4) * unit).map((strength) => {
        const each = rows.map((row) => {
          const others = int64(rows.filter((other) => other !== row));
          const head = fit(x.index_select(0, others), y.index_select(0, others), strength);
          return head.weight.matmul(x.select(0, row)).add(head.bias);
        });
        return { strength, scores: ops.stack(each) };
      });
      const error = ({ scores }: { scores: Tensor }) => scores.sub(y).square().mean().item();
      const best = predictions.reduce((a, b) => (error(b) < error(a) ? b : a));
      const scales = Array.from({ length: 25 }, (_, j) => 2 ** (j / 4 - 1));
      const scale = scales.reduce((a, b) => (loss(best.scores.mul(b)) < loss(best.scores.mul(a)) ? b : a));
      assertClose(leftOut, best.scores.mul(scale), 1e-9);
      const whole = fit(x, y, best.strength);
      assertClose(weight, whole.weight.mul(scale), 1e-9);
      assertClose(bias, whole.bias.mul(scale), 1e-9);
    }),
  );
  assert.equal(memory().handles, handles);
});

test("features that say nothing give the classes' shares, and fewer items than features a finite head", () => {
  scope(() => {
    const { y } = sample(1);
    using generator = new Generator(5);
    const constant = ridgeHead(randn([1, d], { generator, dtype: "float64" }).expand([n, d]).clone(), y, loss);
    assertClose(constant.weight, new Array(classes * d).fill(0), 1e-12);
    const wide = ridgeHead(randn([n, 4 * n], { generator, dtype: "float64" }), y, loss);
    assert.equal(ops.isfinite(wide.weight).all().item(), 1);
    assert.equal(ops.isfinite(wide.leftOut).all().item(), 1);
  });
});
