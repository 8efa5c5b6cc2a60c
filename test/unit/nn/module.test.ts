/** Registration, names, loading, conversion, disposal. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BatchNorm2d, Conv2d, Dropout, Linear, Module, ReLU, Sequential } from "../../../src/nn/index.ts";
import { Generator, noGrad, ones, randn, scope, type Tensor, UserError, zeros } from "../../../src/torch/index.ts";
import { assertClose } from "../../support/numeric.ts";

const generator = new Generator(5);

class Pair extends Module {
  readonly body: Sequential;
  readonly fc: Linear;
  readonly alias: Linear;

  constructor() {
    super();
    const conv = new Conv2d(3, 4, 3, { generator, bias: false });
    this.body = this.module("body", new Sequential([conv, new BatchNorm2d(4), new ReLU()]));
    this.fc = this.module("fc", new Linear(4, 2, { generator }));
    this.alias = this.module("alias", this.fc);
  }

  override forward(x: Tensor): Tensor {
    return this.fc.forward(this.body.forward(x).mean([2, 3]));
  }
}

test("names are dotted, in PyTorch's order; a shared parameter is listed once but saved under each name", () => {
  using pair = new Pair();
  assert.deepEqual(
    [...pair.stateDict().keys()],
    [
      "body.0.weight",
      "body.1.weight",
      "body.1.bias",
      "body.1.running_mean",
      "body.1.running_var",
      "body.1.num_batches_tracked",
      "fc.weight",
      "fc.bias",
      "alias.weight",
      "alias.bias",
    ],
  );
  assert.deepEqual(
    [...pair.namedParameters().keys()],
    ["body.0.weight", "body.1.weight", "body.1.bias", "fc.weight", "fc.bias"],
  );
  assert.equal(pair.namedBuffers().size, 3);
  assert.equal(pair.modules().length, 6);
});

test("modes and freezing reach every part", () => {
  using pair = new Pair();
  pair.eval();
  assert.ok(pair.modules().every((module) => !module.training));
  pair.train();
  assert.ok(pair.modules().every((module) => module.training));
  scope(() => pair.forward(randn([8, 3, 5, 5], { generator })).sum()).backward();
  assert.ok(pair.parameters().every((parameter) => parameter.grad));
  pair.requiresGrad_(false);
  assert.ok(pair.parameters().every((parameter) => !parameter.requires_grad && !parameter.grad));
  pair.requiresGrad_();
  assert.ok(pair.parameters().every((parameter) => parameter.requires_grad));
});

test("loading copies values with dtype conversion and keeps the tensors", () => {
  using source = new Linear(3, 2, { generator, dtype: "float64" });
  using target = new Linear(3, 2, { generator });
  const before = target.weight;
  assert.deepEqual(target.loadStateDict(source.stateDict()), { missing: [], unexpected: [] });
  assert.equal(target.weight, before);
  assert.equal(target.weight.dtype, "float32");
  assert.ok(target.weight.requires_grad);
  assertClose(target.weight, source.weight, 1e-6);
});

test("a key of any length makes a short message", () => {
  using pair = new Pair();
  const state = new Map([...pair.stateDict(), ["x".repeat(100_000), zeros([1])] as const]);
  assert.throws(
    () => pair.loadStateDict(state),
    (error: unknown) =>
      error instanceof UserError && /unexpected keys: x{200}…/.test(error.message) && error.message.length < 500,
  );
});

test("loading lists everything that is wrong and changes nothing", () => {
  using pair = new Pair();
  const state = new Map(pair.stateDict());
  state.delete("body.1.num_batches_tracked");
  pair.loadStateDict(state);
  state.set("body.0.weight", zeros([4, 3, 3, 3]));
  state.set("body.1.bias", zeros([5]));
  state.delete("fc.weight");
  state.set("extra.a", zeros([1]));
  const weight = pair.fc.bias?.toNumbers();
  assert.throws(
    () => pair.loadStateDict(state),
    (error: unknown) =>
      error instanceof UserError &&
      /missing keys: fc\.weight/.test(error.message) &&
      /unexpected keys: extra\.a/.test(error.message) &&
      /body\.1\.bias is \[5\], needs \[4\]/.test(error.message),
  );
  assert.notEqual(pair.stateDict().get("body.0.weight")?.abs().sum().item(), 0);
  assert.deepEqual(pair.fc.bias?.toNumbers(), weight);
  assert.throws(() => pair.loadStateDict(state, { strict: false }), /wrong shapes/);
  state.delete("body.1.bias");
  assert.deepEqual(pair.loadStateDict(state, { strict: false }), {
    missing: ["body.1.bias", "fc.weight"],
    unexpected: ["extra.a"],
  });
  assert.equal(pair.stateDict().get("body.0.weight")?.abs().sum().item(), 0);
});

test("conversion keeps identity and trainability; channels-last changes layout, not values", () => {
  using pair = new Pair();
  pair.eval();
  const x = randn([2, 3, 6, 6], { generator });
  const expected = noGrad(() => pair.forward(x));
  const weight = pair.parameters()[0];
  assert.ok(weight);
  pair.to({ memory_format: "channels_last" });
  assert.equal(pair.parameters()[0], weight);
  assert.ok(weight.is_contiguous("channels_last") && !weight.is_contiguous());
  const inner = pair.body.forward(x.to({ memory_format: "channels_last" }));
  assert.ok(inner.is_contiguous("channels_last"));
  assertClose(
    noGrad(() => pair.forward(x)),
    expected,
    1e-5,
  );
  pair.to({ dtype: "float64" });
  assert.equal(weight.dtype, "float64");
  assert.ok(weight.requires_grad && weight.is_contiguous("channels_last"));
  assert.equal(pair.namedBuffers().get("body.1.num_batches_tracked")?.dtype, "int64");
  assertClose(
    noGrad(() => pair.forward(x.to({ dtype: "float64" }))),
    expected,
    1e-5,
  );
});

test("parameters survive the scope that they were made in, and dispose releases them", () => {
  const pair = scope(() => {
    const made = new Pair();
    return [made] as unknown as Tensor[];
  })[0] as unknown as Pair;
  assert.ok(pair.parameters().every((parameter) => parameter.isLive));
  pair.dispose();
  assert.ok(pair.parameters().every((parameter) => !parameter.isLive));
});

test("dropout draws from its own generator, only in training", () => {
  const layer = new Dropout(0.25, { generator: new Generator(9) });
  const x = ones([4000]);
  const first = layer.forward(x).toNumbers();
  assert.deepEqual([...new Set(first)].sort(), [0, Math.fround(1 / 0.75)]);
  const kept = first.filter((value) => value !== 0).length / first.length;
  assert.ok(Math.abs(kept - 0.75) < 0.03, `kept ${kept}`);
  assert.notDeepEqual(layer.forward(x).toNumbers(), first);
  assert.deepEqual(new Dropout(0.25, { generator: new Generator(9) }).forward(x).toNumbers(), first);
  assert.equal(layer.eval().forward(x), x);
  assert.throws(() => new Dropout(1.5, { generator }), RangeError);
});

test("forward hooks see and change outputs in their order, inside a parent too, until they are removed", () => {
  using pair = new Pair();
  pair.eval();
  const x = randn([2, 3, 5, 5], { generator });
  const plain = noGrad(() => pair.forward(x));
  const shapes: number[][] = [];
  const removeFirst = pair.fc.registerForwardHook((y) => y.mul(2));
  const removeSecond = pair.fc.registerForwardHook((y) => {
    shapes.push([...y.shape]);
    return y.add(1);
  });
  const removeThird = pair.fc.registerForwardHook(() => undefined);
  assertClose(
    noGrad(() => pair.forward(x)),
    noGrad(() => plain.mul(2).add(1)),
  );
  removeFirst();
  assertClose(
    noGrad(() => pair.forward(x)),
    noGrad(() => plain.add(1)),
  );
  removeSecond();
  removeThird();
  assertClose(
    noGrad(() => pair.forward(x)),
    plain,
  );
  assert.deepEqual(shapes, [
    [2, 2],
    [2, 2],
  ]);
});

test("a replaced module leaves its forward passes to the other, and its hooks with them; its tensors stay", () => {
  using pair = new Pair();
  using other = new Linear(4, 2, { generator });
  pair.eval();
  const x = randn([2, 3, 5, 5], { generator });
  const names = [...pair.stateDict().keys()];
  pair.fc.registerForwardHook((y) => y.mul(2));
  pair.fc.replace(other);
  const features = noGrad(() => pair.body.forward(x).mean([2, 3]));
  assertClose(
    noGrad(() => pair.forward(x)),
    noGrad(() => other.forward(features)),
  );
  pair.fc.registerForwardHook((y) => y.neg());
  assertClose(
    noGrad(() => pair.forward(x)),
    noGrad(() => other.forward(features).neg()),
  );
  assert.deepEqual([...pair.stateDict().keys()], names);
});
