/** Two hosts between which all packets are dropped for a while: ranks go on or end with an error, and never hang. */
// Long: two hosts wait for each other.
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

/** What each of two ranks on hosts of their own comes to, when one is cut off for some seconds, or until both have ended. */
async function partitioned(timeout: number, seconds = Number.POSITIVE_INFINITY): Promise<Found[]> {
  const begun = ranks.map(({ child }) => once(child, "message"));
  const found = Promise.all(ranks.map((rank) => rank.run({ job: "rounds", timeout })));
  await Promise.all(begun);
  hosts.cut(1);
  await (Number.isFinite(seconds) ? pause(1000 * seconds) : found);
  hosts.join(1);
  return found;
}

test("ranks that are apart for less than their time-out go on, to the same numbers", { skip }, async () => {
  const [first, second] = await partitioned(600, 1);
  // 6 numbers from r + i on, of ranks r = 0, 1 and rounds i = 0 … 19.
  const expected = Array.from({ length: 20 }, (_, i) => 2 * 15 + 6 * (2 * i + 1)).reduce((sum, one) => sum + one);
  assert.deepEqual([first, second], [{ sum: expected }, { sum: expected }]);
});

test("ranks that are apart for longer end with an error that names rank, collective and shape", { skip }, async () => {
  for (const [rank, { error }] of (await partitioned(1)).entries()) {
    assert.match(
      error,
      new RegExp(
        `^rank ${rank} of 2: all_reduce of float64\\[3, 2\\] failed: (no answer within 1 s: .*|another rank ended)$`,
      ),
    );
  }
});
