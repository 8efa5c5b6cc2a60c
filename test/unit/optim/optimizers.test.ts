/** Optimisers against PyTorch's (test/fixtures/make-fixtures.py), with parameters that have no gradient in some steps. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { AdamW, clipGradNorm, type Optimizer, SGD } from "../../../src/optim/index.ts";
import { type MemoryFormat, type Tensor, tensor, UserError } from "../../../src/torch/index.ts";
import { fixture, seeded } from "../../fixtures/seeded-weights.ts";
import { assertClose } from "../../support/numeric.ts";

const shapes = { a: [3, 4], b: [5], c: [2] };
type Name = keyof typeof shapes;
const names = Object.keys(shapes) as Name[];
const isSkipped = (name: Name, step: number): boolean =>
  name === "c" || (name === "b" && (step === 0 || step === 2 || step === 3));

interface Clipped {
  total: number;
  gradients: number[][];
}
const expected = fixture<Record<string, Record<Name, number[]>> & { clipped: Clipped; notClipped: Clipped }>(
  "optimizers.json",
);

function leaves(): Record<Name, Tensor> {
  const entries = names.map((name) => {
    const leaf = seeded(name, shapes[name]);
    leaf.requires_grad = true;
    return [name, leaf];
  });
  return Object.fromEntries(entries) as Record<Name, Tensor>;
}

function stepOnce(optimizer: Optimizer, params: Record<Name, Tensor>, step: number): void {
  for (const name of names) {
    using gradient = seeded(`${name}.${step}`, shapes[name]);
    params[name].grad = isSkipped(name, step) ? undefined : gradient;
  }
  for (const group of optimizer.groups) group.lr = 0.1 / (step + 1);
  optimizer.step();
}

type Make = (params: Tensor[]) => Optimizer;
const momentum = { lr: 0.1, momentum: 0.9 };
const makers: Record<string, Make> = {
  sgd: (params) => new SGD([{ params, lr: 0.1 }]),
  sgdMomentum: (params) => new SGD([{ params, ...momentum }]),
  sgdNesterov: (params) => new SGD([{ params, ...momentum, nesterov: true, weight_decay: 0.05 }]),
  adamw: (params) => new AdamW([{ params, lr: 0.1, weight_decay: 0.05 }]),
  adamwOther: (params) => new AdamW([{ params, lr: 0.1, weight_decay: 0.2, betas: [0.8, 0.95], eps: 1e-3 }]),
};

for (const [name, make] of Object.entries(makers)) {
  test(`${name} walks where PyTorch's does; a parameter without gradient stays where it is`, () => {
    const params = leaves();
    using optimizer = make(Object.values(params));
    for (let step = 0; step < 7; step++) stepOnce(optimizer, params, step);
    for (const key of names) assertClose(params[key], expected[name]?.[key] ?? [], 1e-9, key);
    assert.deepEqual(params.c.toNumbers(), seeded("c", shapes.c).toNumbers());
  });

  test(`${name} walks the same way with channels last, in whatever order gradients come`, () => {
    const shape = [3, 4, 2, 2];
    const filters = ["contiguous_format", "channels_last"].map((format) => {
      const leaf = seeded("filter", shape).contiguous(format as MemoryFormat);
      leaf.requires_grad = true;
      return leaf;
    }) as [Tensor, Tensor];
    for (const filter of filters) {
      using optimizer = make([filter]);
      for (let step = 0; step < 4; step++) {
        using gradient = seeded(`filter.${step}`, shape);
        using last = gradient.contiguous("channels_last");
        filter.grad = step % 2 === 0 ? gradient : last;
        optimizer.step();
      }
    }
    assertClose(filters[1], filters[0].toNumbers(), 1e-12);
    assert.ok(filters[1].is_contiguous("channels_last"));
  });

  test(`${name} continues from its saved state bit for bit`, () => {
    const straight = leaves();
    using first = make(Object.values(straight));
    for (let step = 0; step < 7; step++) stepOnce(first, straight, step);

    const stopped = leaves();
    using second = make(Object.values(stopped));
    for (let step = 0; step < 4; step++) stepOnce(second, stopped, step);
    const saved = second.stateDict();
    using third = make(Object.values(stopped));
    third.loadStateDict(saved);
    const copied = third.stateDict();
    assert.deepEqual(copied.numbers, saved.numbers);
    for (const [key, value] of saved.tensors) assert.deepEqual(copied.tensors.get(key)?.toBytes(), value.toBytes());
    for (let step = 4; step < 7; step++) stepOnce(third, stopped, step);
    for (const key of names) assert.deepEqual(stopped[key].toBytes(), straight[key].toBytes());
  });
}

test("a state that does not fit is refused and changes nothing", () => {
  const params = leaves();
  using optimizer = new AdamW([{ params: Object.values(params), lr: 0.1 }]);
  stepOnce(optimizer, params, 0);
  const saved = optimizer.stateDict();
  const other = { ...saved, tensors: new Map(saved.tensors) };
  other.tensors.set("0.0.exp_avg", tensor([1, 2]));
  assert.throws(() => optimizer.loadStateDict(other), UserError);
  other.tensors.delete("0.0.exp_avg");
  assert.throws(() => optimizer.loadStateDict(other), /incomplete/);
  assert.throws(
    () => optimizer.loadStateDict({ ...saved, numbers: { ...saved.numbers, "3.1.step": 4 } }),
    /entries of no parameter/,
  );
  assert.deepEqual(optimizer.stateDict(), saved);
});

test("groups have their own settings, rates follow a schedule's factor, a parameter belongs to one group", () => {
  const params = leaves();
  using optimizer = new SGD([
    { params: [params.a], lr: 1 },
    { params: [params.b], lr: 0.1 },
  ]);
  optimizer.scaleLearningRates(0.5);
  assert.deepEqual(
    optimizer.groups.map((group) => group.lr),
    [0.5, 0.05],
  );
  for (const name of names) params[name].grad = seeded("g", shapes[name]);
  optimizer.step();
  assertClose(params.a, seeded("a", shapes.a).sub(seeded("g", shapes.a).mul(0.5)), 1e-12);
  assertClose(params.b, seeded("b", shapes.b).sub(seeded("g", shapes.b).mul(0.05)), 1e-12);
  optimizer.zeroGrad();
  assert.equal(params.a.grad, undefined);
  assert.throws(() => new SGD([{ params: [params.a, params.a], lr: 1 }]), RangeError);
  assert.throws(() => new SGD([{ params: [params.a], lr: 1, nesterov: true }]), RangeError);
});

test("clipping scales to the norm as PyTorch does, and leaves gradients that are not finite", () => {
  for (const [max, want] of [
    [0.5, expected.clipped],
    [50, expected.notClipped],
  ] as const) {
    const { a, b, c } = leaves();
    a.grad = seeded("a.grad", shapes.a);
    b.grad = seeded("b.grad", shapes.b);
    assert.ok(Math.abs(clipGradNorm([a, b, c], max) - want.total) < 1e-5);
    for (const [i, parameter] of [a, b].entries()) {
      assertClose(parameter.grad as Tensor, want.gradients[i] ?? [], 1e-6);
    }
    assert.equal(c.grad, undefined);
  }
  const { a } = leaves();
  a.grad = seeded("a.grad", shapes.a).mul(Number.POSITIVE_INFINITY);
  assert.equal(clipGradNorm([a], 1), Number.POSITIVE_INFINITY);
  assert.equal(clipGradNorm([], 1), 0);
});
