/** PyTorch files that a hostile test writes, and reading everything that is in one. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readTorchArchive, stateDictOf } from "../../src/io/index.ts";
import { UserError } from "../../src/torch/index.ts";
import { temporaryFolder } from "./small-hub.ts";
import { unpackedFixtures } from "./unpacked.ts";

export const folder = temporaryFolder();

export function written(bytes: Buffer): string {
  const path = join(folder, "weights.pth");
  writeFileSync(path, bytes);
  return path;
}

const fixtures = unpackedFixtures("torch-archive");

export function fixture(name: string): Buffer {
  return readFileSync(join(fixtures, name));
}

/** Opens a file and reads all that is in it. */
export async function open(path: string): Promise<void> {
  const archive = await readTorchArchive(path);
  for (const lazy of archive.tensors.values()) {
    using read = await lazy.read();
    assert.deepEqual(read.shape, lazy.shape);
    assert.equal(read.dtype, lazy.dtype);
  }
  try {
    stateDictOf(archive);
  } catch (error) {
    assert.ok(error instanceof UserError);
  }
}
