/** Whole training steps against PyTorch's curves, and without leaks. Nothing here leaves garbage: GC would move the counts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BatchNorm2d, Conv2d, crossEntropy, Linear, Module } from "../../../src/nn/index.ts";
import { AdamW, type Optimizer, SGD } from "../../../src/optim/index.ts";
import { Generator, memory, scope, type Tensor, tensor } from "../../../src/torch/index.ts";
import { fixture, loadRule, seeded } from "../../fixtures/seeded-weights.ts";
import { assertClose } from "../../support/numeric.ts";

const generator = new Generator(1);

class SmallNetwork extends Module {
  readonly #conv = this.module("conv", new Conv2d(3, 6, 3, { generator, padding: 1, bias: false }));
  readonly #bn = this.module("bn", new BatchNorm2d(6));
  readonly #fc = this.module("fc", new Linear(6, 4, { generator }));

  override forward(x: Tensor): Tensor {
    return this.#fc.forward(this.#bn.forward(this.#conv.forward(x)).relu().mean([2, 3]));
  }
}
const curves = fixture<Record<string, { losses: number[]; state: Record<string, number[]> }>>("training.json");
const trainers: Record<string, (params: Tensor[]) => Optimizer> = {
  sgd: (params) => new SGD([{ params, lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 1e-2 }]),
  adamw: (params) => new AdamW([{ params, lr: 0.01, weight_decay: 0.1 }]),
};

for (const [name, make] of Object.entries(trainers)) {
  for (const memory_format of ["contiguous_format", "channels_last"] as const) {
    test(`six steps of training by ${name} (${memory_format}) follow PyTorch's and leak nothing`, () => {
      using network = loadRule(new SmallNetwork()).to({ memory_format });
      using optimizer = make(network.parameters());
      using target = tensor([0, 1, 2, 3, 0, 1, 2, 3], { dtype: "int64" });
      const step = (i: number): number => {
        using loss = scope(() => {
          const x = seeded(`x.${i}`, [8, 3, 6, 6], "float32").to({ memory_format });
          return crossEntropy(network.forward(x), target, { labelSmoothing: 0.1 });
        });
        optimizer.zeroGrad();
        loss.backward();
        optimizer.step();
        return loss.item();
      };
      const losses = [step(0)];
      const before = memory();
      for (let i = 1; i < 6; i++) losses.push(step(i));
      assert.deepEqual(memory(), before);
      const want = curves[name];
      assert.ok(want);
      for (const [i, loss] of losses.entries()) assert.ok(Math.abs(loss - (want.losses[i] ?? 0)) < 1e-5, `step ${i}`);
      for (const [key, value] of network.stateDict()) assertClose(value, want.state[key] ?? [], 2e-4, key);
    });
  }
}
