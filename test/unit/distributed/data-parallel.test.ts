import assert from "node:assert/strict";
import { test } from "node:test";
import { type Setup, type Trained, trainToy } from "../../support/parallel-training.ts";
import { ranks } from "../../support/ranks.ts";

/** Largest difference of two runs' numbers, as a part of the larger one or of 1. */
function difference(a: readonly number[], b: readonly number[]): number {
  assert.equal(a.length, b.length);
  return Math.max(0, ...a.map((x, i) => Math.abs(x - (b[i] ?? Number.NaN)) / Math.max(1, Math.abs(x))));
}

async function assertSame(setup: Setup, worldSize: number): Promise<void> {
  const alone = trainToy(setup);
  const started = Array.from({ length: worldSize }, (_, rank) => rank);
  const all = (await ranks("train", { ranks: started, worldSize, setup })) as unknown as Trained[];
  for (const [rank, one] of all.entries()) {
    assert.ok(difference(alone.losses, one.losses) < 1e-10, `losses of rank ${rank} of ${worldSize}`);
    assert.deepEqual(Object.keys(one.weights), Object.keys(alone.weights));
    for (const [name, weights] of Object.entries(alone.weights)) {
      assert.ok(difference(weights, one.weights[name] ?? []) < 1e-10, `${name} of rank ${rank} of ${worldSize}`);
    }
    assert.deepEqual([one.leaked, alone.leaked], [0, 0], "no tensor is left");
  }
  const routes = alone.routes.map((_, step) => all.flatMap((one) => one.routes[step] ?? []));
  assert.deepEqual(routes, alone.routes, "each row has the same routes, whichever rank it is on");
}

test("twenty steps on two, three and four ranks end as on one: losses, routes and weights", async () => {
  await assertSame({ k: 1, frozen: true, batch: 12, steps: 20 }, 3);
  await assertSame({ k: 2, frozen: true, batch: 13, steps: 20 }, 2);
});

test("with statistics of the batch too, those of all ranks' rows, some of which have none of a model", async () => {
  await assertSame({ k: 1, frozen: false, batch: 10, steps: 20 }, 4);
});
