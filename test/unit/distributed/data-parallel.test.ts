import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readSafetensors } from "../../../src/io/index.ts";
import { disposeTree } from "../../../src/torch/index.ts";
import { type FitKind, type Fitted, fitKinds, fitToy } from "../../support/parallel-fits.ts";
import { folderOf, type RunKind, runKinds, trainKinds } from "../../support/parallel-runs.ts";
import { type Setup, type Trained, trainToy } from "../../support/parallel-training.ts";
import { ranks } from "../../support/ranks.ts";
import { temporaryFolder, writeShapeImages, writeSmallHub } from "../../support/small-hub.ts";
import { writeZooHub } from "../../support/zoo-hub.ts";

/** Largest difference of two runs' numbers, as a part of the larger one or of 1. */
function difference(a: readonly number[], b: readonly number[]): number {
  assert.equal(a.length, b.length);
  return Math.max(0, ...a.map((x, i) => Math.abs(x - (b[i] ?? Number.NaN)) / Math.max(1, Math.abs(x))));
}

async function assertSame(setup: Setup, worldSize: number): Promise<Trained[]> {
  const alone = trainToy(setup);
  const started = Array.from({ length: worldSize }, (_, rank) => rank);
  const all = (await ranks("train", { ranks: started, worldSize, setup })) as unknown as Trained[];
  for (const [rank, one] of all.entries()) {
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

test("twenty steps on two, three and four ranks end as on one: losses, routes and weights", async () => {
  await assertSame({ k: 1, frozen: true, batch: 12, steps: 20 }, 3);
  await assertSame({ k: 2, frozen: true, batch: 13, steps: 20 }, 2);
});

test("with statistics of the batch too, those of all ranks' rows, some of which have none of a model", async () => {
  await assertSame({ k: 1, frozen: false, batch: 10, steps: 20 }, 4);
});

test("the loop's own fits end as on one rank: learning from losses, members that stay as they are, mixtures", async () => {
  const kinds = Object.keys(fitKinds) as FitKind[];
  const alone = new Map<FitKind, Fitted>();
  for (const kind of kinds) alone.set(kind, await fitToy(kind));
  for (const worldSize of [2, 3]) {
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
  }
});

/** Weights that a run's fits end in, by file and name. */
function weightsOf(run: string): Map<string, number[]> {
  const folder = join(run, "training");
  const files = readdirSync(folder).filter((name) => name.endsWith(".weights.safetensors"));
  return new Map(
    files.sort().flatMap((file) => {
      const { tensors } = readSafetensors(join(folder, file));
      const all = [...tensors].map(([name, tensor]) => [`${file}: ${name}`, tensor.toNumbers()] as const);
      disposeTree(tensors);
      return all;
    }),
  );
}

test("whole runs in float32 end as on one rank: statistics of all rows, bounded memory, stored features, bss, zoo-tuning", async () => {
  const folder = temporaryFolder();
  const place = { folder, hub: writeZooHub(folder), images: await writeShapeImages(folder, 16) };
  const kinds = Object.keys(runKinds) as RunKind[];
  const caches = ["one", "two"].map((name) => join(folder, "caches", name)) as [string, string];
  await trainKinds({ ...place, cache: caches[0], kinds });
  const found = await ranks("runs", { ranks: [0, 1], worldSize: 2, setup: { ...place, cache: caches[1], kinds } });
  for (const { error } of found) assert.equal(error, undefined);
  for (const kind of kinds) {
    const [alone, both] = [1, 2].map((worldSize) => weightsOf(folderOf(place, kind, { worldSize }))) as [
      Map<string, number[]>,
      Map<string, number[]>,
    ];
    assert.ok(alone.size > 0);
    assert.deepEqual([...both.keys()], [...alone.keys()]);
    for (const [name, values] of alone) {
      // One of a few temperatures, chosen by losses that may hardly differ.
      if (name.endsWith(": temperature")) continue;
      const off = difference(values, both.get(name) ?? []);
      assert.ok(off < 1e-4, `${name} of ${kind} differs by ${off}`);
    }
  }
  const [memory, all] = (["memory", "statistics"] as const).map((kind) =>
    weightsOf(folderOf(place, kind, { worldSize: 2 })),
  );
  assert.deepEqual(memory, all, "bounded memory changes no bit");
  const features = caches.map((cache) => {
    const names = readdirSync(join(cache, "features")).filter((name) => name.endsWith(".safetensors"));
    return names.sort().map((name) => [name, readFileSync(join(cache, "features", name)).toString("base64")]);
  });
  assert.equal(features[0]?.length, 9, "two views and the validation images of three models");
  assert.deepEqual(features[1], features[0], "each feature is what one process computes");
});

test("models that ranks have among them learn as in one place, in steps and in evaluation", async () => {
  // Statistics of all rows, which the owner sees; the first rank has no model, and takes part in every exchange.
  const all = await assertSame({ k: 2, frozen: false, batch: 13, steps: 20, shards: true }, 4);
  const ranksOf = (part: string) =>
    all.flatMap(({ weights }, rank) => (Object.keys(weights).some((name) => name.startsWith(part)) ? [rank] : []));
  assert.deepEqual(
    [0, 1, 2].map((i) => ranksOf(`members.toy${i}.`)),
    [[1], [2], [3]],
    "each model is on one rank",
  );
});

test("ranks with other models or images than the first one's are named", async () => {
  const folder = temporaryFolder();
  const one = { folder, hub: writeZooHub(folder), images: await writeShapeImages(folder, 9) };
  const other = temporaryFolder();
  const kinds: RunKind[] = ["statistics"];
  for (const [change, pattern] of [
    [{ hub: writeSmallHub(other) }, /^ranks differ in members: rank 0 has \["first",.*, rank 1 has \["small-resnet"/],
    [{ images: await writeShapeImages(other, 8) }, /^ranks differ in splitHash: rank 0 has /],
  ] as const) {
    const setup = [one, { ...one, ...change }].map((place) => ({ ...place, cache: join(other, "cache"), kinds }));
    const found = await ranks("runs", { ranks: [0, 1], worldSize: 2, setup });
    for (const { error } of found) assert.match(error, pattern);
  }
});
