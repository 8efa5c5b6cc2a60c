/** Waiting for a store that is late, that never comes, and until a signal. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { freePort } from "../../../src/cli/ranks.ts";
import { untilServed } from "../../../src/distributed/index.ts";
import { Interrupted } from "../../../src/torch/index.ts";

const usual = { launcher: "a test", rank: 1, worldSize: 2, localRank: 1, isServed: false, restarts: 0 };
const never = new AbortController().signal;

test("a rank waits for a store that is late, and says so once; the rank that serves it does not wait", async (t) => {
  const contract = { ...usual, host: "127.0.0.1", port: await freePort() };
  await untilServed({ ...contract, rank: 0 }, 600, assert.fail, never);
  t.mock.timers.enable({ apis: ["Date"] });
  const said: string[] = [];
  const served = untilServed(contract, 600, (why) => said.push(why), never);
  t.mock.timers.setTime(10_001);
  while (said.length === 0) await new Promise(setImmediate);
  t.mock.timers.setTime(30_000);
  const server = createServer().listen(contract.port, contract.host);
  await Promise.all([once(server, "listening"), once(server, "connection"), served]);
  server.close();
  const { port } = contract;
  assert.deepEqual(said, [
    `no answer from the first rank at 127.0.0.1:${port} yet (ECONNREFUSED); waiting for up to 600 s`,
  ]);
});

test("the wait ends when ranks have had their time, and at a signal", async () => {
  const contract = { ...usual, host: "127.0.0.1", port: await freePort() };
  const { host, port } = contract;
  const late = `no answer from the first rank at ${host}:${port} within 0.01 s (ECONNREFUSED)`;
  const message = `rank 1 of 2: ${late}: start it there, or set MASTER_ADDR and MASTER_PORT`;
  await assert.rejects(untilServed(contract, 0.01, assert.fail, never), { name: "CollectiveError", message });
  const abort = new AbortController();
  const waits = untilServed({ ...contract, host: "no-such-host.invalid" }, 600, assert.fail, abort.signal);
  abort.abort();
  await assert.rejects(waits, Interrupted);
});
