/** The network between the hosts of tests and benchmarks: late, slow, counted and cut as it is asked to be. */
import assert from "node:assert/strict";
import type { SpawnOptions } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { Hosts, whyNoHosts } from "../../support/hosts.ts";

const skip = whyNoHosts() ?? false;

/** Answers each message of 4 bytes, the length of what it asks for. */
const server = `
require("node:net").createServer((socket) => {
  socket.on("data", (data) => socket.write(Buffer.alloc(data.readUInt32BE())));
  socket.on("error", () => {});
}).listen(9000, () => console.log("ready"));`;

/** Asks a host for bytes as often as it is told to, one after the other; writes milliseconds of each. */
const client = `
const [host, bytes, times] = process.argv.slice(1);
const socket = require("node:net").connect(9000, host);
socket.setNoDelay(true);
const question = Buffer.alloc(4);
question.writeUInt32BE(Number(bytes));
let began = 0, got = 0, left = Number(times);
const ask = () => {
  if (left-- === 0) return socket.destroy();
  [began, got] = [performance.now(), 0];
  socket.write(question);
};
socket.on("connect", ask);
socket.on("data", (data) => {
  got += data.length;
  if (got < Number(bytes)) return;
  console.log(performance.now() - began);
  ask();
});`;

const pipes: SpawnOptions = { stdio: ["ignore", "pipe", "inherit"] };

/** Milliseconds of each answer of host 1 to host 0. */
async function asked(hosts: Hosts, bytes: number, times: number): Promise<number[]> {
  const child = hosts.spawn(0, [process.execPath, "-e", client, hosts.address(1), String(bytes), String(times)], pipes);
  const pieces: string[] = [];
  child.stdout?.on("data", (piece) => pieces.push(String(piece)));
  assert.deepEqual(await once(child, "close"), [0, null]);
  return pieces.join("").trim().split("\n").map(Number);
}

async function withServer(hosts: Hosts, work: () => Promise<void>): Promise<void> {
  const child = hosts.spawn(1, [process.execPath, "-e", server], pipes);
  try {
    await once(child.stdout ?? child, "data");
    await work();
  } finally {
    child.kill("SIGKILL");
    await once(child, "exit");
  }
}

test("packets take the link's delay each way, and bytes its rate", { skip }, async () => {
  await using hosts = await Hosts.open(2, { delayMs: 15, mbits: 80 });
  await withServer(hosts, async () => {
    const times = await asked(hosts, 1, 3);
    assert.equal(times.length, 3);
    assert.ok(Math.min(...times) >= 30, String(times));
    const before = hosts.traffic(0);
    const [long = 0] = await asked(hosts, 1_000_000, 1);
    // 8 Mbit at 80 Mbit/s, both delays, and not less.
    assert.ok(long >= 130, String(long));
    const [sent, received] = (["sent", "received"] as const).map((way) => hosts.traffic(0)[way] - before[way]);
    assert.ok(received !== undefined && received > 1_000_000 && received < 1_030_000, String(received));
    assert.ok(sent !== undefined && sent < 30_000, String(sent));
    hosts.setLink({ delayMs: 40 });
    // The first question may be on its way before the link has changed.
    const [, ...later] = await asked(hosts, 1, 3);
    assert.ok(Math.min(...later) >= 80, String(later));
  });
});

test("a host that is cut off gets nothing, and all of it once it is joined", { skip }, async () => {
  await using hosts = await Hosts.open(3);
  await withServer(hosts, async () => {
    assert.equal((await asked(hosts, 1, 1)).length, 1);
    hosts.cut(1);
    const late = asked(hosts, 1, 1);
    const heard = await Promise.race([late, new Promise((done) => setTimeout(done, 500, "nothing"))]);
    assert.equal(heard, "nothing");
    hosts.join(1);
    assert.equal((await late).length, 1);
  });
});
