import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { processOf, ranks } from "../../support/ranks.ts";

test("collectives are PyTorch's, with the gradients of those that have one", async () => {
  const all = await ranks("collectives");
  for (const [rank, found] of all.entries()) {
    const { sum, largest, gathered, gradient, scattered, exchanged, broadcast, empty, told, handles } = found;
    assert.deepEqual(sum, [30, 33, 36, 39], "0 + 10 + 20, and three times 0 to 3");
    assert.deepEqual(largest, [20, 21, 22, 23]);
    assert.deepEqual(gathered, [0, 1, 1, 2, 2, 3]);
    assert.deepEqual(gradient, [6, 6], "the factors 1, 2 and 3 of all ranks");
    assert.deepEqual(scattered, [3 + 6 * rank, 6 + 6 * rank], "sums over the ranks of rows that begin with the rank");
    assert.deepEqual(broadcast, [10, 11, 12, 13]);
    assert.deepEqual(empty, [0, 2]);
    // Rank f sends its rows to ranks f, f + 1, ...: of rank f comes the row at this rank less f.
    const rows = Array.from({ length: rank + 1 }, (_, from) => [
      100 * from + 2 * (rank - from),
      100 * from + 2 * (rank - from) + 1,
    ]);
    assert.deepEqual(exchanged, rows.flat());
    assert.equal(told, `rank ${(rank + 1) % 3}`);
    assert.equal(handles, 0, "no tensor is left");
  }
});

test("settings that differ are named on every rank", async () => {
  const settings = ["2", "3", "2"].map((k) => ({ method: "hub-pathway", k }));
  for (const { error } of await ranks("agree", { setup: settings })) {
    assert.equal(error, "ranks differ in k: rank 0 has 2, rank 1 has 3");
  }
  const same = settings.map(() => settings[0]);
  assert.deepEqual(await ranks("agree", { setup: same }), [{}, {}, {}]);
});

test("a rank that ends, or never comes, is an error of the others that says what waited", async () => {
  const [first, , third] = await ranks("absent", { timeout: 3 });
  for (const found of [first, third]) {
    const { error = "" } = found ?? {};
    assert.match(error, /^rank [02] of 3: all_reduce of float32\[2\] failed: /);
    assert.equal(error.includes("\n"), false);
  }
  const [alone] = await ranks("collectives", { ranks: [1], timeout: 1 });
  assert.match(alone?.error ?? "", /^rank 1 of 3: the store at 127\.0\.0\.1:\d+ failed: /);
});

test("a port in use is an error that names it", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const [found] = await ranks("collectives", { ranks: [0], timeout: 1, port });
  server.close();
  assert.match(found?.error ?? "", new RegExp(`^rank 0 of 3: the store at 127\\.0\\.0\\.1:${port} failed: .*in use`));
});

test("a rank that waits for another one ends after a signal: when it has waited for long, or at the second", async () => {
  for (const [signals, patience] of [
    [1, 0.5],
    [2, 60],
  ] as const) {
    const [first, second] = [0, 1].map((rank) => processOf(rank).child);
    const waits = once(first as ChildProcess, "message");
    const found = ranks("waits", { ranks: [0, 1], worldSize: 2, patience });
    await waits;
    for (let i = 0; i < signals; i++) {
      first?.kill("SIGTERM");
      await pause(50);
    }
    const [code] = await once(first as ChildProcess, "exit");
    assert.equal(code, 130);
    second?.kill("SIGUSR2");
    const [{ error } = { error: "" }] = await found;
    const line =
      "rank 0 of 2: stopped by a signal while it waited for other ranks; training goes on from its last checkpoint";
    assert.equal(error, `${line}\n`);
  }
});
