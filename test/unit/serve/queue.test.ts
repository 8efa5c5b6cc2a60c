/** The queue over an engine that answers when the test says so. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BatchWindow } from "../../../src/serve/batch-window.ts";
import type { BatchAnswer, RowRequest } from "../../../src/serve/engine/answer-batch.ts";
import { defaultLimits, type Limits } from "../../../src/serve/limits.ts";
import { entropy } from "../../../src/serve/metrics.ts";
import { Problem } from "../../../src/serve/problem.ts";
import { type BatchEngine, BatchQueue, OtherSize, type Row } from "../../../src/serve/queue.ts";

class ManualEngine implements BatchEngine {
  readonly info: BatchEngine["info"];
  /** First bytes of the rows of each batch, and what they asked for. */
  readonly batches: {
    rows: number[];
    requests: readonly RowRequest[];
    done: () => void;
    fail: (error: Error) => void;
  }[] = [];
  pending = 0;

  constructor(size = 1) {
    const rule = {
      k: 2,
      weights: { trainedK: 2, temperature: 1 },
      members: [{ index: 0 }, { index: 1 }, { index: 2 }],
    };
    this.info = {
      kind: "run",
      labels: ["a"],
      members: ["x", "y", "z"],
      size,
      choices: { largestK: 3, isOrdered: true },
      rule,
    };
  }

  answer(bytes: Uint8Array, requests: readonly RowRequest[]): Promise<BatchAnswer> {
    this.pending++;
    const each = 3 * this.info.size ** 2;
    const rows = requests.map((_, i) => bytes[i * each] ?? -1);
    return new Promise((resolve, reject) => {
      const done = () => {
        this.pending--;
        const answers = rows.map((row) => ({
          probabilities: Float32Array.of(row),
          weights: Float32Array.of(1),
          without: [],
        }));
        resolve({ rows: answers, milliseconds: { route: 1, member: 1, join: 1 }, resident: 3 });
      };
      const fail = (error: Error) => {
        this.pending--;
        reject(error);
      };
      this.batches.push({ rows, requests, done, fail });
    });
  }
}

function opened(
  limits: Partial<Limits>,
  engine: ManualEngine | undefined = new ManualEngine(),
): { queue: BatchQueue; engine: ManualEngine } {
  const queue = new BatchQueue(
    { ...defaultLimits, maxWaitMs: 0, ...limits },
    { onBatch: () => {}, onDispatched: () => {} },
  );
  queue.engine = engine;
  return { queue, engine };
}

const row = (value: number, more: Partial<Row> = {}): Row => {
  return {
    bytes: Uint8Array.of(value, 0, 0),
    request: {},
    open: { deadline: Number.POSITIVE_INFINITY, isWanted: true },
    ...more,
  };
};

const turn = () => new Promise((resolve) => setImmediate(resolve));

const problem = (status: number) => (error: unknown) => error instanceof Problem && error.status === status;

test("what comes while the engine works is one batch, and a full one lies ready behind it", async () => {
  const { queue, engine } = opened({ maxBatch: 4 });
  const answers = Array.from({ length: 9 }, (_, i) => queue.push(row(i)));
  assert.deepEqual(
    engine.batches.map(({ rows }) => rows),
    [[0], [1, 2, 3, 4]],
  );
  engine.batches[0]?.done();
  await turn();
  assert.deepEqual(
    engine.batches.map(({ rows }) => rows),
    [[0], [1, 2, 3, 4], [5, 6, 7, 8]],
  );
  for (const { done } of engine.batches.slice(1)) done();
  for (const [i, { answer }] of (await Promise.all(answers)).entries()) assert.equal(answer.probabilities[0], i);
});

test("a row that nobody waits for, and one that is late, are not computed", async () => {
  const { queue, engine } = opened({ maxBatch: 4 });
  const first = queue.push(row(0));
  const gone = { deadline: Number.POSITIVE_INFINITY, isWanted: true };
  const [left, late, last] = [
    queue.push(row(1, { open: gone })),
    queue.push(row(2, { open: { deadline: performance.now() - 1, isWanted: true } })),
    queue.push(row(3)),
  ];
  const refused = [assert.rejects(left, problem(504)), assert.rejects(late, problem(504))];
  gone.isWanted = false;
  engine.batches[0]?.done();
  await Promise.all([first, ...refused]);
  await turn();
  assert.deepEqual(engine.batches[1]?.rows, [3]);
  engine.batches[1]?.done();
  await last;
});

test("no more images are let in than the queue has places, and they are given back", () => {
  const { queue } = opened({ queue: 3 });
  const leave = queue.admit(2);
  assert.throws(() => queue.admit(2), problem(503));
  queue.admit(1);
  assert.equal(queue.depth, 3);
  leave();
  assert.equal(queue.depth, 1);
  const { queue: empty } = { queue: new BatchQueue(defaultLimits, { onBatch: () => {}, onDispatched: () => {} }) };
  assert.throws(() => empty.admit(1), problem(503));
});

test("under load fewer members are activated, where the request asks for more, and the answer says so", async () => {
  const { queue, engine } = opened({ queue: 8, maxBatch: 2, degrade: 1 });
  queue.admit(4);
  const calm = queue.push(row(0));
  queue.admit(1);
  const busy = [queue.push(row(1)), queue.push(row(2, { request: { choice: { k: 1 } } }))];
  assert.deepEqual(
    engine.batches.map(({ requests }) => requests.map(({ choice }) => choice?.k)),
    [[undefined], [1, 1]],
  );
  for (const { done } of engine.batches) done();
  assert.deepEqual(
    (await Promise.all([calm, ...busy])).map(({ loweredTo }) => loweredTo),
    [undefined, 1, undefined],
  );
});

test("rows of another size than a new engine's are sent back, and an engine's failure is each row's", async () => {
  const { queue, engine } = opened({ maxBatch: 2 });
  const first = queue.push(row(0));
  const old = queue.push(row(1));
  const failed = assert.rejects(first, /died/);
  const sentBack = assert.rejects(old, OtherSize);
  queue.engine = new ManualEngine(2);
  engine.batches[0]?.fail(new Error("died"));
  await Promise.all([failed, sentBack]);
  queue.engine = undefined;
  await assert.rejects(queue.push(row(2)), problem(503));
});

test("a window grows while waiting pays, shrinks to nothing while it does not, and never holds a lone row", () => {
  const window = new BatchWindow(4);
  assert.equal(window.waitFor(5), 0);
  for (let i = 0; i < 20; i++) {
    window.sent(false, i * 10);
    window.arrived(i * 10 + 1);
  }
  assert.deepEqual([window.waitFor(2), window.waitFor(1)], [4, 0]);
  for (let i = 0; i < 20; i++) window.waited(false);
  assert.equal(window.waitFor(5), 0);
  window.sent(true, 1000);
  window.arrived(1001);
  window.sent(false, 2000);
  window.arrived(2100);
  assert.equal(window.waitFor(5), 0);
});

test("entropy of shares, in bits", () => {
  assert.deepEqual([entropy([3]), entropy([2, 2]), entropy([1, 1, 1, 1]), entropy([])], [0, 1, 2, 0]);
});
