import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
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
