/** Training on several ranks, compared with the same training in one process. */
import assert from "node:assert/strict";
import { difference, type Setup, type Trained, trainToy } from "./parallel-training.ts";
import { ranks } from "./ranks.ts";

/** Trains in one process and on so many ranks, and holds that losses, norms, logits, weights and routes are the same. */
export async function assertSame(setup: Setup, worldSize: number): Promise<Trained[]> {
  const alone = trainToy(setup);
  const started = Array.from({ length: worldSize }, (_, rank) => rank);
  const all = (await ranks("train", { ranks: started, worldSize, setup })) as unknown as Trained[];
  for (const [rank, one] of all.entries()) {
    assert.equal((one as Trained & { error?: string }).error, undefined);
    assert.ok(difference(alone.losses, one.losses) < 1e-10, `losses of rank ${rank} of ${worldSize}`);
    assert.ok(difference(alone.norms, one.norms) < 1e-10, `norms of rank ${rank} of ${worldSize}`);
    assert.ok(difference(alone.logits, one.logits) < 1e-10, `logits of rank ${rank} of ${worldSize}`);
    if (!setup.shards) assert.deepEqual(Object.keys(one.weights), Object.keys(alone.weights));
    for (const [name, weights] of Object.entries(one.weights)) {
      assert.ok(difference(weights, alone.weights[name] ?? []) < 1e-10, `${name} of rank ${rank} of ${worldSize}`);
    }
    assert.deepEqual([one.leaked, alone.leaked], [0, 0], "no tensor is left");
  }
  assert.deepEqual(new Set(all.flatMap(({ weights }) => Object.keys(weights))), new Set(Object.keys(alone.weights)));
  const routes = alone.routes.map((_, step) => all.flatMap((one) => one.routes[step] ?? []));
  assert.deepEqual(routes, alone.routes, "each row has the same routes, whichever rank it is on");
  return all;
}
