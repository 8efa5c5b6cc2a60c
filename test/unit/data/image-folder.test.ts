import assert from "node:assert/strict";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { imageFolder, openDataset } from "../../../src/data/index.ts";
import { UserError } from "../../../src/torch/index.ts";
import { temporaryFolder, writeNoise } from "./support.ts";

const userError =
  (...patterns: RegExp[]) =>
  (error: unknown) =>
    error instanceof UserError && error.exitCode === 1 && patterns.every((pattern) => pattern.test(error.message));

test("a sub-folder is a class, in alphabetical order; deeper folders belong to it", async () => {
  const root = temporaryFolder();
  await writeNoise(join(root, "zebra/1.png"), 4, 1);
  await writeNoise(join(root, "ant/deep/2.PNG"), 4, 2);
  await writeNoise(join(root, "ant/3.png"), 4, 3);
  writeFileSync(join(root, "ant/notes.txt"), "no image");
  mkdirSync(join(root, ".git"));
  const dataset = imageFolder(root);
  assert.deepEqual(dataset.classes, ["ant", "zebra"]);
  assert.equal(dataset.items.length, 3);
  for (const item of dataset.items) {
    assert.equal(item.split, undefined);
    assert.ok(item.source.kind === "file" && item.source.path.includes(dataset.classes[item.label] ?? "?"));
  }
  assert.deepEqual((await openDataset(root)).items, dataset.items);
});

test("train, val and test folders are the split", async () => {
  const root = temporaryFolder();
  for (const part of ["train", "val", "test"])
    for (const name of ["a", "b"]) await writeNoise(join(root, part, name, "1.png"), 4, 1);
  const counts = { train: 0, validation: 0, test: 0 };
  for (const item of imageFolder(root).items) counts[item.split!] += 1;
  assert.deepEqual(counts, { train: 2, validation: 2, test: 2 });
  assert.equal(new Set(imageFolder(root).items.map((item) => item.id)).size, 6);
});

test("what cannot be learned from is refused, naming the folder", async () => {
  const empty = temporaryFolder();
  assert.throws(() => imageFolder(empty), userError(new RegExp(empty), /no images/));

  const single = temporaryFolder();
  await writeNoise(join(single, "cat/1.png"), 4, 1);
  assert.throws(() => imageFolder(single), userError(new RegExp(single), /only one class \("cat"\)/));

  mkdirSync(join(single, "dog"));
  assert.throws(() => imageFolder(single), userError(new RegExp(join(single, "dog")), /no images/));

  const unseen = temporaryFolder();
  for (const path of ["train/a", "train/b", "test/a", "test/c"]) await writeNoise(join(unseen, path, "1.png"), 4, 1);
  assert.throws(() => imageFolder(unseen), userError(new RegExp(unseen), /"c"/, /train/));

  const file = join(empty, "file.png");
  writeFileSync(file, "");
  await assert.rejects(openDataset(file), userError(/not a folder/));
  await assert.rejects(openDataset(join(empty, "absent")), userError(/absent/, /emoji/));
});

test("split folders in any case and by the usual names; what has another name is said", async () => {
  for (const [train, validation, test] of [
    ["Train", "Val", "Test"],
    ["training", "dev", "testing"],
    ["TRAIN", "eval", "test"],
  ] as const) {
    const root = temporaryFolder();
    for (const part of [train, validation, test])
      for (const name of ["a", "b"]) await writeNoise(join(root, part, name, "1.png"), 4, 1);
    const { items, classes, notes = [] } = imageFolder(root);
    assert.deepEqual(classes, ["a", "b"]);
    assert.deepEqual(
      ["train", "validation", "test"].map((split) => items.filter((item) => item.split === split).length),
      [2, 2, 2],
    );
    assert.equal(/"dev" is used as the validation split/.test(notes.join("\n")), validation === "dev");
  }
});

