/** Two hosts between which all packets are dropped for a while: ranks go on or end with an error, and never hang. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Hosts, startOn, whyNoHosts } from "../../support/hosts.ts";
import { type Found, RankProcess, rankCommand } from "../../support/ranks.ts";

const skip = whyNoHosts() ?? false;
let hosts: Hosts;
let ranks: RankProcess[];

before(async () => {
  if (skip !== false) return;
  hosts = await Hosts.open(2);
  const stdio = ["ignore", "ignore", "pipe", "ipc"] as const;
  ranks = startOn(hosts, rankCommand, { stdio: [...stdio] }).map((child) => new RankProcess(child));
});

after(async () => {
  for (const { child } of ranks ?? []) child.kill();
  await hosts?.[Symbol.asyncDispose]();
});

/** What each of two ranks on hosts of their own comes to, when one is cut off for some seconds. */
async function partitioned(timeout: number, seconds: number): Promise<Found[]> {
  const begun = ranks.map(({ child }) => once(child, "message"));
  const found = ranks.map((rank) => rank.run({ job: "rounds", timeout }));
  await Promise.all(begun);
  hosts.cut(1);
  await pause(1000 * seconds);
  hosts.join(1);
  return await Promise.all(found);
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
      error,
      new RegExp(
        `^rank ${rank} of 2: all_reduce of float64\\[3, 2\\] failed: (no answer within 2 s: .*|another rank ended)$`,
      ),
    );
  }
});
