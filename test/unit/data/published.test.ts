/** Published data sets against other readers and writers: see test/fixtures/make-published.py. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { relative } from "node:path";
import { test } from "node:test";
import {
  type Dataset,
  decodeImage,
  type ImageSource,
  ImageStore,
  type Item,
  openDataset,
  publishedDatasets,
  splitDataset,
} from "../../../src/data/index.ts";
import { memory } from "../../../src/torch/index.ts";
import { unpackedFixtures } from "../../support/unpacked.ts";
import { temporaryCache } from "./support.ts";

temporaryCache();
const fixtures = unpackedFixtures("published");

interface Listed {
  file: string;
  label: number;
}

interface Expected {
  "cifar-100": Record<"train" | "test", { label: number; sha256: string }[]> & { classes: string[] };
  aircraft: Record<"train" | "val" | "test", Listed[]> & { classes: string[]; pixels: string };
  "stanford-cars": Record<"train" | "test", Listed[]> & { classes: string[] };
  eurosat: { classes: string[]; all: Listed[] };
  "mit-indoors": { classes: string[]; Train: string[]; Test: string[] };
  dmlab: Record<"train" | "validation" | "test", { label: number; pixels: string }[]>;
  "coco-70": Record<"train" | "test", { id: number; label: number }[]> & { classes: string[]; pixels: string };
}

const expected = JSON.parse(readFileSync(`${fixtures}/expected.json`, "utf8")) as Expected;

const decode = (item: Item, size: number) => decodeImage(item, { size, channels: 3, pixelLimit: 1e6 });
const ofSplit = (dataset: Dataset, split: Item["split"]) => dataset.items.filter((item) => item.split === split);
const pathOf = (source: ImageSource) => ("path" in source ? source.path : "");

/** Files below a fixture and labels, in order. */
function listed(items: readonly Item[], folder: string): Listed[] {
  return items.map(({ source, label }) => ({ file: relative(`${fixtures}/${folder}`, pathOf(source)), label }));
}

/** Two JPEG decoders may round differently. */
function assertNear(actual: Uint8Array, base64: string): void {
  const wanted = Buffer.from(base64, "base64");
  assert.equal(actual.length, wanted.length);
  const worst = Math.max(...wanted.map((value, i) => Math.abs(value - (actual[i] ?? 0))));
  assert.ok(worst <= 3, `pixels differ by ${worst}`);
}

for (const version of ["cifar-100", "cifar-100/cifar-100-binary", "cifar-100/cifar-100-python"]) {
  test(`CIFAR-100 as torchvision reads it: ${version}`, async () => {
    const { handles } = memory();
    const dataset = await openDataset(`cifar-100:${fixtures}/${version}`);
    assert.deepEqual(dataset.classes, expected["cifar-100"].classes);
    for (const split of ["train", "test"] as const) {
      const items = ofSplit(dataset, split === "test" ? "test" : undefined);
      const found = [];
      for (const item of items) {
        const bytes = await decode(item, 32);
        found.push({ label: item.label, sha256: createHash("sha256").update(bytes).digest("hex") });
      }
      assert.deepEqual(found, expected["cifar-100"][split]);
    }
    assert.equal(memory().handles, handles);
  });
}

test("Aircraft as torchvision lists it, train and validation for training, without the banner", async () => {
  const dataset = await openDataset(`aircraft:${fixtures}/aircraft`);
  const { classes, pixels, ...splits } = expected.aircraft;
  assert.deepEqual(dataset.classes, classes);
  assert.deepEqual(listed(ofSplit(dataset, "train"), "aircraft"), [...splits.train, ...splits.val]);
  const tests = ofSplit(dataset, "test");
  assert.deepEqual(listed(tests, "aircraft"), splits.test);
  assertNear(await decode(tests[1] as Item, 16), pixels);
  const inside = await openDataset(`aircraft:${fixtures}/aircraft/fgvc-aircraft-2013b/data`);
  assert.deepEqual(inside.items, dataset.items);
});

test("Stanford Cars as torchvision lists it, from MAT files that scipy wrote, compressed and not", async () => {
  const dataset = await openDataset(`stanford-cars:${fixtures}/cars`);
  const { classes, train, test: tests } = expected["stanford-cars"];
  assert.deepEqual(dataset.classes, classes);
  assert.deepEqual(listed(ofSplit(dataset, undefined), "cars"), train);
  assert.deepEqual(listed(ofSplit(dataset, "test"), "cars"), tests);
});

test("EuroSAT as torchvision lists it, with a split of our own", async () => {
  const dataset = await openDataset(`eurosat:${fixtures}/eurosat/eurosat`);
  assert.deepEqual(dataset.classes, expected.eurosat.classes);
  assert.deepEqual(listed(dataset.items, "eurosat"), expected.eurosat.all);
  assert.ok(dataset.items.every((item) => item.split === undefined));
});

