import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { type AddressInfo, createServer, type Server } from "node:net";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { type Group, processOf, ranks } from "../../support/ranks.ts";
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
    assert.equal(error, "ranks differ in k: rank 0 has 2, rank 1 has 3; start all alike");
  }
  const same = settings.map(() => settings[0]);
  assert.deepEqual(await ranks("agree", { setup: same }), [{}, {}, {}]);
});

test("work of one rank may take longer than the others wait for an answer", async () => {
  // Each works for 1.3 time-outs, and says five times that it does; then both say that it is done.
  const answers = 2 * (5 + 1);
  const found = await ranks("late", { ranks: [0, 1], worldSize: 2 });
  assert.deepEqual(
    found,
    [0, 1].map((rank) => ({ order: [rank], answers })),
  );
});

test("an answer that does not come in time ends the wait, however long the start may take", async () => {
  const files = temporaryFolder();
  const found = await ranks("silent", { ranks: [0, 1], worldSize: 2, timeout: 1, startTimeout: 600, setup: files });
  const errors = (found[0]?.["errors"] ?? []) as string[];
  assert.equal(errors.length, 2, "of the store and of a sum");
  for (const error of errors) assert.match(error, /^rank 0 of 2: .* no answer within 1 s/);
});

test("a signal ends work of one rank for all, those that work too", async () => {
  const others = { error: "work of another rank" };
  assert.deepEqual(await ranks("overheard"), [others, { error: "decoding" }, others]);
});

test("a signal ends work of one rank for those that wait", async () => {
  const found = await ranks("interrupted", { ranks: [0, 1], worldSize: 2 });
  assert.deepEqual(found, [{ error: "decoding" }, { error: "work of another rank" }]);
});

/** A server that listens at a port of its own. */
async function listening(): Promise<{ server: Server; port: number }> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, port: (server.address() as AddressInfo).port };
}

test("a store that nobody serves, or whose port is in use, is an error that names it", async () => {
  const { server, port } = await listening();
  const refusal = async (rank: number, options: Group) =>
    (await ranks("late", { ranks: [rank], ...options }))[0]?.error;
  const place = `the store at 127\\.0\\.0\\.1:${port} failed:`;
  assert.match(
    (await refusal(0, { port })) ?? "",
    new RegExp(`^rank 0 of 3: ${place} the port is in use .*: choose another`),
  );
  server.close();
  const late = await refusal(1, { port, startTimeout: 0.5 });
  assert.match(late ?? "", new RegExp(`^rank 1 of 3: ${place} (no answer within 0.5 s|another rank ended)`));
});

const childOf = (rank: number) => processOf(rank).child;
const why = "stopped by a signal while it waited for other ranks; what is saved stays";

/** What a rank says that signals end, for people and for programs. */
const stopped = (rank: number) => {
  const message = `rank ${rank} of 3: ${why}`;
  return { error: `${message}\n`, output: `${JSON.stringify({ message })}\n` };
};

test("a rank that waits ends after a signal: when it has waited for long, or at the second; others that ask for it are told", async () => {
  const folder = temporaryFolder();
  const wait = (rank: number) =>
    new Promise<void>((done) => childOf(rank).on("message", (said) => said === "waits" && done()));
  const all = [0, 1, 2].map(wait);
  const found = ranks("waits", { patience: [0.5, 600, 600], setup: folder });
  await Promise.all(all);
  const [first, last] = [childOf(0), childOf(2)];
  const ends = [first, last].map((child) => once(child, "exit"));
  // Two of a kind might come as one.
  for (const signal of ["SIGTERM", "SIGINT"] as const) last.kill(signal);
  first.kill("SIGTERM");
  for (const end of ends) assert.equal((await end)[0], 130);
  childOf(1).kill("SIGUSR2");
  const [errors] = [(await found)[1]?.["errors"] as string[]];
  assert.deepEqual([(await found)[0], (await found)[2]], [stopped(0), stopped(2)]);
  assert.equal(errors[0], "rank 1 of 3: reduce_scatter of float64[3, 2] in a backward pass failed: another rank ended");
  assert.match(errors[1] ?? "", /^rank 1 of 3: all_reduce of float32\[2\] failed: .+$/);
  // What is to be removed at the end: ranks have ended, and their last act may take a moment.
  for (let wait = 0; wait < 1500 && existsSync(folder); wait++) await pause(20);
  assert.ok(!existsSync(folder), "the folder is gone");
});

test("a rank that waits for the store ends at the first signal: there is nothing to save", async () => {
  const { server, port } = await listening();
  const found = ranks("waits", { ranks: [1], patience: [0, 600], port });
  await once(server, "connection");
  const end = once(childOf(1), "exit");
  childOf(1).kill("SIGTERM");
  assert.equal((await end)[0], 130);
  assert.deepEqual(await found, [stopped(1)]);
  server.close();
});
