/** Bytes that a forward pass keeps, against what its layers keep by their definition. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ActivationMeter, Generator, noGrad, ops, rand, scope } from "../../../src/torch/index.ts";

test("results that a gradient goes back through count once: no views, no in-place results, nothing without a gradient", () => {
  using generator = new Generator(0);
  scope(() => {
    const [weight, x] = [rand([5, 7], { generator }), rand([3, 7], { generator })];
    weight.requires_grad = true;
    const meter = new ActivationMeter();
    meter.count(() => {
      const linear = ops.linear(x, weight);
      const squared = linear.mul(linear);
      squared.view([5, 3]).t().add_(1);
      ops.linear(x, x);
      return squared.sum();
    });
    // Two maps of [3, 5] and the sum, 4 bytes a number.
    assert.equal(meter.bytes, 4 * (2 * 15 + 1));
    noGrad(() => meter.count(() => ops.linear(x, weight)));
    assert.equal(meter.bytes, 4 * 31);
  });
});
