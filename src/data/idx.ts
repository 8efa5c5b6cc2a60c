/** IDX files (the format of MNIST): a magic number, big-endian sizes, then raw bytes. */
import { closeSync, fstatSync, openSync, readFileSync, readSync } from "node:fs";
import { UserError } from "../torch/index.ts";
import type { Item } from "./types.ts";

export interface IdxHeader {
  sizes: number[];
  /** Bytes before the data. */
  offset: number;
}

/** @throws UserError when the file is not an IDX file of unsigned bytes, or its length does not fit. */
export function readIdxHeader(path: string): IdxHeader {
  const file = openSync(path, "r");
  try {
    const head = Buffer.alloc(4 + 4 * 4);
    const got = readSync(file, head, 0, head.length, 0);
    const dims = head[3] ?? 0;
    if (got < 4 || head[0] !== 0 || head[1] !== 0 || head[2] !== 8 || dims < 1 || dims > 4 || got < 4 + 4 * dims) {
      throw new UserError(`${path} is not an IDX file of unsigned bytes (is it still compressed?)`);
    }
    const sizes = Array.from({ length: dims }, (_, i) => head.readUInt32BE(4 + 4 * i));
    const offset = 4 + 4 * dims;
    const expected = offset + sizes.reduce((product, size) => product * size, 1);
    const actual = fstatSync(file).size;
    if (actual !== expected) {
      throw new UserError(`${path} should have ${expected} bytes by its header but has ${actual}: it is damaged`);
    }
    return { sizes, offset };
  } finally {
    closeSync(file);
  }
}

/**
 * Items from a pair of IDX files, images and labels.
 * @throws UserError when either is damaged or their counts differ
 */
export function idxItems(imagesPath: string, labelsPath: string, prefix: string): Item[] {
  const images = readIdxHeader(imagesPath);
  const labels = readIdxHeader(labelsPath);
  const [count = 0, height = 0, width = 0] = images.sizes;
  if (images.sizes.length !== 3)
    throw new UserError(`${imagesPath} holds no images: it has ${images.sizes.length} dimensions`);
  if (labels.sizes.length !== 1 || labels.sizes[0] !== count) {
    throw new UserError(`${imagesPath} has ${count} images but ${labelsPath} has ${labels.sizes[0]} labels`);
  }
  const bytes = readFileSync(labelsPath).subarray(labels.offset);
  return Array.from({ length: count }, (_, i) => ({
    id: `${prefix}-${i}`,
    label: bytes[i] ?? 0,
    source: { kind: "raw", path: imagesPath, offset: images.offset + i * width * height, width, height, channels: 1 },
  }));
}
