import assert from "node:assert/strict";
import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { checkDataset } from "../../../src/data/index.ts";
import { UserError } from "../../../src/torch/index.ts";
import { hugePng, temporaryCache, temporaryFolder, writeNoise } from "./support.ts";

temporaryCache();

async function folderOf(counts: Record<string, number>): Promise<string> {
  const root = temporaryFolder();
  let seed = 0;
  for (const [name, count] of Object.entries(counts))
    for (let i = 0; i < count; i++) await writeNoise(join(root, name, `${i}.png`), 16, seed++);
  return root;
}

test("a sound folder has counts and no complaints", async () => {
  const progress: number[] = [];
  const report = await checkDataset(await folderOf({ a: 12, b: 11 }), (done) => progress.push(done));
  assert.equal(report.images, 23);
  assert.deepEqual(report.classes, [
    { name: "a", images: 12 },
    { name: "b", images: 11 },
  ]);
  assert.deepEqual([report.unreadable, report.duplicates, report.warnings], [[], 0, []]);
  assert.equal(progress.at(-1), 23);
});

test("unreadable and oversized images, repeats, small and uneven classes are reported", async () => {
  const root = await folderOf({ few: 3, many: 40 });
  copyFileSync(join(root, "many/0.png"), join(root, "many/copy.png"));
  writeFileSync(join(root, "few/broken.png"), "nothing");
  writeFileSync(join(root, "few/huge.png"), hugePng());
  const report = await checkDataset(root);
  assert.deepEqual(
    report.unreadable.map(({ reason }) => /broken\.png|huge\.png/.exec(reason)?.[0]),
    ["broken.png", "huge.png"],
  );
  assert.match(report.unreadable[1]?.reason ?? "", /169 megapixels/);
  assert.equal(report.warnings.length, 2);
  assert.match(report.warnings.join("\n"), /few \(5\)/);
});

test("a copy counts as one repeat", async () => {
  const root = await folderOf({ a: 3, b: 3 });
  copyFileSync(join(root, "a/0.png"), join(root, "b/copy.png"));
  assert.equal((await checkDataset(root)).duplicates, 1);
});

test("unreadable images are no repeats of each other", async () => {
  const root = await folderOf({ a: 3, b: 3 });
  for (const name of ["x", "y", "z"]) writeFileSync(join(root, "a", `${name}.png`), "nothing");
  assert.equal((await checkDataset(root)).duplicates, 0);
});

test("what is no data set is the user's mistake", async () => {
  await assert.rejects(checkDataset(temporaryFolder()), UserError);
  await assert.rejects(checkDataset("/no/such/folder"), UserError);
  await assert.rejects(
    checkDataset("emoji"),
    (error) => error instanceof UserError && /data fetch emoji/.test(error.message),
  );
});
