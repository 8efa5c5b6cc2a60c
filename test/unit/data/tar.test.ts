import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { checkDataset, type Dataset, decodeImage, openDataset } from "../../../src/data/index.ts";
import { expanded } from "../../../src/data/shards/pattern.ts";
import { type Files, noise, png, refused, tarOf, temporaryCache, temporaryFolder } from "./support.ts";

const picture = (seed: number, side = 4) => png(side, side, 3, noise(side * side * 3, seed));

async function assertPixels({ items }: Dataset, seeds: readonly number[], side = 4): Promise<void> {
  for (const [i, item] of items.entries()) {
    const pixels = await decodeImage(item, { size: side, channels: 3, pixelLimit: 10_000_000 });
    assert.deepEqual(Buffer.from(pixels), noise(side * side * 3, seeds[i] ?? -1), item.id);
  }
}

const labelled = ({ items, classes }: Dataset) => items.map(({ id, label }) => [id, classes[label]]);

test("samples have their images, labels from .cls, .json and .txt, and contents, in each format of tar", async () => {
  temporaryCache();
  const deep = `${"very-long-folder-name/".repeat(8)}00003`;
  const images = await Promise.all([1, 2, 3, 4].map((seed) => picture(seed)));
  for (const format of ["gnu", "pax", "ustar"]) {
    const files: Files = [
      ["a/00000.jpg", images[0] as Buffer],
      ["a/00000.cls", "7\n"],
      ["a/00001.json", JSON.stringify({ caption: "x", label: 7 })],
      ["a/00001.png", images[1] as Buffer],
      ["a/._00001.png", "what macOS leaves"],
      ["a/00002.seg.png", "a mask, not the image"],
      ["a/00002.PNG", images[2] as Buffer],
      ["a/00002.txt", " fox "],
      [`${deep}.png`, images[3] as Buffer],
      [`${deep}.cls`, "12"],
    ];
    const path = tarOf(join(temporaryFolder(), "set-000.tar"), files, format);
    const dataset = await openDataset(path);
    assert.deepEqual(labelled(dataset), [
      ["set-000.tar/a/00000", "7"],
      ["set-000.tar/a/00001", "7"],
      ["set-000.tar/a/00002", "fox"],
      [`set-000.tar/${deep}`, "12"],
    ]);
    assert.equal(dataset.name, "set");
    assert.deepEqual(dataset.notes, ["labels come from .cls and .json and .txt"]);
    await assertPixels(dataset, [1, 2, 3, 4]);
    const hashes = dataset.items.map(({ source }) => source.kind === "shard" && source.sha256);
    assert.deepEqual(
      hashes,
      images.map((bytes) => createHash("sha256").update(bytes).digest("hex")),
    );
  }
});

test("images larger than the window that is read, and across its border", async () => {
  temporaryCache();
  const side = 800;
  const files = await Promise.all(
    [1, 2, 3].map(async (seed) => [
      [`${seed}.cls`, String(seed % 2)] as const,
      [`${seed}.bmp.png`, await picture(seed, side)] as const,
      [`${seed}.png`, await picture(seed, side)] as const,
    ]),
  );
  const path = tarOf(join(temporaryFolder(), "large.tar"), files.flat());
  assert.ok(statSync(path).size > 2.5 * (4 << 20));
  await assertPixels(await openDataset(path), [1, 2, 3], side);
});

test("a pattern and a folder name the same shards; splits are in their names", async () => {
  temporaryCache();
  const root = temporaryFolder();
  for (const [i, name] of ["train-000", "train-001", "val-000"].entries()) {
    const own = await Promise.all(
      [0, 1].map(async (j) => [[`${i}${j}.png`, await picture(2 * i + j)] as const, [`${i}${j}.cls`, `${j}`] as const]),
    );
    tarOf(join(root, `${name}.tar`), own.flat());
  }
  const folder = await openDataset(root);
  const pattern = await openDataset(join(root, "{train-000,train-001,val-000}.tar"));
  assert.deepEqual(
    pattern.items.map(({ id, label, split }) => [id, label, split]),
    folder.items.map(({ id, label, split }) => [id, label, split]),
  );
  assert.deepEqual(
    folder.items.map(({ split }) => split),
    ["train", "train", "train", "train", "validation", "validation"],
  );
  await assert.rejects(openDataset(join(root, "train-{000..002}.tar")), refused(/train-002\.tar.*no such file/));
});

test("patterns count with their digits", () => {
  assert.deepEqual(expanded("a-{08..11}.tar"), ["a-08.tar", "a-09.tar", "a-10.tar", "a-11.tar"]);
  assert.deepEqual(expanded("{a,b}{0..1}"), ["a0", "a1", "b0", "b1"]);
  assert.deepEqual(expanded("{x}"), ["{x}"]);
  assert.throws(() => expanded("{5..3}"), refused(/must count up/));
  assert.throws(() => expanded("{0..99999999}"), refused(/must count up/));
});

