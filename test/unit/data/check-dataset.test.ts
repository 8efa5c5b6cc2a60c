import assert from "node:assert/strict";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import sharp from "sharp";
import { checkDataset } from "../../../src/data/index.ts";
import { UserError } from "../../../src/torch/index.ts";
import { prepareData } from "../../../src/train/index.ts";
import { hugePng, noise, temporaryCache, temporaryFolder, writeNoise } from "./support.ts";

temporaryCache();

async function folderOf(counts: Record<string, number>): Promise<string> {
  const root = temporaryFolder();
  let seed = 0;
  for (const [name, count] of Object.entries(counts))
    for (let i = 0; i < count; i++) await writeNoise(join(root, name, `${i}.png`), 16, seed++);
  return root;
}

/** Message with which training refuses a folder; undefined when it would begin. */
async function refusalOf(source: string): Promise<string | undefined> {
  const rest = { imageSize: 16, split: {}, augment: "none", batchSize: 4, seed: 3 } as const;
  try {
    (await prepareData({ source, ...rest })).dispose();
    return undefined;
  } catch (error) {
    assert.ok(error instanceof UserError);
    return error.message;
  }
}

test("a sound folder has counts and no complaints", async () => {
  const progress: string[] = [];
  const root = await folderOf({ a: 12, b: 11 });
  const report = await checkDataset(root, (done, total, step) => progress.push(`${step} ${done}/${total}`));
  assert.equal(report.images, 23);
  assert.deepEqual(report.classes, [
    { name: "a", images: 12 },
    { name: "b", images: 11 },
  ]);
  const { unreadable, duplicates, ignored, refusals, warnings } = report;
  assert.deepEqual([unreadable, duplicates, ignored, refusals, warnings], [[], [], [], [], []]);
  assert.equal(progress.at(-1), "decoding 23/23");
  assert.equal(await refusalOf(root), undefined);
});

test("unreadable and oversized images, small and uneven classes are reported", async () => {
  const root = await folderOf({ few: 3, many: 70 });
  writeFileSync(join(root, "few/broken.png"), "nothing");
  writeFileSync(join(root, "few/huge.png"), hugePng());
  const jpeg = await sharp(join(root, "many/0.png")).jpeg().toBuffer();
  writeFileSync(join(root, "few/cut.jpg"), jpeg.subarray(0, jpeg.length / 2));
  const { unreadable, warnings, refusals } = await checkDataset(root);
  assert.deepEqual(
    unreadable.map(({ file, reason }) => [/\w+\.\w+$/.exec(file)?.[0], reason.split(/[:,]/)[0]]),
    [
      ["broken.png", "it is no image (PNG"],
      ["cut.jpg", "it ends early"],
      ["huge.png", "it has 169 megapixels"],
    ],
  );
  assert.match(warnings.join("\n"), /few \(6\)/);
  assert.match(warnings.join("\n"), /ten times/);
  assert.match(refusals.join("\n"), /3 images that cannot be used.*--skip-bad/);
  assert.match((await refusalOf(root)) ?? "", /broken\.png cannot be used: it is no image.*--skip-bad/);
});

test("the same image under two labels is listed first, and refuses training unless copies are to be kept", async () => {
  const root = await folderOf({ a: 6, b: 6 });
  copyFileSync(join(root, "a/0.png"), join(root, "a/again.png"));
  copyFileSync(join(root, "a/1.png"), join(root, "b/copy.png"));
  writeFileSync(
    join(root, "b/saved-again.png"),
    await sharp(join(root, "a/2.png")).png({ compressionLevel: 0 }).toBuffer(),
  );
  const { duplicates, refusals } = await checkDataset(root);
  assert.deepEqual(
    duplicates.map(({ first, second, exact, kind }) => `${first} ${second} ${exact ? "exact" : "near"} ${kind}`),
    ["a/1.png b/copy.png exact conflict", "a/2.png b/saved-again.png near conflict", "a/0.png a/again.png exact class"],
  );
  assert.match(refusals.join("\n"), /"a\/1\.png" and "b\/copy\.png" are the same image with two labels/);
  assert.equal(await refusalOf(root), refusals[0]);
  const kept = { source: root, imageSize: 16, split: {}, augment: "none", batchSize: 4, seed: 0 } as const;
  (await prepareData({ ...kept, duplicates: "keep" })).dispose();
});

