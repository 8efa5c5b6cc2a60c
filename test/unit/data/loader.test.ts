import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { augmentations, ImageStore, Loader, type LoaderOptions } from "../../../src/data/index.ts";
import { memory } from "../../../src/torch/index.ts";
import { fileDataset, temporaryCache, temporaryFolder, writeNoise } from "./support.ts";

temporaryCache();
const folder = temporaryFolder();
const count = 23;
const paths = Array.from({ length: count }, (_, i) => join(folder, `${i}.png`));
const pixels = await Promise.all(paths.map((path, i) => writeNoise(path, 8, i)));
const labels = paths.map((_, i) => i % 3);
const dataset = fileDataset(paths, labels);
const mapped = await ImageStore.open(dataset, { size: 8 });
const streamed = await ImageStore.open(dataset, { size: 8, budgetBytes: 1 });
after(() => {
  mapped.dispose();
  streamed.dispose();
});

const indices = Array.from({ length: 20 }, (_, i) => i + 2);
const loader = (changes: Partial<LoaderOptions> = {}) =>
  new Loader({ store: mapped, indices, labels, classes: 3, batchSize: 6, seed: 4, shuffle: true, ...changes });

interface Seen {
  indices: number[];
  labels: number[];
  targets: number[];
  images: number[];
}

async function all(source: Loader, epoch: number, startStep = 0): Promise<Seen[]> {
  const seen: Seen[] = [];
  for await (const batch of source.epoch(epoch, startStep)) {
    const { indices: own, labels: names } = batch;
    seen.push({ indices: own, labels: names, targets: batch.targets.toNumbers(), images: batch.images.toNumbers() });
    batch.dispose();
  }
  return seen;
}

test("every item comes once in an epoch, with its own pixels in [0, 1] and its own label", async () => {
  const batches = await all(loader(), 0);
  assert.deepEqual(
    batches.map((batch) => batch.indices.length),
    [6, 6, 6, 2],
  );
  assert.equal(loader().stepsPerEpoch, 4);
  assert.deepEqual(
    batches.flatMap((batch) => batch.indices).sort((a, b) => a - b),
    indices,
  );
  for (const batch of batches) {
    assert.deepEqual(batch.targets, batch.labels);
    for (const [place, index] of batch.indices.entries()) {
      assert.equal(batch.labels[place], index % 3);
      const written = pixels[index]!;
      for (let p = 0; p < 64; p++)
        for (let c = 0; c < 3; c++) {
          const got = batch.images[place * 192 + c * 64 + p] ?? -1;
          assert.ok(Math.abs(got - (written[p * 3 + c] ?? 0) / 255) < 1e-6);
        }
    }
  }
});

test("the order depends on seed and epoch alone", async () => {
  const order = (source: Loader, epoch: number) => all(source, epoch).then((seen) => seen.flatMap((b) => b.indices));
  const first = await order(loader(), 3);
  assert.deepEqual(await order(loader(), 3), first);
  assert.deepEqual(loader().order(3), first);
  assert.notDeepEqual(await order(loader(), 4), first);
  assert.notDeepEqual(await order(loader({ seed: 5 }), 3), first);
  assert.deepEqual(await order(loader({ shuffle: false }), 3), indices);
});

test("an epoch taken up at a step goes on exactly as if it had not stopped", async () => {
  for (const augment of [undefined, augmentations.randaugment, augmentations.mixup]) {
    const whole = await all(loader({ augment }), 2);
    for (let step = 0; step <= 4; step++) assert.deepEqual(await all(loader({ augment }), 2, step), whole.slice(step));
  }
});

test("decoding on demand gives the same batches as the cache", async () => {
  const augment = augmentations.standard;
  assert.deepEqual(await all(loader({ store: streamed, augment }), 1), await all(loader({ augment }), 1));
});

test("augmentation differs from epoch to epoch", async () => {
  const source = loader({ augment: augmentations.standard, shuffle: false });
  const [first, second] = [await all(source, 0), await all(source, 1)];
  assert.deepEqual(first[0]?.indices, second[0]?.indices);
  assert.notDeepEqual(first[0]?.images, second[0]?.images);
});

