/** Changes beside frozen layers: against PyTorch (test/fixtures/make-fixtures.py), by finite differences, and merged. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Adapter,
  Conv2d,
  crossEntropy,
  LayerNorm,
  Linear,
  LowRank,
  LowRankWeights,
  Module,
  ScaleShift,
} from "../../../src/nn/index.ts";
import { SGD } from "../../../src/optim/index.ts";
import { Generator, int64, noGrad, scope, type Tensor } from "../../../src/torch/index.ts";
import { fixture, loadRule, ruled, seeded } from "../../fixtures/seeded-weights.ts";
import { assertClose, assertGradients, assertNoLeak } from "../../support/numeric.ts";

const generator = new Generator(1);
const options = { generator, dtype: "float64" } as const;

/** A strided convolution, LayerNorm and a linear layer: [B, 3, 7, 7] to [B, 4]. */
class SmallLayers extends Module {
  readonly conv = this.module("conv", new Conv2d(3, 6, 3, { ...options, stride: 2, padding: 1 }));
  readonly norm = this.module("norm", new LayerNorm([6], options));
  readonly fc = this.module("fc", new Linear(6, 4, options));

  override forward(x: Tensor): Tensor {
    return scope(() => this.fc.forward(this.norm.forward(this.conv.forward(x).relu().mean([2, 3]))));
  }
}

type Biased = ConstructorParameters<typeof ScaleShift>[0];

const kinds: Record<string, (layers: SmallLayers) => Record<string, Adapter>> = {
  lora: ({ conv, fc }) => ({ conv: new LowRank(conv, 2, generator), fc: new LowRank(fc, 2, generator) }),
  ssf: ({ conv, norm, fc }) => ({
    conv: new ScaleShift(conv as Biased),
    norm: new ScaleShift(norm),
    fc: new ScaleShift(fc as Biased),
  }),
};

/** Parameters of all adapters, by the names of the layers that they change. */
function parametersOf(adapters: Record<string, Adapter>): Map<string, Tensor> {
  return new Map(
    Object.entries(adapters).flatMap(([layer, adapter]) =>
      [...adapter.namedParameters()].map(([name, own]): [string, Tensor] => [`${layer}.${name}`, own]),
    ),
  );
}

const frozen = (): SmallLayers => loadRule(new SmallLayers()).requiresGrad_(false);

/** Values away from where the change has no effect. */
function shaken(parameters: ReadonlyMap<string, Tensor>): void {
  scope(() =>
    noGrad(() => {
      for (const [name, own] of parameters) own.add_(seeded(`shake.${name}`, own.shape).mul(0.3));
    }),
  );
}

interface Case {
  losses: number[];
  output: number[];
  state: Record<string, number[]>;
}
const cases = fixture<Record<string, Case>>("adapters.json");
const images = (name: string): Tensor => seeded(name, [5, 3, 7, 7]);