test("check refuses what training refuses, and for the same reason", async () => {
  const one = await folderOf({ a: 12, b: 1 });
  const equal = await folderOf({ a: 6, b: 1 });
  for (let i = 1; i < 6; i++) copyFileSync(join(equal, "b/0.png"), join(equal, `b/${i}.png`));
  for (const [root, reason] of [
    [one, /"b".*only 1 image.*at least 2 different/],
    [equal, /"b".*6 images, which are all copies of one picture/],
  ] as const) {
    const { refusals } = await checkDataset(root);
    assert.match(refusals.join("\n"), reason);
    assert.equal(await refusalOf(root), refusals[0]);
  }
  const two = await folderOf({ a: 12, b: 2 });
  assert.deepEqual((await checkDataset(two)).refusals, []);
  assert.equal(await refusalOf(two), undefined);
});

test("pictures of one fixed camera can be trained on", async () => {
  const root = temporaryFolder();
  const scene = readFileSync(join(await folderOf({ scene: 1 }), "scene/0.png"));
  const background = await sharp(scene).resize(64, 64).raw().toBuffer();
  for (const [label, name] of ["open", "shut"].entries()) {
    for (let i = 0; i < 10; i++) {
      const pixels = Buffer.from(
        background.map((value, p) => Math.min(255, value + ((((p + 1) * (i + 7) * 40503) >>> 7) % 3))),
      );
      // The door.
      for (let y = 0; y < 16; y++) pixels.fill(label * 255, y * 64 * 3, y * 64 * 3 + 48);
      await writeNoise(join(root, name, `${i}.png`), 4, 0);
      writeFileSync(
        join(root, name, `${i}.png`),
        await sharp(pixels, { raw: { width: 64, height: 64, channels: 3 } })
          .png()
          .toBuffer(),
      );
    }
  }
  const { refusals, warnings } = await checkDataset(root);
  assert.deepEqual(refusals, []);
  assert.match(warnings.join("\n"), /10 of 10 images of "open" look almost the same/);
  assert.equal(await refusalOf(root), undefined);
});

test("what is no data set is the user's mistake", async () => {
  await assert.rejects(checkDataset(temporaryFolder()), UserError);
  await assert.rejects(checkDataset("/no/such/folder"), UserError);
  await assert.rejects(
    checkDataset("emoji"),
    (error) => error instanceof UserError && /data fetch emoji/.test(error.message),
  );
});

test("animations, further pages and names of other kinds are told, and the files read", async () => {
  const root = await folderOf({ a: 12, b: 12 });
  const frames = await Promise.all(
    [1, 2, 3].map((seed) =>
      sharp(noise(16 * 16 * 3, seed), { raw: { width: 16, height: 16, channels: 3 } })
        .png()
        .toBuffer(),
    ),
  );
  const animated = () => sharp(frames, { join: { animated: true } });
  await animated().gif().toFile(join(root, "a/moving.gif"));
  await animated().webp({ lossless: true }).toFile(join(root, "a/moving.webp"));
  await animated().tiff().toFile(join(root, "b/pages.tif"));
  await sharp(frames[1]).gif().toFile(join(root, "b/still.gif"));
  writeFileSync(
    join(root, "b/photo.jpg"),
    await sharp(noise(16 * 16 * 3, 9), { raw: { width: 16, height: 16, channels: 3 } })
      .png()
      .toBuffer(),
  );
  writeFileSync(
    join(root, "b/old.JFIF"),
    await sharp(noise(16 * 16 * 3, 8), { raw: { width: 16, height: 16, channels: 3 } })
      .jpeg()
      .toBuffer(),
  );
  const report = await checkDataset(root);
  assert.deepEqual(report.unreadable, []);
  assert.deepEqual(
    report.remarks.map(({ reason, count, examples }) => [reason, count, [...examples].sort()]),
    [
      ["with animations, of which the first picture is used", 2, ["a/moving.gif", "a/moving.webp"]],
      ["named as JPEG with PNG inside: read as that", 1, ["b/photo.jpg"]],
      ["with several pages, of which the first picture is used", 1, ["b/pages.tif"]],
    ],
  );
  assert.ok(report.warnings.includes('1 file named as JPEG with PNG inside: read as that: "b/photo.jpg"'));
});
