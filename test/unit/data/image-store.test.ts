import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import sharp from "sharp";
import { decodeImage, ImageStore, type Item } from "../../../src/data/index.ts";
import { memory, UserError } from "../../../src/torch/index.ts";
import { fileDataset, hugePng, noise, png, temporaryCache, temporaryFolder, writeNoise } from "./support.ts";

const cache = temporaryCache();
const folder = temporaryFolder();
const userError =
  (...patterns: RegExp[]) =>
  (error: unknown) =>
    error instanceof UserError && patterns.every((pattern) => pattern.test(error.message));
const limits = { channels: 3, pixelLimit: 1e8 } as const;
const asItem = (path: string): Item => ({ id: path, label: 0, source: { kind: "file", path } });

/** [H, W, C] bytes to [C, H, W]. */
function planes(bytes: Uint8Array, channels: number): number[] {
  const area = bytes.length / channels;
  return Array.from({ length: bytes.length }, (_, i) => bytes[(i % area) * channels + Math.floor(i / area)] ?? -1);
}

async function pixelsOf(store: ImageStore, indices: number[]): Promise<number[]> {
  using batch = await store.batch(indices);
  assert.equal(batch.dtype, "uint8");
  assert.deepEqual(batch.shape, [indices.length, store.channels, store.size, store.size]);
  return batch.toNumbers();
}

test("images of the store's own size come out byte for byte, in any order, and from the cache again", async () => {
  const paths = [0, 1, 2].map((i) => join(folder, `exact-${i}.png`));
  const written = await Promise.all(paths.map((path, i) => writeNoise(path, 8, i)));
  const dataset = fileDataset(paths);
  const before = memory().handles;
  for (const round of ["decoded", "cached"]) {
    const progress: number[] = [];
    const store = await ImageStore.open(dataset, {
      size: 8,
      onProgress: (done, _, step) => step === "decoding" && progress.push(done),
    });
    assert.equal(progress.length, round === "decoded" ? 3 : 0);
    const expected = [2, 0, 2].flatMap((i) => planes(written[i]!, 3));
    assert.deepEqual(await pixelsOf(store, [2, 0, 2]), expected);
    store.dispose();
  }
  assert.equal(memory().handles, before);
  assert.deepEqual(
    readdirSync(join(cache, "decoded")).filter((name) => name.endsWith(".tmp")),
    [],
  );
});

test("resizing agrees with a decode by sharp alone", async () => {
  const path = join(folder, "resized.png");
  const pixels = await writeNoise(path, 40, 9);
  const expected = await sharp(pixels, { raw: { width: 40, height: 40, channels: 3 } })
    .resize(16, 16)
    .raw()
    .toBuffer();
  const store = await ImageStore.open(fileDataset([path]), { size: 16 });
  assert.deepEqual(await pixelsOf(store, [0]), planes(expected, 3));
  store.dispose();
});

test("alpha is composited on white, or kept as a fourth channel", async () => {
  const path = join(folder, "alpha.png");
  const rgba = Buffer.from([200, 100, 0, 255, 200, 100, 0, 0, 200, 100, 0, 128, 0, 0, 0, 51]);
  writeFileSync(path, await png(2, 2, 4, rgba));
  const flat = await decodeImage(asItem(path), { size: 2, ...limits });
  for (let p = 0; p < 4; p++)
    for (let c = 0; c < 3; c++) {
      const alpha = (rgba[p * 4 + 3] ?? 0) / 255;
      const expected = alpha * (rgba[p * 4 + c] ?? 0) + (1 - alpha) * 255;
      assert.ok(Math.abs((flat[p * 3 + c] ?? -9) - expected) <= 1, `pixel ${p}, channel ${c}`);
    }
  const kept = await decodeImage(asItem(path), { size: 2, channels: 4, pixelLimit: 1e8 });
  assert.deepEqual(
    [3, 7, 11, 15].map((i) => kept[i]),
    [255, 0, 128, 51],
  );
});

