/** Changes to a file that know nothing about it. */
import type { Random } from "./random.ts";

/** Integers at which conversions and comparisons go wrong. */
export const interesting: readonly bigint[] = [
  ...[0n, 1n, 2n, 3n, 4n, 7n, 8n, 15n, 16n, 31n, 32n, 63n, 64n, 65n, 100n, 127n, 128n, 255n, 256n, 1000n, 4096n],
  ...[15n, 16n, 24n, 30n, 31n, 32n, 40n, 52n, 53n, 62n, 63n, 64n].flatMap((bits) => [2n ** bits - 1n, 2n ** bits]),
];

const mask = 2n ** 64n - 1n;

function flip(random: Random, bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  const at = random.int(copy.length);
  copy[at] = (copy[at] ?? 0) ^ (1 << random.int(8));
  return copy;
}

function overwrite(random: Random, bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  for (let i = random.int(4); i >= 0; i--) copy[random.int(copy.length)] = random.int(256);
  return copy;
}

function truncate(random: Random, bytes: Buffer): Buffer {
  return random.chance(0.5) ? bytes.subarray(0, random.int(bytes.length)) : bytes.subarray(0, -1 - random.int(32));
}

function remove(random: Random, bytes: Buffer): Buffer {
  const at = random.int(bytes.length);
  return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random.int(32))]);
}

function insert(random: Random, bytes: Buffer): Buffer {
  const at = random.int(bytes.length + 1);
  return Buffer.concat([bytes.subarray(0, at), random.bytes(1 + random.int(16)), bytes.subarray(at)]);
}

/** Copies a part of the file, or of another one, over or into another place. */
function splice(random: Random, bytes: Buffer, other: Buffer): Buffer {
  const source = random.chance(0.5) ? bytes : other;
  const from = random.int(source.length);
  const part = source.subarray(from, from + 1 + random.int(64));
  const at = random.int(bytes.length);
  return Buffer.concat([bytes.subarray(0, at), part, bytes.subarray(at + (random.chance(0.5) ? part.length : 0))]);
}

/** An integer in place of another, as lengths, offsets and counts are stored. */
function replaceInteger(random: Random, bytes: Buffer): Buffer {
  const width = random.pick([1, 2, 4, 8]);
  const copy = Buffer.from(bytes);
  if (copy.length < width) return copy;
  const at = random.int(copy.length - width + 1);
  const value = random.pick(interesting) & mask;
  const encoded = Buffer.alloc(8);
  encoded.writeBigUInt64LE(random.chance(0.2) ? -value & mask : value);
  const part = encoded.subarray(0, width);
  copy.set(random.chance(0.2) ? part.reverse() : part, at);
  return copy;
}

/** An integer one or two larger or smaller than it was. */
function nudge(random: Random, bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  const at = random.int(copy.length);
  copy[at] = ((copy[at] ?? 0) + random.pick([-2, -1, 1, 2])) & 255;
  return copy;
}

const changes = [flip, overwrite, truncate, remove, insert, splice, replaceInteger, nudge] as const;

/** The bytes with one change; `other` is a file of the same format. */
export function mutateBytes(random: Random, bytes: Buffer, other: Buffer): Buffer {
  if (bytes.length === 0 || other.length === 0) return random.bytes(random.int(16));
  return random.pick(changes)(random, bytes, other);
}
