import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { checkDataset, openDataset } from "../../../src/data/index.ts";
import { UserError } from "../../../src/torch/index.ts";
import { temporaryFolder, writeNoise } from "./support.ts";

const images = ["a/1.png", "a/2.png", "b/3.png", "b/4, with comma.png"];

/** A folder with images, and a file in it. */
async function listed(name: string, text: string): Promise<string> {
  const root = temporaryFolder();
  for (const [i, path] of images.entries()) await writeNoise(join(root, "photos", path), 8, i);
  const file = join(root, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  return file;
}

const rows = [
  ["photos/a/1.png", "fox"],
  ["photos/a/2.png", "fox"],
  ["photos/b/3.png", "red panda"],
  ["photos/b/4, with comma.png", "red panda"],
] as const;

const labelsOf = ({ items, classes }: Awaited<ReturnType<typeof openDataset>>) =>
  items.map(({ id, label }) => [id, classes[label]]);

test("tables and JSON lines name the same images", async () => {
  const quoted = rows.map(([path, label]) => `"${path}","${label}"`);
  const texts = {
    "labels.csv": ["file_name,label", ...quoted].join("\n"),
    "windows.csv": `\ufeff${["Path;Class", ...rows.map((row) => row.join(";"))].join("\r\n")}\r\n`,
    "labels.tsv": ["id\tlabel\timage", ...rows.map(([path, label], i) => `${i}\t${label}\t${path}`)].join("\n"),
    "bare.csv": quoted.join("\n"),
    "labels.jsonl": rows.map(([image, label]) => JSON.stringify({ score: 0.5, image, label })).join("\n"),
  };
  for (const [name, text] of Object.entries(texts)) {
    const dataset = await openDataset(await listed(name, text));
    assert.deepEqual(dataset.classes, ["fox", "red panda"], name);
    assert.deepEqual(labelsOf(dataset), rows, name);
    assert.equal(dataset.name, name.replace(/\..*/, ""));
    assert.deepEqual(dataset.notes, [`labels come from ${name}`]);
  }
});

test("the order of the rows does not matter; splits and groups are kept, numbers are labels too", async () => {
  const header = "split,file,label,patient";
  const lines = ["train,photos/b/3.png,2,p1", "train,photos/a/1.png,10,p1", "Val,photos/a/2.png,10,"];
  const first = await openDataset(await listed("labels.csv", [header, ...lines].join("\n")));
  const second = await openDataset(await listed("labels.csv", [header, ...lines.reverse()].join("\n")));
  const told = ({ items }: typeof first) => items.map(({ id, label, split, group }) => ({ id, label, split, group }));
  assert.deepEqual(told(first), told(second));
  assert.deepEqual(first.classes, ["10", "2"]);
  assert.deepEqual(told(first), [
    { id: "photos/a/1.png", label: 0, split: "train", group: "p1" },
    { id: "photos/a/2.png", label: 0, split: "validation", group: undefined },
    { id: "photos/b/3.png", label: 1, split: "train", group: "p1" },
  ]);
});

test("a folder with metadata.csv has its labels from there, also in folders that are splits", async () => {
  const flat = await listed("photos/metadata.csv", "file_name,label\na/1.png,x\nb/3.png,y\n");
  assert.deepEqual(labelsOf(await openDataset(dirname(flat))), [
    ["a/1.png", "x"],
    ["b/3.png", "y"],
  ]);
  const { ignored } = await openDataset(dirname(flat));
  assert.deepEqual(
    ignored?.map(({ reason, count, examples }) => [reason, count, examples]),
    [["images that the list does not name", 2, ["a/2.png", "b/4, with comma.png"]]],
  );
  const root = temporaryFolder();
  for (const split of ["train", "test"]) {
    for (const i of [1, 2]) await writeNoise(join(root, split, `${i}.png`), 8, i + split.length);
    const lines = [1, 2].map((i) => JSON.stringify({ file_name: `${i}.png`, label: i }));
    writeFileSync(join(root, split, "metadata.jsonl"), lines.join("\n"));
  }
  const { items } = await openDataset(root);
  assert.deepEqual(
    items.map(({ id, split, label }) => [id, split, label]),
    [
      ["test/1.png", "test", 0],
      ["test/2.png", "test", 1],
      ["train/1.png", "train", 0],
      ["train/2.png", "train", 1],
    ],
  );
});

test("metadata without labels leaves the folders' names", async () => {
  const file = await listed("photos/metadata.csv", "file_name,caption\na/1.png,x\n");
  assert.deepEqual((await openDataset(dirname(file))).classes, ["a", "b"]);
  // Whatever else has that name is no list of images.
  writeFileSync(file, 'camera,"lens\nx,y\n');
  assert.deepEqual((await openDataset(dirname(file))).classes, ["a", "b"]);
  writeFileSync(
    join(dirname(file), "metadata.jsonl"),
    '{"file_name": "a/1.png", "label": 1}\n{"file_name": "b/3.png", "label": 2}\n',
  );
  assert.deepEqual((await openDataset(dirname(file))).classes, ["1", "2"]);
});

test("an image that is listed and not there is named by data check, with the others read", async () => {
  const file = await listed("labels.csv", "path,label\nphotos/a/1.png,x\nphotos/a/absent.png,x\nphotos/b/3.png,y\n");
  const report = await checkDataset(file);
  assert.deepEqual(
    report.unreadable.map(({ file: name }) => name),
    ["photos/a/absent.png"],
  );
  assert.match(report.unreadable[0]?.reason ?? "", /no such file|does not exist/);
});

test("what cannot be read is refused with its line", async () => {
  const cases: [text: string, ...RegExp[]][] = [
    ["", /labels\.csv is empty/],
    ["name,label\nx,y\n", /no column with paths/, /"name", "label"/],
    ["path,label\nphotos/a/1.png,x\nphotos/a/2.png,\n", /line 3: "photos\/a\/2\.png" has no label/],
    ["path,label\n,x\n", /line 2: there is no path/],
    ["path,label\nphotos/a/1.png,x\nphotos/b/3.png,x\n", /only one class \("x"\)/],
    ["path,label\nphotos/a/1.png,x\nphotos/a/1.png,y\n", /line 3: .* is listed already, at .*line 2/],
    ["path,label\na/1.png,x\nb/3.png,y\n", /none of 2 images is there \(.*line 2/],
    ["path,label\nhttps://example.org/1.png,x\n", /is an address: fetch/],
    ["path,label,split\nphotos/a/1.png,x,fold1\n", /"fold1" is no split/],
    ["path,label,split\nphotos/a/1.png,x,train\nphotos/b/3.png,y,test\n", /the class "y" has no image in train/],
    ["path,label,split\nphotos/a/1.png,x,train\nphotos/b/3.png,y,\n", /line 3: .* has no split/],
    ['path,label\n"photos/a/1.png,x\n', /labels\.csv: .*[Qq]uote/],
  ];
  for (const [text, ...patterns] of cases) {
    await assert.rejects(openDataset(await listed("labels.csv", text)), (error) => {
      assert.ok(error instanceof UserError, String(error));
      for (const pattern of patterns) assert.match(error.message, pattern);
      return true;
    });
  }
  const json = await listed("labels.jsonl", '{"path": "photos/a/1.png", "label": {"x": 1}}\n');
  await assert.rejects(openDataset(json), /line 1: the label is \{"x":1\}, and must be a text or a number/);
  await assert.rejects(openDataset(await listed("labels.jsonl", "[1]\n")), /line 1 is no JSON object/);
});