test("drawings are fitted with a margin, photographs are cropped in the middle", async () => {
  const drawing = join(folder, "wide-drawing.png");
  // One pixel of the alpha channel decides.
  const black = Buffer.from(Array.from({ length: 8 * 4 * 4 }, (_, i) => (i % 4 === 3 && i > 3 ? 255 : 0)));
  writeFileSync(drawing, await png(8, 4, 4, black));
  const fitted = await decodeImage(asItem(drawing), { size: 8, ...limits });
  const row = (y: number) => fitted[(y * 8 + 4) * 3];
  assert.deepEqual([0, 1, 2, 5, 6, 7].map(row), [255, 255, 0, 0, 255, 255]);

  const photo = join(folder, "wide-photo.png");
  for (const channels of [3, 4] as const) {
    const shade = (i: number) => (i % channels === 3 ? 255 : (Math.floor(i / channels) % 8) * 30);
    writeFileSync(
      photo,
      await png(8, 4, channels, Buffer.from(Array.from({ length: 8 * 4 * channels }, (_, i) => shade(i)))),
    );
    const cropped = await decodeImage(asItem(photo), { size: 4, ...limits });
    assert.deepEqual(
      [0, 1, 2, 3].map((x) => cropped[x * 3]),
      [60, 90, 120, 150],
    );
  }
});

test("grey, grey with alpha, palette and 16-bit images become eight-bit colour", async () => {
  const grey = noise(64, 4);
  const raw = sharp(grey, { raw: { width: 8, height: 8, channels: 1 } });
  const wide = Uint16Array.from(grey, (value) => value * 257);
  const variants: Record<string, Buffer> = {
    grey: await raw.clone().toColourspace("b-w").png().toBuffer(),
    palette: await raw.clone().png({ palette: true, colours: 256, dither: 0 }).toBuffer(),
    sixteen: await sharp(wide, { raw: { width: 8, height: 8, channels: 1 } })
      .toColourspace("grey16")
      .png()
      .toBuffer(),
    greyAlpha: await raw.clone().ensureAlpha(1).toColourspace("b-w").png().toBuffer(),
  };
  assert.equal((await sharp(variants["sixteen"]).metadata()).depth, "ushort");
  for (const [name, bytes] of Object.entries(variants)) {
    const path = join(folder, `${name}.png`);
    writeFileSync(path, bytes);
    const rgb = await decodeImage(asItem(path), { size: 8, ...limits });
    const tolerance = name === "palette" ? 8 : 1;
    for (const [i, value] of rgb.entries())
      assert.ok(Math.abs(value - (grey[Math.floor(i / 3)] ?? -99)) <= tolerance, `${name}, byte ${i}`);
    const rgba = await decodeImage(asItem(path), { size: 8, channels: 4, pixelLimit: 1e8 });
    assert.equal(rgba.length, 8 * 8 * 4, name);
    assert.equal(rgba[3], 255, name);
  }
});

test("truncated and foreign files are named; nothing half-written stays", async () => {
  const good = join(folder, "good.png");
  await writeNoise(good, 32, 1);
  const cutPng = join(folder, "cut.png");
  writeFileSync(cutPng, (await png(32, 32, 3, noise(32 * 32 * 3, 2))).subarray(0, 1500));
  const cutJpeg = join(folder, "cut.jpg");
  const jpeg = await sharp(noise(64 * 64 * 3, 3), { raw: { width: 64, height: 64, channels: 3 } })
    .jpeg()
    .toBuffer();
  writeFileSync(cutJpeg, jpeg.subarray(0, Math.floor(jpeg.length / 2)));
  const text = join(folder, "text.png");
  writeFileSync(text, "not an image");
  const empty = join(folder, "empty.png");
  writeFileSync(empty, "");
  for (const bad of [cutPng, cutJpeg, text, empty, join(folder, "absent.png")]) {
    const files = readdirSync(join(cache, "decoded")).length;
    await assert.rejects(ImageStore.open(fileDataset([good, bad]), { size: 8 }), userError(new RegExp(bad), /remove/));
    assert.equal(readdirSync(join(cache, "decoded")).length, files, bad);
  }
});