for (const [kind, make] of Object.entries(kinds)) {
  test(`${kind} starts as the pre-trained layers, trains as in PyTorch, and is the same merged`, () => {
    using layers = frozen();
    const plain = scope(() => layers.forward(images("x.last")).toNumbers());
    const adapters = make(layers);
    const parameters = parametersOf(adapters);
    assert.deepEqual(
      scope(() => layers.forward(images("x.last")).toNumbers()),
      plain,
      "the first forward pass",
    );
    noGrad(() => {
      for (const [name, own] of parameters) {
        if (name.endsWith("lora_A")) scope(() => own.copy_(ruled(`${name}.weight`, own.shape)));
      }
    });
    using optimizer = new SGD([{ params: [...parameters.values()], lr: 0.05 }]);
    const losses = Array.from({ length: 4 }, (_, step) =>
      scope(() => {
        const targets = int64([0, 1, 2, 3, 0]);
        const loss = scope(() => crossEntropy(layers.forward(images(`x.${step}`)), targets));
        optimizer.zeroGrad();
        loss.backward();
        optimizer.step();
        return loss.item();
      }),
    );
    const expected = cases[kind];
    assert.ok(expected);
    for (const [i, loss] of losses.entries()) assert.ok(Math.abs(loss - (expected.losses[i] ?? 0)) < 1e-9);
    assert.deepEqual([...parameters.keys()].sort(), Object.keys(expected.state).sort());
    for (const [name, own] of parameters) assertClose(own, expected.state[name] ?? [], 1e-9, name);
    scope(() => assertClose(layers.forward(images("x.last")), expected.output, 1e-9, "output"));
    assert.ok(
      layers.parameters().every((own) => own.grad === undefined),
      "nothing reaches the frozen weights",
    );
    for (const adapter of Object.values(adapters)) {
      adapter.merge();
      adapter.dispose();
    }
    scope(() => assertClose(layers.forward(images("x.last")), expected.output, 1e-9, "merged output"));
  });

  test(`${kind} has the gradients of finite differences`, () => {
    using layers = frozen();
    const adapters = make(layers);
    const parameters = parametersOf(adapters);
    shaken(parameters);
    const x = images("x.0");
    const loss = () => layers.forward(x).square().sum();
    assertGradients(loss, [...parameters.values()]);
    for (const adapter of Object.values(adapters)) adapter.dispose();
  });
}

test("a module that reads its weights itself computes with changed ones, as a layer with a change beside it does", () => {
  using layers = frozen();
  using twin = frozen();
  using whole = new LowRankWeights(twin.fc, new Map([["weight", twin.fc.weight]]), 2, new Generator(7));
  using beside = new LowRank(layers.fc, 2, new Generator(7));
  const own = [...whole.namedParameters()];
  const names = own.map(([name]) => name.slice("weight.".length));
  scope(() =>
    noGrad(() => {
      for (const [name, parameter] of own) parameter.add_(seeded(name, parameter.shape));
      for (const [name, parameter] of beside.namedParameters())
        parameter.add_(seeded(`weight.${name}`, parameter.shape));
    }),
  );
  assert.deepEqual(names, ["lora_A", "lora_B"]);
  scope(() => {
    const [x, g] = [images("x.0"), seeded("g", [5, 4])];
    const [a, b] = [twin.forward(x), layers.forward(x)];
    assertClose(a, b, 1e-12);
    for (const y of [a, b]) y.mul(g).sum().backward();
    for (const [name, parameter] of own) {
      const other = beside.namedParameters().get(name.slice("weight.".length));
      assert.ok(parameter.grad && other?.grad);
      assertClose(parameter.grad, other.grad, 1e-12, name);
    }
  });
  const before = scope(() => twin.forward(images("x.0")).toNumbers());
  whole.merge();
  scope(() => assertClose(twin.forward(images("x.0")), before, 1e-12, "merged"));
});

test("a rank beyond the layer's size is cut to it, at the scale of the asked one", () => {
  using layer = new Linear(3, 2, options);
  using adapter = new LowRank(layer, 8, generator);
  assert.deepEqual(
    [...adapter.parameters()].map(({ shape }) => [...shape]),
    [
      [2, 3],
      [2, 2],
    ],
  );
  const start = layer.weight.toNumbers();
  scope(() => noGrad(() => adapter.parameters()[1]?.fill_(1)));
  const [a] = adapter.parameters();
  const sums = scope(() => a?.sum(0).toNumbers() ?? []);
  adapter.merge();
  // 16 / 8 times the sum of A's rows in each row.
  scope(() =>
    assertClose(
      layer.weight,
      start.map((w, i) => w + 2 * (sums[i % 3] ?? 0)),
      1e-12,
    ),
  );
});

test("adapters leave nothing behind", () => {
  using layers = frozen();
  for (const make of Object.values(kinds)) {
    assertNoLeak(() => {
      const adapters = make(layers);
      scope(() => void layers.forward(images("x.0")));
      for (const adapter of Object.values(adapters)) {
        adapter.merge();
        adapter.dispose();
      }
    });
  }
});
