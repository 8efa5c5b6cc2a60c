import assert from "node:assert/strict";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { emojiGroup } from "../../../src/data/datasets/emoji.ts";
import { seriesOf } from "../../../src/data/datasets/openclipart.ts";
import { photographPlaces } from "../../../src/data/datasets/photographs.ts";
import { decodeImage, findDataset, openDataset } from "../../../src/data/index.ts";
import { UserError } from "../../../src/torch/index.ts";
import { temporaryCache, temporaryFolder, writeNoise } from "./support.ts";

const cache = temporaryCache();

function write(path: string, content: string | Buffer): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

test("a known data set that is not in the cache says how to get it", async () => {
  await assert.rejects(
    openDataset("emoji"),
    (error) => error instanceof UserError && /data fetch emoji/.test(error.message),
  );
  assert.ok(!existsSync(join(cache, "packages")));
});

test("variants of one emoji are one group", () => {
  const same = (a: string, b: string) => assert.equal(emojiGroup(a), emojiGroup(b), `${a} and ${b}`);
  same("1F468-200D-1F3ED", "1F469-200D-1F3ED"); // factory workers
  same("1F468-200D-1F3ED", "1F9D1-200D-1F3ED");
  same("1F64E", "1F64E-200D-2640-FE0F"); // pouting
  same("1F64E-200D-2642-FE0F", "1F64E-200D-2640-FE0F");
  same("1F468", "1F469");
  assert.notEqual(emojiGroup("1F692"), emojiGroup("1F469-200D-1F692")); // fire engine and firefighter
  assert.notEqual(emojiGroup("1F1EB-1F1F7"), emojiGroup("1F1EC-1F1F7")); // flags
});

test("emoji: categories without Component, only pictures that are there", async () => {
  const folder = temporaryFolder();
  const entry = (unified: string, category: string, has_img_google = true) => ({
    unified,
    image: `${unified.toLowerCase()}.png`,
    short_name: unified,
    category,
    has_img_google,
  });
  const entries = [
    entry("1F600", "Smileys & Emotion"),
    entry("1F34E", "Food & Drink"),
    entry("1F3FB", "Component"),
    entry("1F35F", "Food & Drink", false),
  ];
  write(join(folder, "package/emoji.json"), JSON.stringify(entries));
  for (const { image } of entries) await writeNoise(join(folder, "package/img/google/64", image), 4, 1, 4);
  const dataset = await findDataset("emoji").open([folder]);
  assert.deepEqual(dataset.classes, ["Food & Drink", "Smileys & Emotion"]);
  assert.deepEqual(
    dataset.items.map((item) => [item.id, item.label]),
    [
      ["1F34E", 0],
      ["1F600", 1],
    ],
  );
});

test("clips of one series are one group", () => {
  assert.equal(seriesOf("animals/dog_01_drawn_01.png"), seriesOf("animals/dog_01_drawn_02.png"));
  assert.equal(seriesOf("signs/arrow-a.png"), seriesOf("signs/arrow-b.png"));
  assert.notEqual(seriesOf("animals/dog_01.png"), seriesOf("animals/cat_01.png"));
  assert.notEqual(seriesOf("animals/dog_01.png"), seriesOf("food/dog_01.png"));
});

test("openclipart: folders of one or two levels with enough drawings; flags are left out", async () => {
  const folder = temporaryFolder();
  const root = join(folder, "usr/share/openclipart/png");
  for (let i = 0; i < 30; i++) {
    write(join(root, `animals/birds/deep/bird${i}x.png`), "");
    write(join(root, `food/cake${i}x.png`), "");
    write(join(root, `signs/flags/france${i}x.png`), "");
    write(join(root, `unsorted/thing${i}x.png`), "");
  }
  write(join(root, "tools/hammer.png"), "");
  const dataset = await findDataset("openclipart").open([folder]);
  assert.deepEqual(dataset.classes, ["animals/birds", "food"]);
  assert.ok(dataset.items.every((item) => !/flag/.test(item.id)));
  assert.deepEqual(
    ["tools/hammer.png", "unsorted/thing3x.png"].map((id) => dataset.items.find((item) => item.id === id)?.label),
    [-1, -1],
  );
});

test("photographs: classes of folders and files, without drawings; photographs of one animal are one group", async () => {
  const folder = temporaryFolder();
  const root = join(folder, "usr/share/tuxpaint/stamps");
  const known = findDataset("photographs");
  for (const place of photographPlaces) {
    write(join(root, place.endsWith(".png") ? place : `${place}/thing1.png`), "");
  }
  for (const name of ["thing2.png", "other.png", "thing_mirror.png", "bee.png", "thing1.txt", "cartoon/thing1.png"]) {
    write(join(root, "animals/insects", name), "");
  }
  write(join(root, "plants/flowers/thing2.png"), "");
  const { classes, items } = await known.open([folder]);
  const of = (place: string) => items.filter(({ id }) => dirname(id) === place);
  assert.deepEqual([...new Set(items.map(({ label }) => label))], [...classes.keys()]);
  assert.deepEqual(
    of("animals/insects").map(({ id, label, group }) => [basename(id), classes[label], group]),
    ["other", "thing1", "thing2"].map((name) => [
      `${name}.png`,
      "fish, insects and others",
      `${classes.indexOf("fish, insects and others")}/${name.slice(0, 5)}`,
    ]),
  );
  assert.equal(new Set(of("plants/flowers").map(({ group }) => group)).size, 2);
});

test("fashion-mnist: compressed IDX files, with the published test side", async () => {
  const folder = temporaryFolder();
  const root = join(folder, "usr/share/datasets/fashion-mnist");
  const idx = (sizes: number[], data: number[]) =>
    gzipSync(Buffer.from([0, 0, 8, sizes.length, ...sizes.flatMap((size) => [0, 0, 0, size]), ...data]));
  for (const [prefix, shade] of [
    ["train", 50],
    ["t10k", 90],
  ] as const) {
    write(join(root, `${prefix}-images-idx3-ubyte.gz`), idx([2, 2, 2], [shade, 1, 2, 3, 4, 5, 6, 7]));
    write(join(root, `${prefix}-labels-idx1-ubyte.gz`), idx([2], [9, 0]));
  }
  const dataset = await findDataset("fashion-mnist").open([folder]);
  assert.equal(dataset.classes.length, 10);
  assert.deepEqual(
    dataset.items.map((item) => [item.label, item.split]),
    [
      [9, undefined],
      [0, undefined],
      [9, "test"],
      [0, "test"],
    ],
  );
  const pixels = await decodeImage(dataset.items[2]!, { size: 2, channels: 3, pixelLimit: 1e6 });
  assert.deepEqual([...pixels], [90, 90, 90, 1, 1, 1, 2, 2, 2, 3, 3, 3]);
});