test("what lies beside the splits or has no class folder is said and counted", async () => {
  const root = temporaryFolder();
  for (const path of ["train/a/1", "train/b/1", "test/2", "test/3", "train/4", "extra/c/5", "6"])
    await writeNoise(join(root, `${path}.png`), 4, 1);
  const { items, ignored = [], notes = [] } = imageFolder(root);
  assert.deepEqual(
    items.map(({ id }) => id),
    ["train/a/1.png", "train/b/1.png"],
  );
  assert.deepEqual(
    ignored.map(({ reason, examples }) => `${reason}: ${examples.join(" ")}`),
    [
      "images outside train, validation and test: 6.png extra/c/5.png",
      "training images without a class folder: train/4.png",
    ],
  );
  assert.match(notes.join("\n"), new RegExp(`"test" holds 2 images.*hub-pathway predict RUN ${join(root, "test")}`));
});

test("a class may have a split's name; flat or missing training folders are refused", async () => {
  const vehicles = temporaryFolder();
  for (const path of ["train/1", "bus/1"]) await writeNoise(join(vehicles, `${path}.png`), 4, 1);
  assert.deepEqual(imageFolder(vehicles).classes, ["bus", "train"]);

  const flat = temporaryFolder();
  for (const path of ["train/1", "test/1"]) await writeNoise(join(flat, `${path}.png`), 4, 1);
  assert.throws(() => imageFolder(flat), userError(/train has no sub-folders/));

  const untrained = temporaryFolder();
  for (const path of ["val/a/1", "test/a/1"]) await writeNoise(join(untrained, `${path}.png`), 4, 1);
  assert.throws(() => imageFolder(untrained), userError(/no folder train/));

  const nested = temporaryFolder();
  for (const path of ["photos/a/1", "photos/b/1"]) await writeNoise(join(nested, `${path}.png`), 4, 1);
  assert.throws(() => imageFolder(nested), userError(/only one class/, new RegExp(`give ${join(nested, "photos")}`)));
});

test("a class of files that are not read says which, and is not called empty", async () => {
  const root = temporaryFolder();
  await writeNoise(join(root, "a/1.png"), 4, 1);
  mkdirSync(join(root, "b"));
  for (const name of ["1.ppm", "2.ppm"]) writeFileSync(join(root, "b", name), "x");
  assert.throws(
    () => imageFolder(root),
    userError(/b has no images that are read, but "b\/1\.ppm" \(PNM images.*convert/),
  );
});

test("class names are compared composed; the bytes of the paths stay", async () => {
  const [composed, decomposed] = ["caf\u00e9", "cafe\u0301"];
  const root = temporaryFolder();
  for (const path of [`train/${composed}/1`, "train/tea/1", `val/${decomposed}/2`, "val/tea/2"])
    await writeNoise(join(root, `${path}.png`), 4, 1);
  const { classes, items, notes = [] } = imageFolder(root);
  assert.deepEqual(classes, [composed, "tea"]);
  assert.deepEqual(
    items.map(({ label, source }) => [label, source.kind === "file" && source.path.includes(decomposed)]),
    [
      [0, false],
      [1, false],
      [0, true],
      [1, false],
    ],
  );
  assert.match(notes.join("\n"), /written in two ways.*636166c3a9 and 63616665cc81/);
});

test("a linked image counts once in its class, and under another label stays", async () => {
  const root = temporaryFolder();
  await writeNoise(join(root, "a/1.png"), 4, 1);
  await writeNoise(join(root, "b/2.png"), 4, 2);
  symlinkSync("1.png", join(root, "a/0.png"));
  symlinkSync("../a/1.png", join(root, "b/1.png"));
  const { items, ignored = [] } = imageFolder(root);
  assert.deepEqual(
    items.map(({ id }) => id),
    ["a/1.png", "b/1.png", "b/2.png"],
  );
  assert.deepEqual(
    ignored.map(({ reason, examples }) => [reason, examples]),
    [["links to an image that is counted already", ["a/0.png"]]],
  );
});
