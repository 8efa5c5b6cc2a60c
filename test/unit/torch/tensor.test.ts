import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { arange, eye, fromBytes, stack, Tensor, TorchError, tensor, where, zeros } from "../../../src/torch/index.ts";
import { assertClose } from "../../support/numeric.ts";

test("nested arrays become tensors and come back", () => {
  const data = [
    [1, 2, 3],
    [4, 5, 6],
  ];
  assert.deepEqual(tensor(data).toArray(), data);
  assert.deepEqual(tensor(data).shape, [2, 3]);
  assert.deepEqual(tensor(7).toArray(), 7);
  assert.throws(() => tensor([[1, 2], [3]]), RangeError);
});

test("every dtype keeps its values and its element type", () => {
  for (const dtype of ["float32", "float64", "int64", "int32", "int16", "int8", "float16", "bfloat16"] as const) {
    const made = tensor([-2, 0, 3], { dtype });
    assert.equal(made.dtype, dtype);
    assert.deepEqual(made.toNumbers(), [-2, 0, 3]);
  }
  assert.deepEqual(tensor([0, 1], { dtype: "bool" }).toNumbers(), [0, 1]);
  assert.ok(tensor([1], { dtype: "int64" }).toTypedArray() instanceof BigInt64Array);
  assert.ok(tensor(new Uint8Array([255])).dtype === "uint8");
});

test("typed arrays of any length make the round trip (property)", () => {
  fc.assert(
    fc.property(fc.float32Array({ maxLength: 64 }), (values) => {
      const bytes = (array: ArrayBufferView) => Buffer.from(array.buffer, array.byteOffset, array.byteLength);
      assert.ok(bytes(tensor(values).toTypedArray()).equals(bytes(values)));
    }),
  );
});

test("a view of a larger buffer is read from its own offset", () => {
  const buffer = new Float32Array([0, 1, 2, 3]);
  assert.deepEqual(tensor(buffer.subarray(1, 3)).toArray(), [1, 2]);
});

test("non-contiguous tensors are read in row-major order", () => {
  const transposed = tensor([
    [1, 2],
    [3, 4],
  ]).t();
  assert.deepEqual(transposed.toArray(), [
    [1, 3],
    [2, 4],
  ]);
});

test("numbers take part in arithmetic without changing the dtype", () => {
  assert.equal(tensor([1, 2], { dtype: "float16" }).mul(2.5).dtype, "float16");
  assert.equal(tensor([1, 2], { dtype: "int64" }).add(1).dtype, "int64");
  assert.deepEqual(tensor([1, 2]).pow(2).toArray(), [1, 4]);
  assert.deepEqual(
    tensor([1, 2])
      .sub(tensor([3, 5]), { alpha: 2 })
      .toArray(),
    [-5, -8],
  );
});

test("in-place methods return the very same tensor", () => {
  const x = zeros([3]);
  assert.equal(x.add_(2).mul_(3), x);
  assert.deepEqual(x.toArray(), [6, 6, 6]);
  x.copyFrom(new Float32Array([7, 8, 9]));
  assert.deepEqual(x.toArray(), [7, 8, 9]);
  assert.throws(() => x.copyFrom(new Float32Array(2)), /bytes/);
});

test("reductions, sorting and selection agree with plain JavaScript", () => {
  const x = tensor([
    [3, 1, 2],
    [9, 7, 8],
  ]);
  assert.equal(x.sum().item(), 30);
  assertClose(x.mean(0), [6, 4, 5]);
  assertClose(x.var(1), [1, 1]);
  assertClose(x.var(1, { correction: 0 }), [2 / 3, 2 / 3]);
  assert.deepEqual(x.argmax(1).toArray(), [0, 0]);
  assert.deepEqual(x.topk(2, 1)[1].toArray(), [
    [0, 2],
    [0, 2],
  ]);
  assert.deepEqual(x.sort(1)[1].toArray(), [
    [1, 2, 0],
    [1, 2, 0],
  ]);
  assert.deepEqual(x.gather(1, tensor([[1], [2]], { dtype: "int64" })).toArray(), [[1], [8]]);
  assert.deepEqual(where(x.gt(5), x, 0).sum().item(), 24);
  assert.deepEqual(arange(2, 8, 3).toArray(), [2, 5]);
  assert.deepEqual(stack([tensor([1]), tensor([2])]).shape, [2, 1]);
  assertClose(eye(2).matmul(x), x);
});

test("bytes in a dtype's own layout", () => {
  const made = fromBytes(new Uint8Array(new Float64Array([1.5]).buffer), [1], "float64");
  assert.equal(made.item(), 1.5);
});

test("an error names operator and shapes", () => {
  assert.throws(
    () => zeros([2, 3]).matmul(zeros([2, 3])),
    (error: unknown) =>
      error instanceof TorchError &&
      error.operator === "aten::matmul" &&
      error.message.includes("float32[2, 3], float32[2, 3]"),
  );
});

test("a released tensor says so", () => {
  const x = zeros([2]);
  x.dispose();
  x.dispose();
  assert.ok(!x.isLive);
  assert.throws(() => x.add(1), /released/);
  assert.ok(x instanceof Tensor);
});