test("an image over the pixel limit is refused by its header", async () => {
  const huge = join(folder, "huge.png");
  writeFileSync(huge, hugePng());
  await assert.rejects(
    ImageStore.open(fileDataset([huge]), { size: 8 }),
    userError(new RegExp(huge), /169 megapixels/),
  );
  const small = join(folder, "small.png");
  await writeNoise(small, 8, 1);
  await assert.rejects(ImageStore.open(fileDataset([small]), { size: 8, pixelLimit: 63 }), userError(/limit/));
  (await ImageStore.open(fileDataset([small]), { size: 8, pixelLimit: 64 })).dispose();
});

test("bad files are left out and counted on request, also from the cache", async () => {
  const paths = ["a", "b", "c"].map((name) => join(folder, `skip-${name}.png`));
  const written = [await writeNoise(paths[0]!, 8, 1), undefined, await writeNoise(paths[2]!, 8, 2)];
  writeFileSync(paths[1]!, "nothing");
  for (let round = 0; round < 2; round++) {
    const store = await ImageStore.open(fileDataset(paths), { size: 8, skipBad: true });
    assert.deepEqual([...store.skipped], [1]);
    assert.deepEqual(await pixelsOf(store, [2]), planes(written[2]!, 3));
    store.dispose();
  }
  await assert.rejects(ImageStore.open(fileDataset(paths), { size: 8 }), userError(new RegExp(paths[1]!)));
});

test("a changed file is decoded anew", async () => {
  const path = join(folder, "changing.png");
  await writeNoise(path, 8, 1);
  (await ImageStore.open(fileDataset([path]), { size: 8 })).dispose();
  const written = await writeNoise(path, 8, 2);
  const store = await ImageStore.open(fileDataset([path]), { size: 8 });
  assert.deepEqual(await pixelsOf(store, [0]), planes(written, 3));
  store.dispose();
});

test("over the budget every batch is decoded anew, to the same pixels", async () => {
  const paths = [0, 1].map((i) => join(folder, `streamed-${i}.png`));
  for (const [i, path] of paths.entries()) await writeNoise(path, 12, i);
  const mapped = await ImageStore.open(fileDataset(paths), { size: 8 });
  const files = () => readdirSync(join(cache, "decoded")).filter((name) => name.endsWith(".u8")).length;
  const before = files();
  const streamed = await ImageStore.open(fileDataset(paths), { size: 8, budgetBytes: 100 });
  assert.deepEqual(await pixelsOf(streamed, [1, 0, 1]), await pixelsOf(mapped, [1, 0, 1]));
  assert.equal(files(), before);
  mapped.dispose();
  streamed.dispose();
});

test("a damaged cache file is noticed and made anew", async () => {
  const path = join(folder, "damaged.png");
  const written = await writeNoise(path, 8, 77);
  const known = new Set(readdirSync(join(cache, "decoded")));
  (await ImageStore.open(fileDataset([path]), { size: 8 })).dispose();
  const made = readdirSync(join(cache, "decoded")).find((name) => name.endsWith(".u8") && !known.has(name));
  truncateSync(join(cache, "decoded", made!), 10);
  const again = await ImageStore.open(fileDataset([path]), { size: 8 });
  assert.deepEqual(await pixelsOf(again, [0]), planes(written, 3));
  again.dispose();
  rmSync(join(cache, "decoded"), { recursive: true });
});

test("two stores of one data set can be made at once", async () => {
  const paths = Array.from({ length: 20 }, (_, i) => join(folder, `twice-${i}.png`));
  for (const [i, path] of paths.entries()) await writeNoise(path, 8, i);
  const stores = await Promise.all([1, 2].map(() => ImageStore.open(fileDataset(paths), { size: 8 })));
  for (const store of stores) store.dispose();
});

