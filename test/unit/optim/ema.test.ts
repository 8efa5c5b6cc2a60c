/** The moving average by its recursion. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BatchNorm2d } from "../../../src/nn/index.ts";
import { EMA } from "../../../src/optim/index.ts";
import { memory, noGrad, tensor, UserError } from "../../../src/torch/index.ts";

test("follows the parameters by its recursion, copies buffers, swaps in and out, leaks nothing", () => {
  const before = memory().handles;
  const module = new BatchNorm2d(1);
  const ema = new EMA(module, 0.5);
  let average = 1;
  for (let step = 0; step < 12; step++) {
    noGrad(() => {
      module.weight.fill_(step);
      module.running_mean.fill_(2 * step);
    });
    ema.update();
    const decay = Math.min(0.5, (1 + step) / (10 + step));
    average = decay * average + (1 - decay) * step;
  }
  ema.swap();
  assert.ok(Math.abs(module.weight.item() - average) < 1e-5);
  assert.ok(module.weight.requires_grad);
  assert.equal(module.running_mean.item(), 22);
  ema.swap();
  assert.equal(module.weight.item(), 11);
  ema.dispose();
  module.dispose();
  assert.equal(memory().handles, before);
});

test("its state moves to another average exactly", () => {
  using module = new BatchNorm2d(2);
  using ema = new EMA(module);
  noGrad(() => module.weight.fill_(3));
  ema.update();
  using other = new EMA(module);
  other.loadStateDict(ema.stateDict());
  assert.equal(other.stateDict().numbers["updates"], 1);
  assert.deepEqual(
    other.stateDict().tensors.get("weight")?.toBytes(),
    ema.stateDict().tensors.get("weight")?.toBytes(),
  );
  const wrong = new Map(ema.stateDict().tensors).set("weight", tensor([1]));
  assert.throws(() => other.loadStateDict({ tensors: wrong, numbers: {} }), UserError);
});
