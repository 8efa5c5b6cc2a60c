/** Whole runs on two ranks against those of one process. */
// Long: whole runs are trained by several processes.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readSafetensors } from "../../../src/io/index.ts";
import { disposeTree } from "../../../src/torch/index.ts";
import { folderOf, type RunKind, runKinds, trainKinds } from "../../support/parallel-runs.ts";
import { difference } from "../../support/parallel-training.ts";
import { ranks } from "../../support/ranks.ts";
import { temporaryFolder, writeShapeImages, writeSmallHub } from "../../support/small-hub.ts";
import { writeZooHub } from "../../support/zoo-hub.ts";

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
    // Small images that a generator sees are kept by one process alone: several ranks read theirs.
    const kept = (name: string) => name.endsWith(".safetensors") && !name.startsWith("images_");
    const names = readdirSync(join(cache, "features")).filter(kept);
    return names.sort().map((name) => [name, readFileSync(join(cache, "features", name)).toString("base64")]);
  });
  assert.equal(features[0]?.length, 9, "two views and the validation images of three models");
  assert.deepEqual(features[1], features[0], "each feature is what one process computes");
});

test("ranks with other models or images than the first one's are named", async () => {
  const folder = temporaryFolder();
  const one = { folder, hub: writeZooHub(folder), images: await writeShapeImages(folder, 9) };
  const other = temporaryFolder();
  const kinds: RunKind[] = ["statistics"];
  for (const [change, pattern] of [
    [{ hub: writeSmallHub(other) }, /^ranks differ in members: rank 0 has \["first",.*, rank 1 has \["small-resnet"/],
    [{ images: await writeShapeImages(other, 8) }, /^ranks differ in images or their split: rank 0 has /],
  ] as const) {
    const setup = [one, { ...one, ...change }].map((place) => ({ ...place, cache: join(other, "cache"), kinds }));
    const found = await ranks("runs", { ranks: [0, 1], worldSize: 2, setup });
    for (const { error } of found) assert.match(error, pattern);
  }
});
