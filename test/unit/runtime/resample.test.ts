/** The runtime's squares against those that images are decoded to for training, which libvips makes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import sharp from "sharp";
import { decodeImage } from "../../../src/data/index.ts";
import { type Pixels, squared } from "../../../src/runtime/index.ts";

type Channels = 1 | 3 | 4;

/** Soft and sharp parts, that differ between channels and places. */
function picture(width: number, height: number, channels: Channels): Buffer {
  const bytes = Buffer.alloc(width * height * channels);
  for (let i = 0; i < bytes.length; i++) {
    const [c, x, y] = [i % channels, Math.floor(i / channels) % width, Math.floor(i / channels / width)];
    const wave = 127 + 90 * Math.sin(x / (3 + c) + y / 7) + 38 * Math.sin(x * y * (c + 1));
    bytes[i] = (x >> 3) % 3 === c % 3 && (y >> 4) % 2 === 0 ? 255 * ((x + y) % 2) : wave;
  }
  return bytes;
}

const encoded = (width: number, height: number, channels: Channels) =>
  sharp(picture(width, height, channels), { raw: { width, height, channels } });

/** What a browser gives for a file: upright, red, green, blue and alpha. */
async function upright(file: Buffer): Promise<Pixels> {
  const pixels = sharp(file).autoOrient().toColourspace("srgb").ensureAlpha().raw();
  const { data, info } = await pixels.toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height };
}

/** Shares of bytes that differ by one, and by more. */
async function differences(file: Buffer, size: number): Promise<{ byOne: number; byMore: number }> {
  const item = { id: "picture", label: 0, source: { kind: "bytes", bytes: file } } as const;
  const expected = await decodeImage(item, { size, channels: 3, pixelLimit: 1e8 });
  const own = squared(await upright(file), size);
  assert.equal(own.length, expected.length);
  const off = Array.from(own, (value, i) => Math.abs(value - (expected[i] ?? -1000)));
  const share = (count: number): number => count / own.length;
  return { byOne: share(off.filter((d) => d === 1).length), byMore: share(off.filter((d) => d > 1).length) };
}

/** libvips adds positions up anew in each of its tiles, so that some round to another neighbour. */
const almost = { byOne: 0.06, byMore: 0.003 };

async function agrees(what: string, file: Buffer, size: number, most = almost): Promise<void> {
  const found = await differences(file, size);
  assert.ok(found.byOne <= most.byOne && found.byMore <= most.byMore, `${what} to ${size}: ${JSON.stringify(found)}`);
}

const exactly = { byOne: 0, byMore: 0 };

test("PNG files: reduced, enlarged, cropped, of one row and of one pixel", async () => {
  const sides = [
    [640, 427],
    [97, 131],
    [333, 47],
    [49, 48],
    [500, 3],
    [30, 40],
  ] as const;
  for (const [width, height] of sides) {
    const file = await encoded(width, height, 3).png().toBuffer();
    for (const size of [48, 130]) await agrees(`${width} x ${height}`, file, size);
  }
  const isEnlarged = [
    [13, 200],
    [48, 48],
    [1, 1],
  ] as const;
  for (const [width, height] of isEnlarged) {
    await agrees(`${width} x ${height}`, await encoded(width, height, 3).png().toBuffer(), 48, exactly);
  }
});

test("alpha is put over white, and decides between cropping and fitting", async () => {
  for (const [width, height] of [
    [201, 90],
    [90, 201],
    [48, 48],
    [20, 33],
  ] as const) {
    await agrees(`alpha ${width} x ${height}`, await encoded(width, height, 4).png().toBuffer(), 48);
    const opaque = picture(width, height, 4).map((value, i) => (i % 4 === 3 ? 255 : value));
    const file = await sharp(opaque, { raw: { width, height, channels: 4 } })
      .png()
      .toBuffer();
    await agrees(`opaque ${width} x ${height}`, file, 48);
  }
});

test("grey files", async () => {
  await agrees("grey", await encoded(200, 120, 1).toColourspace("b-w").png().toBuffer(), 48);
});

test("JPEG and WebP files are decoded whole, and upright before they are resized", async () => {
  for (const orientation of [1, 2, 3, 4, 5, 6, 7, 8]) {
    const file = await encoded(211, 150, 3).withMetadata({ orientation }).jpeg({ quality: 90 }).toBuffer();
    for (const size of [24, 48]) await agrees(`orientation ${orientation}`, file, size);
  }
  for (const [width, height] of [
    [640, 427],
    [720, 477],
    [96, 96],
  ] as const) {
    const image = encoded(width, height, 3);
    for (const size of [48, 64]) {
      await agrees(`JPEG of ${width} x ${height}`, await image.clone().jpeg().toBuffer(), size);
      await agrees(`WebP of ${width} x ${height}`, await image.clone().webp().toBuffer(), size);
    }
  }
  const rotated = await encoded(150, 90, 3).withMetadata({ orientation: 6 }).png().toBuffer();
  await agrees("rotated PNG", rotated, 48);
});

test("what is no image is refused", () => {
  assert.throws(() => squared({ data: new Uint8Array(7), width: 2, height: 1 }, 4), /7 bytes are not 2 x 1 pixels/);
  assert.throws(() => squared({ data: new Uint8Array(0), width: 0, height: 0 }, 4), /0 bytes are not 0 x 0 pixels/);
});
