/** Ranks that share batches or models: the same training as in one process. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertSame } from "../../support/same-ranks.ts";

test("twenty steps on two ranks end as on one: losses, routes and weights", async () => {
  await assertSame({ k: 2, frozen: true, batch: 13, steps: 20 }, 2);
});

test("models that ranks have among them learn as in one place, in steps and in evaluation", async () => {
  // Statistics of all rows, which the owner sees; the first rank has no model, and takes part in every exchange.
  const all = await assertSame({ k: 2, frozen: false, batch: 13, steps: 8, shards: true }, 4);
  const ranksOf = (part: string) =>
    all.flatMap(({ weights }, rank) => (Object.keys(weights).some((name) => name.startsWith(part)) ? [rank] : []));
  assert.deepEqual(
    [0, 1, 2].map((i) => ranksOf(`members.toy${i}.`)),
    [[1], [2], [3]],
    "each model is on one rank",
  );
});
