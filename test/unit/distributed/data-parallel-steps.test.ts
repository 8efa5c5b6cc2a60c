/** Ranks that share batches: statistics of the batch, bfloat16, and the loop's own fits. */
// Long: models are trained by two to four processes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type FitKind, type Fitted, fitKinds, fitToy } from "../../support/parallel-fits.ts";
import { difference, type Setup, type Trained, trainToy } from "../../support/parallel-training.ts";
import { ranks } from "../../support/ranks.ts";
import { assertSame } from "../../support/same-ranks.ts";

test("twenty steps on three ranks end as on one: losses, routes and weights", async () => {
  await assertSame({ k: 1, frozen: true, batch: 12, steps: 20 }, 3);
});

test("with statistics of the batch too, those of all ranks' rows, some of which have none of a model", async () => {
  await assertSame({ k: 1, frozen: false, batch: 10, steps: 8 }, 4);
});

test("under bfloat16 two ranks have the routes of one process, and are nearer to it than that is to float32", async () => {
  const distance = (a: readonly number[], b: readonly number[]) => Math.hypot(...a.map((x, i) => x - (b[i] ?? 0)));
  for (const more of [{ shards: false }, { shards: true }]) {
    const setup: Setup = { k: 2, batch: 13, steps: 8, precision: "bfloat16", frozen: false, ...more };
    const [exact, alone] = [trainToy({ ...setup, precision: "float32" }), trainToy(setup)];
    const both = (await ranks("train", { ranks: [0, 1], worldSize: 2, setup })) as unknown as Trained[];
    for (const one of both) assert.equal((one as Trained & { error?: string }).error, undefined);
    const routes = alone.routes.map((_, step) => both.flatMap((one) => one.routes[step] ?? []));
    assert.deepEqual(routes, alone.routes);
    const all: Record<string, number[]> = Object.assign({}, ...both.map(({ weights }) => weights));
    assert.deepEqual(Object.keys(all).sort(), Object.keys(alone.weights).sort());
    const flat = (weights: Trained["weights"]) => Object.keys(all).flatMap((name) => weights[name] ?? []);
    const own = flat(alone.weights);
    assert.ok(distance(flat(all), own) < distance(flat(exact.weights), own));
    for (const { losses } of both) assert.ok(distance(losses, alone.losses) < distance(exact.losses, alone.losses));
    assert.deepEqual(
      both.map(({ leaked }) => leaked),
      [0, 0],
    );
  }
});

test("the loop's own fits end as on one rank: learning from losses, members that stay as they are, mixtures", async () => {
  const kinds = Object.keys(fitKinds) as FitKind[];
  const alone = new Map<FitKind, Fitted>();
  for (const kind of kinds) alone.set(kind, await fitToy(kind));
  const worldSize = 3;
  const started = Array.from({ length: worldSize }, (_, rank) => rank);
  const all = (await ranks("fits", { ranks: started, worldSize, setup: kinds })) as unknown as Record<
    FitKind,
    Fitted
  >[];
  for (const kind of kinds) {
    const one = alone.get(kind) as Fitted;
    for (const [rank, found] of all.entries()) {
      const own = found[kind];
      const where = `${kind} on rank ${rank} of ${worldSize}`;
      assert.ok(difference(one.losses, own.losses) < 1e-10, `losses of ${where}`);
      assert.deepEqual(own.shares, one.shares, where);
      assert.equal(own.trainingFlops, one.trainingFlops, where);
      assert.deepEqual(Object.keys(own.weights), Object.keys(one.weights));
      for (const [name, weights] of Object.entries(one.weights)) {
        assert.ok(difference(weights, own.weights[name] ?? []) < 1e-10, `${name} of ${where}`);
      }
      assert.ok(own.leaked <= 0, `${own.leaked} tensors are left by ${where}`);
    }
    assert.ok(one.leaked <= 0, kind);
  }
});
