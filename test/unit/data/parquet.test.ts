import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { checkDataset, type Dataset, decodeImage, openDataset } from "../../../src/data/index.ts";
import { UserError } from "../../../src/torch/index.ts";
import { refused, temporaryCache, temporaryFolder } from "./support.ts";

const fixture = (name: string) => join(import.meta.dirname, "../../fixtures/parquet", name);

/** The rows' colours in make-parquet.mjs. */
const colour = (row: number) => [20 * row, 255 - 20 * row, (97 * row) % 256];

async function colours({ items }: Dataset): Promise<number[][]> {
  const pixels = await Promise.all(items.map((item) => decodeImage(item, { size: 6, channels: 3, pixelLimit: 100 })));
  return pixels.map((bytes) => [...bytes.subarray(0, 3)]);
}

/** A folder with copies of fixtures under names of its own. */
function folderOf(files: Readonly<Record<string, string>>): string {
  const root = temporaryFolder();
  for (const [path, name] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    copyFileSync(fixture(name), join(root, path));
  }
  return root;
}

test("a file as Hugging Face writes it has its rows, names of labels, and pixels", async () => {
  temporaryCache();
  const dataset = await openDataset(fixture("hf.parquet"));
  assert.deepEqual(dataset.classes, ["a fox", "cat", "dog"]);
  const names = ["cat", "dog", "a fox"];
  assert.deepEqual(
    dataset.items.map(({ id, label, split }) => [id, dataset.classes[label], split]),
    Array.from({ length: 12 }, (_, row) => [`hf.parquet/${row}`, names[row % 3], undefined]),
  );
  assert.deepEqual(
    await colours(dataset),
    Array.from({ length: 12 }, (_, row) => colour(row)),
  );
  assert.deepEqual([dataset.name, dataset.notes], ["hf", ['labels come from the column "label"']]);
});

test("images come again after the cache was emptied in between, and the index is used the second time", async () => {
  const shards = join(temporaryCache(), "shards");
  const dataset = await openDataset(fixture("hf.parquet"));
  const files = readdirSync(shards).sort();
  assert.equal(files.length, 4); // three row groups and the index
  for (const name of files) if (name.endsWith(".bin")) rmSync(join(shards, name));
  const again = await openDataset(fixture("hf.parquet"));
  assert.equal(readdirSync(shards).length, 1);
  assert.deepEqual(await colours(again), await colours(dataset));
  assert.deepEqual(readdirSync(shards).sort(), files);
});

test("splits come from names of files and folders; a set that is train alone has none", async () => {
  temporaryCache();
  const root = folderOf({
    "data/train-00000-of-00002.parquet": "hf.parquet",
    "data/validation-00000-of-00001.parquet": "hf.parquet",
    "default/test/0000.parquet": "secret.parquet",
    "README.md": "hf.parquet",
  });
  const { items, ignored = [] } = await openDataset(root);
  assert.deepEqual(
    items
      .map(({ id, split }) => `${id.replace(/\d+$/, "")} ${split}`)
      .filter((text, i, all) => all.indexOf(text) === i),
    ["data/train-00000-of-00002.parquet/ train", "data/validation-00000-of-00001.parquet/ validation"],
  );
  assert.deepEqual(
    ignored.map(({ reason, count }) => [reason, count]),
    [
      ["text files", 1],
      ["without a label", 4],
    ],
  );
  const single = await openDataset(folderOf({ "train-00000-of-00001.parquet": "hf.parquet" }));
  assert.ok(single.items.every(({ split }) => split === undefined));
});

test("texts as labels, columns of splits and groups, zstd", async () => {
  temporaryCache();
  const dataset = await openDataset(fixture("plain.parquet"));
  assert.deepEqual(
    dataset.items.map(({ label, split, group }) => [dataset.classes[label], split, group]),
    Array.from({ length: 12 }, (_, row) => ["xy"[row % 2], row < 8 ? "train" : "test", `p${Math.floor(row / 4)}`]),
  );
  assert.deepEqual(
    await colours(dataset),
    Array.from({ length: 12 }, (_, row) => colour(row)),
  );
});

test("lists of labels and of numbers: under names of classes, as texts, one for each class", async () => {
  temporaryCache();
  const bits = Array.from({ length: 12 }, (_, row) => [0, 1, 2].map((c) => (row >> c) & 1));
  // In the order of the names as a data set has them: a fox, cat, dog.
  const sorted = bits.map(([cat, dog, fox]) => [fox, cat, dog]);
  for (const [name, classes, rows] of [
    ["lists.parquet", ["a fox", "cat", "dog"], sorted.slice(0, 11)],
    ["tags.parquet", ["x", "y", "z"], bits],
    ["hot.parquet", ["a fox", "cat", "dog"], sorted],
    ["vectors.parquet", ["value 1", "value 2"], bits.map((_, row) => [row / 2, 100 - row])],
  ] as const) {
    const dataset = await openDataset(fixture(name));
    assert.deepEqual(dataset.classes, classes, name);
    assert.equal(dataset.task, name === "vectors.parquet" ? "regression" : "multi-label");
    assert.deepEqual(
      dataset.items.map(({ targets }) => targets),
      rows,
      name,
    );
  }
  const report = await checkDataset(fixture("lists.parquet"));
  assert.deepEqual(
    report.ignored?.map(({ reason, count }) => [reason, count]),
    [["without a label", 1]],
  );
  await assert.rejects(
    openDataset(fixture("tags.parquet"), { task: "classification" }),
    refused(/the tags is .*must be a text or a number/),
  );
});

test("rows without bytes or label are counted, and the others read", async () => {
  temporaryCache();
  const report = await checkDataset(fixture("holes.parquet"));
  assert.equal(report.images, 9);
  assert.deepEqual(report.ignored, [
    {
      unit: "row",
      reason: "without the bytes of an image",
      count: 2,
      examples: ["holes.parquet/row 2", "holes.parquet/row 5"],
    },
    { unit: "row", reason: "without a label", count: 1, examples: ["holes.parquet/row 7"] },
  ]);
  assert.deepEqual(report.unreadable, []);
});

test("files without image bytes or labels, and damaged ones, are refused in one line", async () => {
  temporaryCache();
  await assert.rejects(openDataset(fixture("paths.parquet")), refused(/has no column with image bytes .*"image"/));
  await assert.rejects(
    openDataset(fixture("empty.parquet")),
    refused(/no image with its bytes and its label \(12 rows/),
  );
  await assert.rejects(openDataset(fixture("unlabelled.parquet")), refused(/no column with labels .*"caption"/));
  const root = temporaryFolder();
  const whole = readFileSync(fixture("hf.parquet"));
  const cases = { cut: whole.subarray(0, whole.length - 100), none: Buffer.from("no parquet"), empty: Buffer.alloc(0) };
  for (const [name, bytes] of Object.entries(cases)) {
    const path = join(root, `${name}.parquet`);
    writeFileSync(path, bytes);
    await assert.rejects(openDataset(path), refused(/cannot be read as Parquet/));
  }
  // Every byte of the pages and the footer may be wrong: refused or read, never another error.
  for (let at = 4; at < whole.length; at += 37) {
    const bytes = Buffer.from(whole);
    bytes[at] = (bytes[at] ?? 0) ^ 0x55;
    const path = join(root, "damaged.parquet");
    writeFileSync(path, bytes);
    await openDataset(path).catch((error: unknown) => assert.ok(error instanceof UserError, `${at}: ${error}`));
  }
});
