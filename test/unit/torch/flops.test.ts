/** Counted FLOPs of products, forward and with what a gradient adds. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { countFlops, FlopMeter, noGrad, ops, scope, zeros } from "../../../src/torch/index.ts";

test("products count twice their multiply-adds, and three times that where a gradient goes back", () => {
  scope(() => {
    const [x, y] = [zeros([5, 7]), zeros([7, 3])];
    const weight = zeros([7, 3]);
    weight.requires_grad = true;
    const products = () => {
      x.matmul(y);
      x.relu().matmul(weight);
    };
    const product = 2 * 5 * 7 * 3;
    assert.equal(countFlops(products), 2 * product);
    const meter = new FlopMeter(3);
    meter.count(products);
    assert.equal(meter.total, product + 3 * product);
    meter.count(() => noGrad(products));
    assert.equal(meter.total, 6 * product);
  });
});

test("a meter counts convolutions by their filters and groups, decompositions, and nothing once it has ended", () => {
  scope(() => {
    const image = zeros([2, 4, 8, 8]);
    const grouped = countFlops(() => ops.conv2d(image, zeros([6, 2, 3, 3]), undefined, 1, 1, 1, 2));
    assert.equal(grouped, 2 * (2 * 6 * 8 * 8) * (2 * 3 * 3));
    assert.equal(
      countFlops(() => ops.linalg_svd(zeros([10, 3]), false)),
      6 * 10 * 3 ** 2 + 20 * 3 ** 3,
    );
    const outer = new FlopMeter();
    outer.count(() =>
      assert.equal(
        countFlops(() => image.relu()),
        0,
      ),
    );
    ops.mm(zeros([3, 3]), zeros([3, 3]));
    assert.equal(outer.total, 0);
    assert.throws(() => outer.count(() => assert.fail("within")), /within/);
    ops.mm(zeros([3, 3]), zeros([3, 3]));
    assert.equal(outer.total, 0);
  });
});