test("a part of a set, and the same set with another image, take its pixels and prints without decoding", async () => {
  const paths = [0, 1, 2, 3].map((i) => join(folder, `part-${i}.png`));
  for (const [i, path] of paths.entries()) await writeNoise(path, 8, 50 + i);
  const whole = await ImageStore.open(fileDataset(paths), { size: 8 });
  const images = fileDataset(paths.slice(1));
  const hashes = paths.map((_, i) => whole.contentHashes[i] ?? "");
  // Nothing can be read from them any more.
  const gone = images.items.map((item, i) => {
    const from = { name: "gone", size: 0, version: "", read: () => Promise.reject(new Error("decoded again")) };
    return {
      ...item,
      source: { kind: "shard" as const, shard: from, offset: 0, length: 1, sha256: hashes[i + 1] ?? "" },
    };
  });
  for (const budgetBytes of [2 ** 30, 1]) {
    const part = await ImageStore.open({ ...images, items: gone }, { size: 8, budgetBytes });
    if (budgetBytes > 1) assert.deepEqual(await pixelsOf(part, [0, 1, 2]), await pixelsOf(whole, [1, 2, 3]));
    using own = part.prints();
    using all = whole.prints();
    for (const i of [0, 1, 2]) {
      assert.deepEqual(own.print(part.rowOf(i)), all.print(whole.rowOf(i + 1)));
      const signature = ({ signatures }: typeof own, row: number) => signatures.subarray(row * 200, (row + 1) * 200);
      assert.deepEqual(signature(own, part.rowOf(i)), signature(all, whole.rowOf(i + 1)));
    }
    part.dispose();
  }
  whole.dispose();
});

test("leaders are kept for the order that they were asked for in, and computed anew for others", async () => {
  const paths = [0, 1, 2].map((i) => join(folder, `leader-${i}.png`));
  for (const [i, path] of paths.entries()) await writeNoise(path, 8, 90 + Math.min(i, 1));
  // The third image differs from the second in its file alone.
  const second = await sharp(paths[1]).png({ compressionLevel: 0 }).toBuffer();
  writeFileSync(paths[2] as string, second);
  const store = await ImageStore.open(fileDataset(paths), { size: 8 });
  const [a, b, c] = [0, 1, 2].map((i) => store.rowOf(i)) as [number, number, number];
  const leadersIn = (order: number[]) => {
    const leaders = store.leaders(order);
    return [leaders[a], leaders[b], leaders[c]];
  };
  const before = new Set(readdirSync(join(cache, "decoded")));
  assert.deepEqual(leadersIn([a, b, c]), [a, b, b]);
  const [file = ""] = readdirSync(join(cache, "decoded")).filter((name) => !before.has(name));
  assert.match(file, /\.leaders$/);
  const path = join(cache, "decoded", file);
  const kept = readFileSync(path);
  new Int32Array(kept.buffer, kept.byteOffset + 32, 3)[a] = 77;
  writeFileSync(path, kept);
  assert.deepEqual(leadersIn([a, b, c]), [77, b, b], "the file says so");
  assert.deepEqual(leadersIn([c, b, a]), [a, c, c]);
  truncateSync(path, 40);
  assert.deepEqual(leadersIn([a, b, c]), [a, b, b]);
  store.dispose();
});

test("streaming leaves bad files out when asked to", async () => {
  const path = join(folder, "streamed-bad.png");
  writeFileSync(path, "nothing");
  const good = join(folder, "streamed-good.png");
  await writeNoise(good, 8, 1);
  const store = await ImageStore.open(fileDataset([path, good]), { size: 8, skipBad: true, budgetBytes: 1 });
  assert.deepEqual([...store.skipped], [0]);
});
