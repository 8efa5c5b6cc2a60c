import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { processOf, type RankProcess, ranks } from "../../support/ranks.ts";
import { temporaryFolder } from "../../support/small-hub.ts";

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

test("gradients are added up, in the middle of a step or at its end; what no rank has touched stays without one", async () => {
  const gradients = [[0, 111], [1, 10], null, [9, 111], [4, 10], null];
  const expected = { handles: 0, figures: [3, 3], gradients };
  assert.deepEqual(await ranks("gradients"), [expected, expected, expected]);
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
  assert.match(first?.error ?? "", /^rank 0 of 3: all_reduce of float32\[2\] failed: .+$/);
  const backward = /^rank 2 of 3: reduce_scatter of float64\[3, 2\] in a backward pass failed: another rank ended$/;
  assert.match(third?.error ?? "", backward);
  const [alone] = await ranks("collectives", { ranks: [1], timeout: 1 });
  assert.match(alone?.error ?? "", /^rank 1 of 3: the store at 127\.0\.0\.1:\d+ failed: /);
});

test("work of one rank may take longer than the others wait for an answer", async () => {
  const found = await ranks("late", { ranks: [0, 1], worldSize: 2, timeout: 0.6 });
  assert.deepEqual(found, [{ order: [0] }, { order: [1] }]);
});

test("a port in use is an error that names it", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const [found] = await ranks("collectives", { ranks: [0], timeout: 1, port });
  server.close();
  assert.match(found?.error ?? "", new RegExp(`^rank 0 of 3: the store at 127\\.0\\.0\\.1:${port} failed: .*in use`));
});

test("a rank that waits for another one, or for the store, ends after a signal: when it has waited for long, or at the second", async () => {
  for (const [signals, patience, moment] of [
    [1, 0.5, "waits"],
    [2, 60, "waits"],
    [2, 60, "opens"],
  ] as const) {
    const isEarly = moment === "opens";
    const folder = temporaryFolder();
    const [waiting, other] = (isEarly ? [1, 0] : [0, 1]).map((rank) => processOf(rank)) as [RankProcess, RankProcess];
    const found = ranks("waits", { ranks: isEarly ? [1] : [0, 1], worldSize: 2, patience, setup: folder });
    await new Promise<void>((done) => waiting.child.on("message", (said) => said === moment && done()));
    if (isEarly) await pause(100);
    for (let i = 0; i < signals; i++) {
      waiting.child.kill("SIGTERM");
      await pause(50);
    }
    const [code] = await once(waiting.child, "exit");
    assert.equal(code, 130);
    if (!isEarly) other.child.kill("SIGUSR2");
    const [{ error, output } = { error: "" }] = await found;
    const why = "stopped by a signal while it waited for other ranks; what is saved stays";
    const message = `rank ${isEarly ? 1 : 0} of 2: ${why}`;
    assert.equal(error, `${message}\n`);
    assert.equal(output, `${JSON.stringify({ message })}\n`, "the line for programs");
    if (isEarly) continue;
    for (let i = 0; existsSync(folder) && i < 100; i++) await pause(20);
    assert.equal(existsSync(folder), false, "what is to be removed at the end");
  }
});
