/** Parked tensors keep identity and shape, files that shrink while mapped are errors, normal mode inside inference mode. */
import assert from "node:assert/strict";
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  ensureResident,
  fromFile,
  inferenceMode,
  isGradEnabled,
  normalMode,
  ones,
  park,
  scope,
  TorchError,
  tensor,
  unpark,
} from "../../../src/torch/index.ts";
import { assertNoLeak } from "../../support/numeric.ts";
import { temporaryFolder } from "../../support/small-hub.ts";

test("a parked tensor gives its memory back and takes part in autograd again when it returns", () => {
  assertNoLeak(() => {
    using weight = tensor([1, 2, 3]);
    weight.requires_grad = true;
    const asked: boolean[] = [];
    park(weight, (writing) => {
      asked.push(writing);
      using content = tensor([4, 5, 6]);
      unpark(weight, content);
    });
    assert.deepEqual(weight.shape, [3]);
    assert.deepEqual(weight.toNumbers(), [0, 0, 0]);
    inferenceMode(() => ensureResident(weight, false));
    ensureResident(weight, true);
    assert.deepEqual(asked, [false]);
    assert.deepEqual(weight.toNumbers(), [4, 5, 6]);
    scope(() => {
      weight.square().sum([0]).backward();
      assert.deepEqual(weight.grad?.toNumbers(), [8, 10, 12]);
      weight.grad = undefined;
    });
  });
});

test("normal mode inside inference mode makes tensors that can be trained", () => {
  scope(() => {
    const [inner, grad] = inferenceMode(() => normalMode(() => [ones([2]), isGradEnabled()] as const));
    assert.ok(grad);
    inner.requires_grad = true;
    inner.square().sum([0]).backward();
    assert.deepEqual(inner.grad?.toNumbers(), [2, 2]);
  });
});

test("reading what a mapped file has lost throws, and the process goes on", () => {
  const path = join(temporaryFolder(), "mapped.bin");
  writeFileSync(path, Buffer.alloc(1 << 20, 1));
  scope(() => {
    const mapped = fromFile(path, { size: 1 << 20, dtype: "uint8" });
    const other = fromFile(path, { size: 1 << 20, dtype: "uint8" });
    truncateSync(path, 5000);
    assert.throws(
      () => mapped.sum([0]),
      (error: unknown) => error instanceof TorchError && /mapped\.bin became shorter while it was/.test(error.message),
    );
    assert.throws(() => other.toBytes(), /became shorter/);
    assert.equal(ones([3]).sum([0]).item(), 3);
    assert.throws(() => mapped.sum([0]), /became shorter/, "what is lost does not become zeros");
    assert.throws(() => mapped.narrow(0, 0, 4).add(1), /became shorter/);
  });
});