test("MIT-Indoors by its two lists", async () => {
  const dataset = await openDataset(`mit-indoors:${fixtures}/mit-indoors`);
  const { classes, Train, Test } = expected["mit-indoors"];
  assert.deepEqual(dataset.classes, classes);
  const withLabels = (names: string[]) =>
    names.map((name) => ({ file: `Images/${name}`, label: classes.indexOf(name.split("/")[0] ?? "") }));
  assert.deepEqual(listed(ofSplit(dataset, undefined), "mit-indoors"), withLabels(Train));
  assert.deepEqual(listed(ofSplit(dataset, "test"), "mit-indoors"), withLabels(Test));
});

test("DMLab's records as protobuf wrote them, over several files, with images inside", async () => {
  const dataset = await openDataset(`dmlab:${fixtures}/dmlab`);
  assert.equal(dataset.classes.length, 6);
  for (const split of ["train", "validation", "test"] as const) {
    const items = ofSplit(dataset, split);
    assert.deepEqual(
      items.map((item) => item.label),
      expected.dmlab[split].map((record) => record.label),
    );
    for (const [i, item] of items.entries()) assertNear(await decode(item, 12), expected.dmlab[split][i]?.pixels ?? "");
  }
  const ids = dataset.items.map((item) => item.id);
  assert.equal(new Set(ids).size, ids.length);
});

test("COCO-70 out of COCO's annotations: boxes of the 70 categories, large enough, no crowds", async () => {
  const dataset = await openDataset(`coco-70:${fixtures}/coco`);
  const { classes, pixels, train, test: tests } = expected["coco-70"];
  assert.deepEqual(dataset.classes, classes);
  const brief = (items: Item[]) => items.map((item) => ({ id: Number(item.id.split("#")[1]), label: item.label }));
  assert.deepEqual(brief(ofSplit(dataset, undefined)), train);
  assert.deepEqual(brief(ofSplit(dataset, "test")), tests);
  const dog = dataset.items.find((item) => item.id.endsWith("#501")) as Item;
  assertNear(await decode(dog, 40), pixels);
  const glass = dataset.items.find((item) => item.id.endsWith("#78")) as Item;
  // A box that leaves its image by a fraction ends at the image's side.
  assert.deepEqual((glass.source as Extract<ImageSource, { kind: "file" }>).crop, {
    left: 20,
    top: 8,
    width: 60,
    height: 50,
  });
  const twoOfOne = dataset.items.filter((item) => item.id.startsWith("train2017/000000000009"));
  assert.deepEqual([...new Set(twoOfOne.map((item) => item.group))], ["9"]);
});

test("COCO-70 by its published lists", async () => {
  const dataset = await openDataset(`coco-70:${fixtures}/coco-list`);
  assert.equal(dataset.classes.length, 70);
  assert.deepEqual(
    dataset.items.map((item) => [item.id, dataset.classes[item.label], item.split]),
    [
      ["train/dog/a b.jpg", "dog", undefined],
      ["train/person/1.jpg", "person", undefined],
      ["test/teddy_bear/1.jpg", "teddy bear", "test"],
    ],
  );
});

test("a published split is kept, and validation comes out of the training images where none is published", async () => {
  const aircraft = await openDataset(`aircraft:${fixtures}/aircraft`);
  const items = aircraft.items.map((item, i) => (i >= 4 && i < 8 ? { ...item, split: "validation" as const } : item));
  const kept = splitDataset({ ...aircraft, items }, { seed: 3 });
  for (const [part, split] of [
    [kept.train, "train"],
    [kept.validation, "validation"],
    [kept.test, "test"],
  ] as const) {
    assert.deepEqual([...new Set(part.map((i) => items[i]?.split))], [split]);
    assert.equal(part.length, 4);
  }
  const cars = await openDataset(`stanford-cars:${fixtures}/cars`);
  const drawn = { ...cars, items: [...cars.items, ...cars.items].map((item, i) => ({ ...item, id: `${i}` })) };
  const split = splitDataset(drawn, { seed: 0, validationFraction: 0.25 });
  assert.equal(split.test.length, 4);
  assert.ok([...split.train, ...split.validation].every((i) => drawn.items[i]?.split === undefined));
});

test("decoded images of crops and of parts of files are kept apart", async () => {
  const cropped = await openDataset(`aircraft:${fixtures}/aircraft`);
  const whole: Dataset = {
    ...cropped,
    items: cropped.items.map(({ source, ...item }) => ({ ...item, source: { kind: "file", path: pathOf(source) } })),
  };
  const stores = [];
  for (const dataset of [cropped, whole, await openDataset(`dmlab:${fixtures}/dmlab`)]) {
    stores.push(await ImageStore.open(dataset, { size: 8 }));
  }
  assert.equal(new Set(stores.map((store) => store.key)).size, 3);
  using first = await (stores[2] as ImageStore).batch([0]);
  using second = await (stores[2] as ImageStore).batch([1]);
  assert.notDeepEqual(first.toNumbers(), second.toNumbers());
  for (const store of stores) store.dispose();
});

test("the names of the list are unique and say where their files come from", () => {
  const names = publishedDatasets.map((one) => one.name);
  assert.deepEqual(names, ["cifar-100", "coco-70", "aircraft", "stanford-cars", "mit-indoors", "dmlab", "eurosat"]);
  for (const { origin } of publishedDatasets) assert.match(origin, /https:\/\//);
});
