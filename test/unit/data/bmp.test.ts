import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { readBitmap } from "../../../src/data/bmp.ts";
import { decodeImage } from "../../../src/data/decode.ts";
import { temporaryFolder } from "./support.ts";

const fixtures: { name: string; file: string; rgb: string }[] = JSON.parse(
  readFileSync(new URL("../../fixtures/bitmaps.json", import.meta.url), "utf8"),
);
const bytesOf = (text: string) => Buffer.from(text, "base64");

test("pixels are those that Pillow reads", () => {
  for (const { name, file, rgb } of fixtures) {
    const { width, height, pixels } = readBitmap(bytesOf(file));
    assert.deepEqual([width, height], [7, 5], name);
    assert.deepEqual(Buffer.from(pixels), bytesOf(rgb), name);
  }
});

interface Made {
  width: number;
  height: number;
  bits: number;
  rows: number[][];
  compression?: number;
  after?: Buffer;
}

/** A file with the given bytes of each row, in the order of the file; `after` follows the header. */
function bitmap({ width, height, bits, rows, compression = 0, after = Buffer.alloc(0) }: Made): Buffer {
  const header = Buffer.alloc(54);
  header.write("BM");
  header.writeUInt32LE(54 + after.length, 10);
  header.writeUInt32LE(40, 14);
  header.writeInt32LE(width, 18);
  header.writeInt32LE(height, 22);
  header.writeUInt16LE(1, 26);
  header.writeUInt16LE(bits, 28);
  header.writeUInt32LE(compression, 30);
  return Buffer.concat([header, after, ...rows.map((row) => Buffer.from(row))]);
}

const u32 = (...values: number[]) => Buffer.from(new Uint32Array(values).buffer);
const pixelsOf = (file: Buffer) => [...readBitmap(file).pixels];

test("four bits, rows from the top, and 16 bits with masks of their own", () => {
  const after = u32(0x0000ff, 0x00ff00, 0xff0000, ...Array.from({ length: 13 }, () => 0));
  // Three pixels a row: an odd number of halves of a byte.
  const rows = [
    [0x01, 0x20, 0, 0],
    [0x21, 0x00, 0, 0],
  ];
  const [blue, green, red] = [
    [0, 0, 255],
    [0, 255, 0],
    [255, 0, 0],
  ];
  const below = [...red, ...green, ...blue];
  assert.deepEqual(pixelsOf(bitmap({ width: 3, height: 2, bits: 4, rows, after })), [
    ...below,
    ...blue,
    ...green,
    ...red,
  ]);
  assert.deepEqual(pixelsOf(bitmap({ width: 3, height: -2, bits: 4, rows, after })), [
    ...blue,
    ...green,
    ...red,
    ...below,
  ]);

  const masks = u32(0xf800, 0x7e0, 0x1f);
  const wide = { width: 1, height: 1, bits: 16, compression: 3, after: masks };
  assert.deepEqual(pixelsOf(bitmap({ ...wide, rows: [[0xe0, 0x07, 0, 0]] })), [0, 255, 0]);
  assert.deepEqual(pixelsOf(bitmap({ width: 1, height: 1, bits: 16, rows: [[0xe0, 0x03, 0, 0]] })), [0, 255, 0]);
});

test("a damaged or packed file is refused with the reason, whatever its bytes", () => {
  const [{ file = "" } = {}] = fixtures;
  const whole = bytesOf(file);
  const plain = { width: 1, height: 1, bits: 24, rows: [[0, 0, 0, 0]] };
  assert.throws(() => readBitmap(bitmap({ ...plain, compression: 1 })), /run lengths: convert/);
  assert.throws(() => readBitmap(bitmap({ ...plain, width: 0 })), /header is damaged/);
  assert.throws(() => readBitmap(bitmap({ ...plain, bits: 3 })), /header is damaged/);
  assert.throws(() => readBitmap(bitmap({ ...plain, height: 9 })), /ends early/);
  fc.assert(
    fc.property(fc.integer({ min: 14, max: whole.length - 1 }), fc.integer({ min: 0, max: 255 }), (at, value) => {
      const changed = Buffer.from(whole);
      changed[at] = value;
      try {
        const { width, height, pixels } = readBitmap(changed);
        assert.equal(pixels.length, width * height * 3);
      } catch (error) {
        assert.match((error as Error).message, /damaged|ends early|convert it/);
      }
    }),
  );
});

test("a bitmap is decoded as the same picture in PNG; a huge one is refused before its pixels are read", async () => {
  const root = temporaryFolder();
  const decoded = (path: string, pixelLimit = 1e6) =>
    decodeImage({ id: "a", label: 0, source: { kind: "file", path } }, { size: 4, channels: 3, pixelLimit });
  const file = join(root, "green.bmp");
  writeFileSync(file, bitmap({ width: 1, height: 1, bits: 24, rows: [[0, 255, 0, 0]] }));
  assert.deepEqual([...(await decoded(file))], Array.from({ length: 16 }, () => [0, 255, 0]).flat());
  const huge = join(root, "huge.bmp");
  writeFileSync(huge, bitmap({ width: 30_000, height: 30_000, bits: 24, rows: [] }));
  await assert.rejects(decoded(huge), /900 megapixels, more than the limit/);
  writeFileSync(huge, bitmap({ width: 30, height: 30, bits: 24, rows: [] }));
  await assert.rejects(decoded(huge), /huge\.bmp cannot be used: it ends early: a BMP cut off after 54 bytes/);
});
