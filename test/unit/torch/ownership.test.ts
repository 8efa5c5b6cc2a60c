import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import {
  allOrNothing,
  disposeTree,
  keep,
  memory,
  scope,
  type Tensor,
  tensor,
  zeros,
} from "../../../src/torch/index.ts";
import { assertNoLeak } from "../../support/numeric.ts";
import { loader } from "../../support/typescript.ts";

test("a scope releases what was made inside and keeps what it returns", () => {
  let inner: Tensor | undefined;
  const result = scope(() => {
    inner = zeros([2]);
    return { list: [inner.add(1)], map: new Map([["x", inner.add(2)]]), number: 3 };
  });
  assert.ok(inner && !inner.isLive);
  assert.deepEqual(result.list[0]?.toArray(), [1, 1]);
  assert.deepEqual(result.map.get("x")?.toArray(), [2, 2]);
  disposeTree(result);
  assert.ok(!result.list[0]?.isLive);
});

test("what an inner scope returns belongs to the outer one", () => {
  let escaped: Tensor | undefined;
  scope(() => {
    escaped = scope(() => zeros([1]));
    assert.ok(escaped.isLive);
  });
  assert.ok(!escaped?.isLive);
});

test("kept tensors outlive every scope", () => {
  const x = scope(() => {
    const kept = keep(zeros([1]));
    return scope(() => [kept])[0];
  });
  assert.ok(x?.isLive);
  x.dispose();
});

test("what fails half-way leaves nothing that it kept, what succeeds leaves all", () => {
  const made: Tensor[] = [];
  const make = () => made.push(keep(zeros([1])));
  assert.throws(() =>
    allOrNothing(() => {
      make();
      allOrNothing(make);
      throw new Error("stop");
    }),
  );
  assert.deepEqual(
    made.map((tensor) => tensor.isLive),
    [false, false],
  );
  allOrNothing(make);
  assert.ok(made[2]?.isLive);
  made[2].dispose();
});

test("a scope that throws releases everything", () => {
  let made: Tensor | undefined;
  assert.throws(() =>
    scope(() => {
      made = zeros([1]);
      throw new Error("stop");
    }),
  );
  assert.ok(!made?.isLive);
  using after = zeros([1]);
  assert.ok(after.isLive);
});

test("a scope refuses a Promise", () => {
  assert.throws(() => scope(async () => zeros([1])), /synchronous/);
});

test("`using` releases at the end of the block", () => {
  assertNoLeak(() => {
    using x = zeros([10]);
    using y = x.add(1);
    assert.equal(y.numel(), 10);
  });
});

test("memory() counts handles and bytes", () => {
  const before = memory();
  using x = zeros([1000], { dtype: "float64" });
  assert.equal(memory().handles - before.handles, 1);
  assert.equal(memory().bytes - before.bytes, 8000);
  x.dispose();
  assert.deepEqual(memory(), before);
});

test("disposing a tensor does not disturb a view or autograd", () => {
  const x = tensor([1, 2]);
  const view = x.view([2, 1]);
  x.dispose();
  assert.deepEqual(view.toArray(), [[1], [2]]);
});

test("the garbage collector releases what nobody disposed", async () => {
  const before = memory().bytes;
  const make = () => {
    for (let i = 0; i < 200; i++) zeros([100_000]);
  };
  make();
  assert.ok(memory().bytes > before);
  for (let i = 0; i < 50 && memory().bytes > before + 40_000_000; i++) {
    new Array(1e6).fill(i);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(memory().bytes < before + 60_000_000, "80 MB of unreachable tensors are still held");
});

test("the addon loads in worker threads, each with its own counts", async () => {
  const source = new URL("../../../src/torch/index.ts", import.meta.url).href;
  const code = `
    const { parentPort } = require("node:worker_threads");
    import(${JSON.stringify(loader)}).then(() => import(${JSON.stringify(source)})).then((torch) => {
      const before = torch.memory().handles;
      torch.setNumThreads(1);
      const sum = torch.ones([10]).sum().item();
      parentPort.postMessage({ before, sum, after: torch.memory().handles, threads: torch.getNumThreads() });
    });`;
  const worker = new Worker(code, { eval: true });
  const message = await new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
  assert.deepEqual(message, { before: 0, sum: 10, after: 2, threads: 1 });
  await worker.terminate();
});
