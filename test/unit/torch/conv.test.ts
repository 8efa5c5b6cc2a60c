/** Convolutions where the library's own strided form writes beyond its memory; sums by hand as the oracle. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import {
  autocast,
  conv2d,
  convNd,
  convTransposeNd,
  Generator,
  getNumThreads,
  memory,
  ops,
  randn,
  scope,
  setNumThreads,
} from "../../../src/torch/index.ts";
import { assertClose } from "../../support/numeric.ts";

const before = getNumThreads();
after(() => setNumThreads(before));

/** Gradients of the sum of a 1 x 1 convolution: each weight's is the sum of its channel at the pixels that are taken. */
function sums(values: Float32Array, [B, C, H, W]: [number, number, number, number], stride: number): number[] {
  const at = (b: number, c: number, y: number, x: number) => values[((b * C + c) * H + y) * W + x] ?? 0;
  return Array.from({ length: C }, (_, c) => {
    let sum = 0;
    for (let b = 0; b < B; b++)
      for (let y = 0; y < H; y += stride) for (let x = 0; x < W; x += stride) sum += at(b, c, y, x);
    return sum;
  });
}

for (const [channels, out, side, stride] of [
  [8, 16, 12, 2],
  [12, 24, 24, 2],
  [15, 16, 12, 2],
  [4, 8, 24, 3],
] as const) {
  test(`1 x 1 of ${channels} channels with stride ${stride}: right gradients on channels-last images, with two threads`, () => {
    setNumThreads(2);
    using generator = new Generator(channels);
    const { handles } = memory();
    for (const batch of [1, 3, 5, 7, 9, 13, 17, 31]) {
      scope(() => {
        const x = randn([batch, channels, side, side], { generator }).contiguous("channels_last");
        const weight = randn([out, channels, 1, 1], { generator }).contiguous("channels_last");
        x.requires_grad = true;
        weight.requires_grad = true;
        const y = conv2d(x, weight, undefined, stride);
        assert.deepEqual(y.shape, [batch, out, Math.ceil(side / stride), Math.ceil(side / stride)]);
        y.sum().backward();
        const pixels = x.detach().contiguous("contiguous_format").toTypedArray() as Float32Array;
        const wanted = sums(pixels, [batch, channels, side, side], stride);
        assert.ok(weight.grad);
        for (const row of [0, out - 1]) assertClose(weight.grad.select(0, row).flatten(), wanted, 1e-3);
      });
    }
    assert.equal(memory().handles, handles);
  });
}

test("is the library's own convolution, pair by pair of strides and paddings", () => {
  using generator = new Generator(3);
  const { handles } = memory();
  for (const [channels, kernel, stride, padding, groups] of [
    [4, 1, 2, 0, 1],
    [4, 1, [1, 3], 0, 1],
    [4, 1, [2, 1], [0, 0], 1],
    [4, 1, 2, 1, 1],
    [4, 1, 2, 0, 2],
    [16, 1, 2, 0, 1],
    [4, 3, 2, 1, 1],
  ] as const) {
    scope(() => {
      const x = randn([2, channels, 7, 8], { generator });
      const weight = randn([6, channels / groups, kernel, kernel], { generator });
      const bias = randn([6], { generator });
      const ours = conv2d(x, weight, bias, stride, padding, 1, groups);
      const theirs = ops.conv2d(x, weight, bias, stride, padding, 1, groups);
      assert.deepEqual(ours.shape, theirs.shape);
      assertClose(ours, theirs, 1e-5);
      const single = conv2d(x.select(0, 1), weight, bias, stride, padding, 1, groups);
      assertClose(single, theirs.select(0, 1), 1e-5);
    });
  }
  assert.equal(memory().handles, handles);
});

for (const dims of [1, 2, 3]) {
  test(`over ${dims} spatial dimension(s) the same as aten::convolution, and autocast takes it to bfloat16`, () => {
    using generator = new Generator(dims);
    const { handles } = memory();
    const sides = [7, 6, 5].slice(0, dims);
    const same = (value: number): number[] => sides.map(() => value);
    const [stride, padding, dilation, outputPadding] = [same(2), same(1), same(1), [1, 0, 1].slice(0, dims)];
    scope(() => {
      const x = randn([2, 4, ...sides], { generator });
      const weight = randn([4, 2, ...same(3)], { generator });
      const bias = randn([4], { generator });
      const back = ops.convolution(x, weight, bias, stride, padding, dilation, true, outputPadding, 2);
      const windows = { stride, padding, dilation, groups: 2, outputPadding };
      const rough = x.to({ dtype: "bfloat16" });
      for (const [ours, theirs] of [
        [convNd, ops.convolution(x, weight, bias, stride, padding, dilation, false, same(0), 2)],
        [convTransposeNd, back],
      ] as const) {
        assertClose(ours(x, weight, bias, windows), theirs, 1e-5);
        // An input in bfloat16, as an operator before it may leave it, meets weights in float32.
        const cast = autocast({}, () => ours(rough, weight, bias, windows));
        assert.equal(cast.dtype, "bfloat16");
        // Processors with and without bfloat16 arithmetic round at different places.
        assertClose(cast.to({ dtype: "float32" }), theirs, 0.06);
      }
    });
    assert.equal(memory().handles, handles);
  });
}
