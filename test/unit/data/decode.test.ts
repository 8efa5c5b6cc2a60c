import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import sharp from "sharp";
import { ByteGate } from "../../../src/data/concurrent.ts";
import { decodeImage, type Item, squarePixels, UnreadableImage } from "../../../src/data/index.ts";
import { holdsItsPixels } from "../../../src/data/tiff.ts";
import { hugePng, noise, png, temporaryFolder } from "./support.ts";

const folder = temporaryFolder();
const inMemory = (bytes: Uint8Array): Item => ({ id: "picture", label: 0, source: { kind: "bytes", bytes } });
const options = { size: 4, channels: 3, pixelLimit: 1e8 } as const;

/** The first channel of a 4 x 4 image, by row. */
async function shades(bytes: Uint8Array): Promise<number[]> {
  const pixels = await decodeImage(inMemory(bytes), options);
  return Array.from({ length: 16 }, (_, p) => pixels[3 * p] ?? -1);
}

async function reasonOf(item: Item): Promise<string> {
  try {
    await decodeImage(item, options);
  } catch (error) {
    assert.ok(error instanceof UnreadableImage);
    return error.reason;
  }
  assert.fail("decoded");
}

interface TiffNumbers {
  bits: number;
  /** 1 unsigned, 2 signed, 3 floating point. */
  format: 1 | 2 | 3;
  samples?: number;
}

/** An uncompressed little-endian TIFF of 4 x 4 pixels; `claims` overrides what the directory says by tag. */
function tiff(
  data: Uint8Array,
  { bits, format, samples = 1 }: TiffNumbers,
  claims: Record<number, number> = {},
): Buffer {
  const bitsAt = 8 + data.length;
  const fields: Record<number, number> = {
    256: 4,
    257: 4,
    258: bits,
    259: 1,
    262: samples === 1 ? 1 : 2,
    273: 8,
    277: samples,
    278: 4,
    279: data.length,
    339: format,
    ...claims,
  };
  const tags = Object.keys(fields).map(Number);
  const directory = Buffer.alloc(2 + 12 * tags.length + 4);
  directory.writeUInt16LE(tags.length, 0);
  for (const [i, tag] of tags.entries()) {
    const count = (tag === 258 || tag === 339) && samples > 1 ? samples : 1;
    const isShort = [258, 259, 262, 277, 339].includes(tag);
    directory.writeUInt16LE(tag, 2 + 12 * i);
    directory.writeUInt16LE(isShort ? 3 : 4, 4 + 12 * i);
    directory.writeUInt32LE(count, 6 + 12 * i);
    const table = tag === 258 ? bitsAt : bitsAt + 2 * samples;
    directory.writeUInt32LE(count > 1 ? table : (fields[tag] ?? 0), 10 + 12 * i);
  }
  const tables = Buffer.alloc(4 * samples);
  for (let s = 0; s < samples; s++) {
    tables.writeUInt16LE(bits, 2 * s);
    tables.writeUInt16LE(format, 2 * (samples + s));
  }
  const header = Buffer.from([0x49, 0x49, 42, 0, 0, 0, 0, 0]);
  header.writeUInt32LE(bitsAt + tables.length, 4);
  return Buffer.concat([header, data, tables, directory]);
}

const bytesOf = (values: Float32Array | Int32Array | Uint16Array) => new Uint8Array(values.buffer);
const ramp = (low: number, high: number) => Array.from({ length: 16 }, (_, i) => low + ((high - low) * i) / 15);
const near = (actual: number[], expected: number[]) => {
  for (const [i, value] of expected.entries())
    assert.ok(Math.abs((actual[i] ?? -9) - value) <= 1, `${actual} for ${expected}`);
};

test("floating-point TIFF shows its content: 0 to 1 as it is, other ranges from black to white", async () => {
  const float = { bits: 32, format: 3 } as const;
  const shown = (values: number[], numbers: TiffNumbers = float) =>
    shades(tiff(bytesOf(Float32Array.from(values)), numbers));
  near(await shown(ramp(0, 0.5)), ramp(0, 127.5));
  near(await shown(ramp(0.2, 1)), ramp(51, 255));
  near(await shown(ramp(-3, 5000)), ramp(0, 255));
  near(await shown(ramp(0, 0.001)), ramp(0, 255));
  near(await shown(ramp(7, 7)), ramp(128, 128));
  const broken = ramp(0, 1);
  broken[3] = Number.NaN;
  broken[4] = Number.POSITIVE_INFINITY;
  near(
    await shown(broken),
    ramp(0, 255).map((value, i) => (i === 3 || i === 4 ? 0 : value)),
  );
  const colour = ramp(0, 1).flatMap((value) => [value, 1 - value, 0.5]);
  near(await shown(colour, { ...float, samples: 3 }), ramp(0, 255));
  const nothing = tiff(bytesOf(new Float32Array(16).fill(Number.NaN)), float);
  assert.match(await reasonOf(inMemory(nothing)), /no finite numbers/);
});

test("whole numbers of other ranges show their content too; full 16 bits stay what they are", async () => {
  near(await shades(tiff(bytesOf(Int32Array.from(ramp(-500, 499.99))), { bits: 32, format: 2 })), ramp(0, 255));
  const wide = { bits: 16, format: 1 } as const;
  near(await shades(tiff(bytesOf(Uint16Array.from(ramp(0, 4095))), wide)), ramp(0, 255));
  near(await shades(tiff(bytesOf(Uint16Array.from(ramp(0, 2000))), wide)), ramp(0, 124.5));
  near(await shades(tiff(bytesOf(Uint16Array.from(ramp(0, 65535))), wide)), ramp(0, 255));
  near(await shades(tiff(bytesOf(Uint16Array.from(ramp(0, 30000))), wide)), ramp(0, 116.7));
});

