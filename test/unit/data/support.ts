/** Temporary folders, caches and images for the tests of the data layer. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after } from "node:test";
import sharp from "sharp";
import type { Dataset, Item } from "../../../src/data/index.ts";
import { UserError } from "../../../src/torch/index.ts";

/** A folder that is removed when the test file ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "hub-pathway-data-"));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Sends everything that is cached to a fresh folder. */
export function temporaryCache(): string {
  const folder = temporaryFolder();
  process.env["HUB_PATHWAY_CACHE"] = folder;
  return folder;
}

/** Pixels that differ from place to place, from a small generator of their own. */
export function noise(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed * 2654435761 + 12345;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

export function png(width: number, height: number, channels: 1 | 3 | 4, pixels: Buffer): Promise<Buffer> {
  return sharp(pixels, { raw: { width, height, channels } }).png().toBuffer();
}

export async function writeNoise(path: string, side: number, seed: number, channels: 3 | 4 = 3): Promise<Buffer> {
  const pixels = noise(side * side * channels, seed);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, await png(side, side, channels, pixels));
  return pixels;
}

/** A data set of the given files, all of one class unless told. */
export function fileDataset(paths: readonly string[], labels: readonly number[] = paths.map(() => 0)): Dataset {
  const items = paths.map(
    (path, i): Item => ({ id: `item-${i}`, label: labels[i] ?? 0, source: { kind: "file", path } }),
  );
  return syntheticDataset(items, Math.max(...labels) + 1);
}

export function syntheticDataset(items: Item[], classes: number): Dataset {
  const names = Array.from({ length: classes }, (_, i) => `class-${i}`);
  return { name: "synthetic", classes: names, items, licence: "none", origin: "a test" };
}

/** A header that claims 13,000 x 13,000 pixels (169 megapixels) in front of almost no data. */
export function hugePng(side = 13_000, { depth = 8, colour = 2, interlaced = false } = {}): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header.set([depth, colour, 0, 0, Number(interlaced)], 8);
  const signature = Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]);
  return Buffer.concat([
    signature,
    chunk("IHDR", header),
    chunk("IDAT", Buffer.from([0x78, 0x9c])),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(data.length, 0);
  body.copy(framed, 4);
  framed.writeUInt32BE(crc32(body), body.length + 4);
  return framed;
}

function crc32(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc >>> 0;
}

export type Files = readonly (readonly [name: string, content: string | Buffer])[];

/** A tar by the system's program, with the files in this order. */
export function tarOf(path: string, files: Files, format = "gnu"): string {
  const root = temporaryFolder();
  for (const [name, content] of files) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), content);
  }
  mkdirSync(dirname(path), { recursive: true });
  const names = files.map(([name]) => name);
  execFileSync("tar", [
    `--format=${format}`,
    "--no-recursion",
    "--hard-dereference",
    "-cf",
    path,
    "-C",
    root,
    "--",
    ...names,
  ]);
  return path;
}

/** What asserts that an error is the user's, in one line that matches. */
export const refused = (message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof UserError, String(error));
  assert.match(error.message, message);
  assert.doesNotMatch(error.message, /\n/);
  return true;
};