test("crops come out of larger images, and a view without changes is the whole image", async () => {
  const augment = { ...augmentations.none, minimumArea: 0.08 };
  const sized = (changes: Partial<LoaderOptions>) => all(loader({ side: 4, shuffle: false, ...changes }), 0);
  const [whole, crops, plain] = [await sized({}), await sized({ augment }), await sized({ augment, views: 2 })];
  for (const batches of [whole, crops]) assert.equal(batches[0]?.images.length, 6 * 3 * 4 * 4);
  assert.deepEqual(plain, whole);
  assert.notDeepEqual(crops, whole);
  // Middles of pairs of pixels: the mean of four.
  const first = pixels[whole[0]!.indices[0]!]!;
  const four = [0, 1, 8, 9].reduce((sum, p) => sum + (first[3 * p] ?? 0), 0) / 4 / 255;
  assert.ok(Math.abs((whole[0]?.images[0] ?? 0) - four) < 1e-6);
});

test("mixup gives soft targets that sum to one", async () => {
  const batches = await all(loader({ augment: augmentations.mixup }), 0);
  for (const { targets, indices: own } of batches) {
    assert.equal(targets.length, own.length * 3);
    for (let i = 0; i < own.length; i++) {
      const sum = targets.slice(3 * i, 3 * i + 3).reduce((total, value) => total + value, 0);
      assert.ok(Math.abs(sum - 1) < 1e-6);
    }
  }
});

test("whole, broken-off and failing epochs leave no tensors behind", async () => {
  const before = memory().handles;
  await all(loader({ augment: augmentations.randaugment }), 0);
  for (const store of [mapped, streamed])
    for await (const batch of loader({ store }).epoch(0)) {
      batch.dispose();
      break;
    }
  const bad = join(folder, "bad.png");
  await writeNoise(bad, 8, 99);
  const broken = await ImageStore.open(fileDataset([...paths.slice(0, 8), bad]), { size: 8, budgetBytes: 1 });
  // It changes after it was looked at.
  writeFileSync(bad, "nothing");
  const order = Array.from({ length: 9 }, (_, i) => i);
  const failing = loader({ store: broken, indices: order, labels: order, classes: 9, batchSize: 4, shuffle: false });
  await assert.rejects(all(failing, 0), /bad\.png/);
  assert.equal(memory().handles, before);
});

test("balanced batches show classes equally often, and the images of a class over time too", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 6, maxLength: 40 }),
      fc.integer({ min: 0, max: 99 }),
      (own, seed) => {
        const indices = [...own.keys()];
        const balanced = loader({ indices, labels: own, seed, isBalanced: true });
        const seen = new Map<number, number>();
        for (let epoch = 0; epoch < 12; epoch++) {
          const order = balanced.order(epoch);
          assert.deepEqual(order, balanced.order(epoch), "decided by the epoch");
          assert.equal(order.length, own.length);
          const counts = [...new Set(own)].map((name) => order.filter((i) => own[i] === name).length);
          assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, `${counts}`);
          for (const i of order) seen.set(i, (seen.get(i) ?? 0) + 1);
        }
        for (const name of new Set(own)) {
          const all = indices.filter((i) => own[i] === name).map((i) => seen.get(i) ?? 0);
          assert.ok(Math.max(...all) - Math.min(...all) <= 1, `${all}`);
        }
      },
    ),
    { numRuns: 50 },
  );
});

test("rows of labels and numbers are targets in double precision; a label is sampled by its images", async () => {
  const targets = [
    [1e9 + 0.25, 1],
    [2, 0],
    [3, 0],
    [4, 0],
    [5, 0],
    [6, 0],
  ];
  for await (const batch of loader({ indices: [0, 2], targets, shuffle: false }).epoch(0)) {
    assert.deepEqual(batch.targets.toNumbers(), [1e9 + 0.25, 1, 3, 0]);
    assert.equal(batch.targets.dtype, "float64");
    batch.dispose();
  }
  const labels = [
    [0, 1],
    [1, 0],
    [1, 0],
    [1, 0],
    [1, 0],
    [1, 0],
  ];
  const order = loader({ indices: [0, 1, 2, 3, 4, 5], targets: labels, isBalanced: true }).order(0);
  assert.equal(order.filter((i) => i === 0).length, 3);
});