test("a TIFF that does not hold the pixels it claims is refused", async () => {
  const data = bytesOf(Uint16Array.from(ramp(0, 65535)));
  const wide = { bits: 16, format: 1 } as const;
  assert.ok(holdsItsPixels(tiff(data, wide)));
  for (const claims of [{ 256: 9000, 257: 9000, 278: 9000 }, { 279: 0 }, { 279: 1e6 }, { 257: 5 }]) {
    const bytes = tiff(data, wide, claims);
    assert.ok(!holdsItsPixels(bytes));
    assert.match(await reasonOf(inMemory(bytes)), /claims \d+ x \d+ pixels, which its \d+ bytes do not hold/);
  }
  for (let length = 0; length < 100; length++) holdsItsPixels(tiff(data, wide).subarray(0, length));
});

test("what takes too much memory to decode is refused by its header", async () => {
  const plain = hugePng(9000);
  const interlaced = hugePng(9000, { depth: 16, colour: 6, interlaced: true });
  assert.match(await reasonOf(inMemory(interlaced)), /interlaced PNG of 81 megapixels takes \d+ MB/);
  // Line by line it would be decoded, if it held anything.
  assert.doesNotMatch(await reasonOf(inMemory(plain)), /megapixels/);
});

test("every reason says what the file is", async () => {
  const jpeg = await sharp(noise(64 * 64 * 3, 3), { raw: { width: 64, height: 64, channels: 3 } })
    .jpeg()
    .toBuffer();
  const whole = await png(32, 32, 3, noise(32 * 32 * 3, 2));
  const cases: [Buffer, RegExp][] = [
    [Buffer.alloc(0), /empty/],
    [Buffer.alloc(500), /nothing but zeros/],
    [jpeg.subarray(0, 900), /ends early: a JPEG cut off after 900 bytes/],
    [whole.subarray(0, 1500), /ends early: a PNG cut off after 1500 bytes/],
    [Buffer.from("<!DOCTYPE html><html>"), /web page/],
    [Buffer.from("version https://git-lfs.github.com/spec/v1\noid sha256:0"), /git lfs pull/],
    [Buffer.from("\0\0\0\x0cJXL \r\n\x87\n", "latin1"), /JPEG XL: convert/],
    [Buffer.from("P6 2 2 255\nabcdefghijkl"), /PNM: convert/],
    [Buffer.from("just words"), /no image \(PNG/],
  ];
  for (const [bytes, reason] of cases) assert.match(await reasonOf(inMemory(bytes)), reason);
  const file = (path: string): Item => ({ id: path, label: 0, source: { kind: "file", path } });
  assert.match(await reasonOf(file(join(folder, "absent.png"))), /there is no such file/);
  assert.match(await reasonOf(file(folder)), /a folder/);
  execFileSync("mkfifo", [join(folder, "pipe.png")]);
  assert.match(await reasonOf(file(join(folder, "pipe.png"))), /a pipe/);
});

test("a wide image loses its sides, or is squashed when that is asked for", async () => {
  const raw = new Uint8Array(8 * 4 * 3);
  for (let p = 0; p < 32; p++) raw.fill([0, 80, 160, 240][(p % 8) >> 1] ?? 0, 3 * p, 3 * p + 3);
  const wide = await sharp(raw, { raw: { width: 8, height: 4, channels: 3 } })
    .png()
    .toBuffer();
  const row = async (fit?: "squash") => {
    const bytes = await decodeImage(inMemory(wide), { ...options, size: 2, fit });
    return [bytes[0], bytes[3]];
  };
  const near = (found: (number | undefined)[], wanted: number[]) =>
    assert.ok(
      found.every((value, i) => Math.abs((value ?? -1) - (wanted[i] ?? 0)) < 25),
      String(found),
    );
  near(await row(), [80, 160]);
  near(await row("squash"), [40, 200]);
});

test("an encoded image in memory decodes as its file does", async () => {
  const bytes = await png(9, 7, 3, noise(9 * 7 * 3, 5));
  const path = join(folder, "same.png");
  writeFileSync(path, bytes);
  const item: Item = { id: "same", label: 0, source: { kind: "file", path } };
  assert.deepEqual(await decodeImage(inMemory(bytes), options), await decodeImage(item, options));
});

test("tasks behind a gate never hold more than its bytes, and come in order", async () => {
  const gate = new ByteGate(10);
  let held = 0;
  let most = 0;
  const begun: number[] = [];
  const sizes = [6, 4, 3, 10, 1, 9, 2];
  await Promise.all(
    sizes
      .map((bytes, i) =>
        gate.run(bytes, async () => {
          begun.push(i);
          held += bytes;
          most = Math.max(most, held);
          await new Promise((resolve) => setImmediate(resolve));
          held -= bytes;
          if (i === 2) throw new Error("a task may fail");
        }),
      )
      .map((task) => task.catch(() => {})),
  );
  assert.equal(most, 10);
  assert.deepEqual(
    begun,
    sizes.map((_, i) => i),
  );
  await assert.rejects(
    gate.run(11, async () => {}),
    RangeError,
  );
});

test("pixels become the square that a file of them becomes, and stay as they are where they have its size", async () => {
  const [width, height] = [9, 6];
  const pixels = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 37) % 256);
  const file = await sharp(pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
  assert.deepEqual(await squarePixels(pixels, { width, height }, options), await decodeImage(inMemory(file), options));
  const square = pixels.subarray(0, 48);
  assert.equal(await squarePixels(square, { width: 4, height: 4 }, options), square);
});
