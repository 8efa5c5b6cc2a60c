/** Two hosts between which all packets are dropped for a while: ranks go on or end with an error, and never hang. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Hosts, whyNoHosts } from "../../support/hosts.ts";
import { typescript } from "../../support/typescript.ts";

const skip = whyNoHosts() ?? false;
const program = fileURLToPath(new URL("../../support/rank.ts", import.meta.url));

/** What each of two ranks on hosts of their own comes to, when one is cut off for some seconds. */
async function partitioned(timeout: number, seconds: number): Promise<{ sum?: number; error?: string }[]> {
  await using hosts = await Hosts.open(2);
  const common = { MASTER_ADDR: hosts.address(0), MASTER_PORT: "29500", WORLD_SIZE: "2", OMP_NUM_THREADS: "1" };
  const ranks = [0, 1].map((rank) => {
    const command = [process.execPath, ...typescript, program, "rounds", String(timeout)];
    const env = { ...process.env, ...common, RANK: String(rank) };
    const child = hosts.spawn(rank, command, { env, stdio: ["ignore", "pipe", "inherit"] });
    let said = "";
    const begun = new Promise<void>((done) => {
      child.stdout?.on("data", (piece) => {
        said += piece;
        if (said.includes("begun")) done();
      });
    });
    return { begun, ended: once(child, "close").then(() => JSON.parse(said.trim().split("\n").at(-1) ?? "")) };
  });
  await Promise.all(ranks.map(({ begun }) => begun));
  hosts.cut(1);
  await pause(1000 * seconds);
  hosts.join(1);
  return await Promise.all(ranks.map(({ ended }) => ended));
}

test("ranks that are apart for less than their time-out go on, to the same numbers", { skip }, async () => {
  const [first, second] = await partitioned(60, 3);
  // 6 numbers from r + i on, of ranks r = 0, 1 and rounds i = 0 … 59.
  const expected = Array.from({ length: 60 }, (_, i) => 2 * 15 + 6 * (2 * i + 1)).reduce((sum, one) => sum + one);
  assert.deepEqual([first, second], [{ sum: expected }, { sum: expected }]);
});

test("ranks that are apart for longer end with an error that names rank, collective and shape", { skip }, async () => {
  for (const [rank, { error }] of (await partitioned(2, 6)).entries()) {
    assert.match(
      error ?? "",
      new RegExp(
        `^rank ${rank} of 2: all_reduce of float64\\[3, 2\\] failed: (no answer within 2 s: .*|another rank ended)$`,
      ),
    );
  }
});
