/**
 * Arguments that the addon refuses: handles that are not its own, gradients of wrong shapes, modes that do not exist.
 */
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import { AdamW, SGD } from "../../../src/optim/index.ts";
import {
  arange,
  autocast,
  type Dtype,
  Generator,
  inferenceMode,
  isGradEnabled,
  memory,
  ones,
  rand,
  scope,
  type Tensor,
  tensor,
  zeros,
} from "../../../src/torch/index.ts";
import { type Handle, native } from "../../../src/torch/native.ts";
import { assertClose } from "../../support/numeric.ts";

test("externals of other addons are no handles", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, resolve));
  // Node's own sockets carry an external, whose memory is no tensor.
  const foreign = (server as unknown as { _handle: { _externalStream: Handle } })._handle._externalStream;
  const { handles } = memory();
  try {
    for (const use of [native.isLive, native.dispose, native.sizes, native.generatorState]) {
      assert.throws(() => use(foreign), /expected a (handle of this library|Tensor|Generator)/);
    }
    assert.throws(() => native.disposeAll([foreign]), /expected a handle/);
    assert.throws(() => native.dispose({} as Handle), /expected a handle/);
    assert.throws(() => native.disposeAll(3 as unknown as Handle[]));
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
  assert.equal(memory().handles, handles);
});

test("a gradient must have its tensor's shape, dtype and device", () => {
  scope(() => {
    const weight = zeros([2, 3]);
    weight.requires_grad = true;
    const wrong: [Tensor, RegExp][] = [
      [ones([3, 2]), /float32\[3, 2\].* does not fit .*float32\[2, 3\]/],
      [ones([2]), /does not fit/],
      [ones([2, 3], { dtype: "float64" }), /float64\[2, 3\]/],
      [weight, /its own gradient/],
    ];
    for (const [gradient, pattern] of wrong) {
      assert.throws(() => {
        weight.grad = gradient;
      }, pattern);
    }
    assert.equal(weight.grad, undefined);
  });
});

test("a gradient of another memory order is applied element by element", () => {
  for (const create of [
    (param: Tensor) => new SGD([{ params: [param], lr: 0.5 }]),
    (param: Tensor) => new AdamW([{ params: [param], lr: 0.5, weight_decay: 0 }]),
  ]) {
    scope(() => {
      const values = arange(0, 2 * 3 * 2 * 2, 1, { dtype: "float32" }).sub(11.5);
      const param = zeros([2, 3, 2, 2]).contiguous("channels_last");
      param.requires_grad = true;
      param.grad = values.view([2, 3, 2, 2]);
      using optimizer = create(param);
      optimizer.step();
      // SGD moves by rate times gradient, Adam's first step by the rate.
      const moved = optimizer instanceof SGD ? values.mul(-0.5) : values.div(values.abs()).mul(-0.5);
      assertClose(param, moved.toNumbers(), 1e-6);
      param.grad = zeros([1, 3, 2, 2]).expand([2, 3, 2, 2]);
      optimizer.step();
    });
  }
});

test("modes that do not exist leave the old ones in place", () => {
  const product = () => scope(() => ones([4, 4]).matmul(ones([4, 4])).dtype);
  for (const options of [
    { dtype: "float31" as Dtype },
    { device: "abacus" },
    { device: "meta", dtype: "int3" as Dtype },
  ]) {
    assert.throws(() => autocast(options, product));
    assert.equal(product(), "float32");
  }
  assert.throws(() => native.enterAutocast("cpu", "bfloat16", "yes" as unknown as boolean), /boolean/);
  assert.equal(product(), "float32");
  assert.throws(() => native.exitAutocast(), /no autocast scope is open/);
  assert.throws(() => native.enterInference(1 as unknown as boolean), /boolean/);
  assert.throws(() => native.exitInference(), /no inference scope is open/);
  assert.ok(isGradEnabled());
  assert.equal(autocast({}, product), "bfloat16");
  assert.equal(autocast({ device: "cpu:0" }, product), "bfloat16");
});

test("overwriting what autograd has saved is noticed, as an in-place operator is", () => {
  scope(() => {
    const x = tensor([1, 2, 3]);
    x.requires_grad = true;
    const loss = x.mul(x).sum();
    x.detach().copyFrom(new Float32Array([4, 5, 6]));
    assert.throws(() => loss.backward(), /modified by an inplace operation/);
    const frozen = inferenceMode(() => ones([3]));
    assert.throws(() => frozen.copyFrom(new Float32Array(3)), /inference tensor/i);
    inferenceMode(() => frozen.copyFrom(new Float32Array([7, 8, 9])));
    assert.deepEqual(frozen.toNumbers(), [7, 8, 9]);
  });
});

test("a generator's state of another length is refused", () => {
  using generator = new Generator(1);
  const before = generator.getState();
  assert.throws(() => generator.setState(new Uint8Array(7)));
  assert.deepEqual(generator.getState(), before);
  scope(() => void rand([3], { generator }));
});
