import assert from "node:assert/strict";
import { after, test } from "node:test";
import {
  BatchNorm2d,
  Conv2d,
  FoldedNorms,
  Hardswish,
  type Module,
  ReLU,
  ReLU6,
  Sequential,
  SiLU,
} from "../../../src/nn/index.ts";
import {
  autocast,
  countFlops,
  Generator,
  inferenceMode,
  memory,
  park,
  randn,
  scope,
  standIn,
  type Tensor,
  unpark,
  zeros,
} from "../../../src/torch/index.ts";
import { called } from "../../support/calls.ts";

const generator = new Generator(3);
after(() => generator.dispose());

function normed(channels: number): BatchNorm2d {
  const norm = new BatchNorm2d(channels, { minimumRows: 1 });
  const draw = (into: Tensor, low: number, high: number) => into.detach().uniform_(low, high, { generator });
  draw(norm.weight, 0.5, 2);
  draw(norm.bias, -1, 1);
  draw(norm.running_mean, -1, 1);
  draw(norm.running_var, 0.2, 3);
  return norm;
}

const conv = (from: number, to: number, kernel: number | [number, number], options: object = {}): Conv2d =>
  new Conv2d(from, to, kernel, { generator, ...options });

const output = (network: Module, x: Tensor, folds?: FoldedNorms): number[] =>
  scope(() => inferenceMode(() => (folds ? folds.run(() => network.forward(x)) : network.forward(x)).toNumbers()));

/** In float64, layer by layer. */
function oracle(network: Module, x: Tensor): number[] {
  network.to({ dtype: "float64" });
  const values = scope(() => output(network, x.to({ dtype: "float64" })));
  network.to({ dtype: "float32" });
  return values;
}

function assertClose(actual: readonly number[], expected: readonly number[]): void {
  const size = Math.max(...expected.map(Math.abs));
  for (const [i, value] of expected.entries()) assert.ok(Math.abs((actual[i] ?? Number.NaN) - value) < 1e-5 * size);
}

test("a convolution with its norm and activation is one operator, whose numbers and FLOPs are the same", () => {
  const activations = [new ReLU({ inPlace: true }), new ReLU6(), new Hardswish(), new SiLU()];
  for (const activation of activations) {
    using network = new Sequential([
      ...[conv(3, 20, 3, { padding: 1, stride: 2 }), normed(20), activation],
      ...[conv(20, 20, 3, { padding: 1, groups: 20, bias: false }), normed(20), activation],
      ...[conv(20, 8, 1), normed(8)],
      ...[conv(8, 8, [1, 5], { padding: [0, 2] }), normed(8)],
      ...[conv(8, 8, [3, 1], { padding: "same" }), normed(8)],
    ]).eval();
    using x = randn([2, 3, 9, 9], { generator });
    using folds = new FoldedNorms();
    const expected = oracle(network, x);
    for (let pass = 0; pass < 2; pass++) assertClose(output(network, x, folds), expected);
    using other = randn([3, 3, 12, 9], { generator });
    assertClose(output(network, other, folds), oracle(network, other));
    const names = called(() => void output(network, x, folds));
    assert.deepEqual(
      names.filter((name) => /conv|norm|relu|hard|silu/.test(name)),
      new Array(5).fill("mkldnn::_convolution_pointwise"),
    );
    const flops = (own?: FoldedNorms) => countFlops(() => output(network, x, own));
    assert.equal(flops(folds), flops());
  }
});

test("what is trained, changed from outside, in lower precision or may leave memory is not folded", () => {
  using x = randn([2, 3, 6, 6], { generator });
  const isFolded = (network: Module, run: (fn: () => void) => void = inferenceMode): boolean => {
    using folds = new FoldedNorms();
    const names = called(() => scope(() => run(() => void folds.run(() => network.forward(x)))));
    return names.includes("mkldnn::_convolution_pointwise");
  };
  using network = new Sequential([conv(3, 4, 1), normed(4)]).eval();
  const [first] = network.steps();
  assert.ok(first instanceof Conv2d);
  assert.equal(isFolded(network), true);
  assert.equal(
    isFolded(network, (fn) => fn()),
    false,
    "with gradients",
  );
  assert.equal(
    isFolded(network, (fn) => inferenceMode(() => autocast({}, fn))),
    false,
  );
  assert.equal(isFolded(network.train()), false);
  network.eval();
  const unwrap = first.registerForwardHook((y) => y.mul(2));
  assert.equal(isFolded(network), false, "with a hook");
  unwrap();
  const own = new (class extends Conv2d {
    override convolve(given: Tensor, weight: Tensor): Tensor {
      return super.convolve(given.neg(), weight);
    }
  })(3, 4, 1, { generator });
  using changed = new Sequential([own, normed(4)]).eval();
  assert.equal(isFolded(changed), false, "with its own convolution");
  using moved = new Sequential([conv(3, 4, 1), normed(4)]).eval();
  const weight = moved.parameters()[0] as Tensor;
  using content = weight.detach().clone();
  park(weight, () => {});
  unpark(weight, content);
  assert.equal(isFolded(moved), false, "in bounded memory");
});

test("folded weights go with their owner, and are not taken for others", () => {
  using network = new Sequential([conv(3, 4, 3), normed(4)]).eval();
  using x = randn([1, 3, 5, 5], { generator });
  const { handles } = memory();
  const folds = new FoldedNorms();
  const before = output(network, x, folds);
  const [first] = network.steps() as [Conv2d];
  const none = zeros(first.weight.shape);
  assert.notDeepEqual(
    standIn([[first.weight, none]], () => output(network, x, folds)),
    before,
  );
  assert.deepEqual(output(network, x, folds), before);
  none.dispose();
  folds.dispose();
  assert.equal(memory().handles, handles, "live handles");
});
