import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { decodeImage, idxItems, readIdxHeader } from "../../../src/data/index.ts";
import { UserError } from "../../../src/torch/index.ts";
import { temporaryFolder } from "./support.ts";

const folder = temporaryFolder();
let files = 0;

/** Writes bytes by hand: 0, 0, type, dimensions, big-endian sizes, data. */
function idx(sizes: number[], data: number[], type = 8): string {
  const head = [
    0,
    0,
    type,
    sizes.length,
    ...sizes.flatMap((size) => [size >>> 24, (size >>> 16) & 255, (size >>> 8) & 255, size & 255]),
  ];
  const path = join(folder, `${files++}.idx`);
  writeFileSync(path, Buffer.from([...head, ...data]));
  return path;
}

const userError = (pattern: RegExp) => (error: unknown) => error instanceof UserError && pattern.test(error.message);

test("images and labels come out as they were written", async () => {
  const images = idx([3, 2, 2], [10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120]);
  const labels = idx([3], [2, 0, 1]);
  assert.deepEqual(readIdxHeader(images), { sizes: [3, 2, 2], offset: 16 });
  const items = idxItems(images, labels, "part");
  assert.deepEqual(
    items.map((item) => [item.id, item.label]),
    [
      ["part-0", 2],
      ["part-1", 0],
      ["part-2", 1],
    ],
  );
  const middle = await decodeImage(items[1]!, { size: 2, channels: 3, pixelLimit: 1e6 });
  assert.deepEqual([...middle], [50, 50, 50, 60, 60, 60, 70, 70, 70, 80, 80, 80]);
});

test("sizes are big-endian over all four bytes", () => {
  const path = idx([1, 1, 258], new Array<number>(258).fill(0));
  assert.deepEqual(readIdxHeader(path).sizes, [1, 1, 258]);
});

test("damaged files are named", () => {
  const labels = idx([1], [0]);
  const short = idx([2, 2, 2], [1, 2, 3]);
  assert.throws(() => idxItems(short, labels, "x"), userError(new RegExp(`${short}.*24 bytes.*19`)));
  const long = idx([1, 1, 1], [1, 2]);
  assert.throws(() => readIdxHeader(long), userError(/damaged/));
  const floats = idx([1], [0, 0, 0, 0], 0x0d);
  assert.throws(() => readIdxHeader(floats), userError(/unsigned bytes/));
  const packed = join(folder, "packed.gz");
  writeFileSync(packed, gzipSync(Buffer.from([0, 0, 8, 1, 0, 0, 0, 1, 5])));
  assert.throws(() => readIdxHeader(packed), userError(/compressed/));
  const empty = join(folder, "empty");
  writeFileSync(empty, "");
  assert.throws(() => readIdxHeader(empty), userError(/not an IDX file/));
  const cut = join(folder, "cut");
  writeFileSync(cut, Buffer.from([0, 0, 8, 3, 0, 0]));
  assert.throws(() => readIdxHeader(cut), userError(/not an IDX file/));
});

test("counts and dimensions must fit each other", () => {
  const images = idx([2, 1, 1], [1, 2]);
  assert.throws(() => idxItems(images, idx([3], [0, 0, 0]), "x"), userError(/2 images.*3 labels/));
  assert.throws(() => idxItems(idx([2], [1, 2]), idx([2], [0, 0]), "x"), userError(/holds no images/));
});