test("the index is made once, and anew when the file changes", async () => {
  const shards = join(temporaryCache(), "shards");
  const root = temporaryFolder();
  const files = async (seeds: readonly number[]): Promise<Files> =>
    (
      await Promise.all(
        seeds.map(async (seed) => [
          [`${seed}.png`, await picture(seed)] as const,
          [`${seed}.cls`, `${seed % 2}`] as const,
        ]),
      )
    ).flat();
  const path = tarOf(join(root, "s.tar"), await files([1, 2]));
  const before = await openDataset(path);
  const [index = ""] = readdirSync(shards);
  const stamp = new Date(1e12);
  // Its text is kept as it is when it is used again.
  const text = readFileSync(join(shards, index), "utf8");
  writeFileSync(join(shards, index), text.replace('"about":"', '"about":"the same index, '));
  utimesSync(join(shards, index), stamp, stamp);
  assert.deepEqual(labelled(await openDataset(path)), labelled(before));
  assert.match(readFileSync(join(shards, index), "utf8"), /the same index/);
  assert.ok(statSync(join(shards, index)).mtimeMs > stamp.getTime());
  tarOf(path, await files([3, 4, 5]));
  const after = await openDataset(path);
  assert.deepEqual(
    after.items.map(({ id }) => id),
    ["s.tar/3", "s.tar/4", "s.tar/5"],
  );
  await assertPixels(after, [3, 4, 5]);
  // Whoever opened the file before is told.
  await assert.rejects(assertPixels(before, [1, 2]), refused(/changed/));
});

test("bad samples are counted: without image or label, twice, damaged, cut off", async () => {
  temporaryCache();
  const files: Files = [
    ["1.png", await picture(1)],
    ["1.cls", "x"],
    ["2.cls", "x"],
    ["3.png", await picture(3)],
    ["4.png", "no image"],
    ["4.cls", "y"],
    ["5.json", "{ no json"],
    ["5.png", await picture(5)],
    ["1.png", await picture(1)],
    ["1.cls", "x"],
    ["6.png", await picture(6)],
    ["6.cls", "y"],
    ["7.cls", "y"],
    ["7.png", await picture(7, 40)],
  ];
  const path = tarOf(join(temporaryFolder(), "bad.tar"), files);
  const whole = readFileSync(path);
  const at = whole.lastIndexOf("IEND");
  writeFileSync(path, whole.subarray(0, at - 1000));
  const report = await checkDataset(path);
  assert.deepEqual(
    report.ignored.map(({ unit, reason, count, examples }) => [unit, reason, count, examples]),
    [
      ["sample", "without a label (.cls, .json or .txt)", 2, ["bad.tar/3", "bad.tar/5"]],
      ["sample", "cut off where their file ends", 1, ["bad.tar/7"]],
      ["sample", "with a name that was there before", 1, ["bad.tar/1"]],
      ["sample", "without an image", 1, ["bad.tar/2"]],
    ],
  );
  assert.deepEqual(
    report.unreadable.map(({ file }) => file),
    ["bad.tar/4"],
  );
  assert.equal(report.images, 3);
});

test("what is no tar, a compressed one, a damaged one, a stream and an empty one are refused in one line", async () => {
  temporaryCache();
  const root = temporaryFolder();
  const path = tarOf(join(root, "whole.tar"), [
    ["1.png", await picture(1)],
    ["1.cls", "x"],
  ]);
  const cases: [name: string, bytes: Buffer, message: RegExp][] = [
    ["text.tar", Buffer.alloc(2000, "no tar"), /text\.tar is no tar file/],
    ["gzip.tar", Buffer.concat([Buffer.from([0x1f, 0x8b]), Buffer.alloc(2000, 1)]), /is compressed.*gunzip/],
    ["empty.tar", Buffer.alloc(1024), /has no image with its bytes and its label \(it is empty\)/],
  ];
  const damaged = readFileSync(path);
  damaged.write("garbage", damaged.indexOf("1.cls"));
  cases.push(["damaged.tar", damaged, /damaged\.tar is damaged: .* at byte \d+/]);
  for (const [name, bytes, message] of cases) {
    writeFileSync(join(root, name), bytes);
    await assert.rejects(openDataset(join(root, name)), refused(message));
  }
  execFileSync("mkfifo", [join(root, "pipe.tar")]);
  for (const stream of ["-", "pipe:curl x", join(root, "pipe.tar")])
    await assert.rejects(openDataset(stream), refused(/is a stream, and images are read in the order of an index/));
  await assert.rejects(openDataset(path), refused(/only one class \("x"\)/));
  tarOf(join(root, "mixed", "a.tar"), [["1.png", "x"]]);
  writeFileSync(join(root, "mixed", "b.parquet"), "x");
  await assert.rejects(openDataset(join(root, "mixed")), refused(/holds Parquet files and tars/));
});

test("labels of other kinds are in .json", async () => {
  temporaryCache();
  const samples = await Promise.all(
    [1, 2, 3].map(async (seed) => [
      [`${seed}.png`, await picture(seed)] as const,
      [`${seed}.cls`, String(seed)] as const,
      [`${seed}.json`, JSON.stringify({ tags: seed === 2 ? [] : ["a", `b${seed}`], value: seed / 4 })] as const,
    ]),
  );
  const path = tarOf(join(temporaryFolder(), "kinds.tar"), samples.flat());
  assert.deepEqual((await openDataset(path)).classes, ["1", "2", "3"]);
  const several = await openDataset(path, { task: "multi-label" });
  assert.deepEqual(
    [several.classes, several.items.map(({ targets }) => targets)],
    [
      ["a", "b1", "b3"],
      [
        [1, 1, 0],
        [0, 0, 0],
        [1, 0, 1],
      ],
    ],
  );
  const numbers = await openDataset(path, { task: "regression" });
  assert.deepEqual(
    numbers.items.map(({ targets }) => targets),
    [[0.25], [0.5], [0.75]],
  );
});
