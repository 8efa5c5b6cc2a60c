/**
 * Near-duplicate images: exact and almost exact copies, such as one picture saved twice. Pictures of one scene, or drawings
 * of one style, are none. Each print is compared with a bounded number of others, so that sets of equal or flat images
 * cost no more time than others.
 */
import { hashBytes, type Prints, signatureBytes } from "./prints.ts";

/** Raised when other images count as near-duplicates. */
export const nearDuplicatesVersion = 1;

/** Mean and largest absolute difference, of 255, of the prints of two copies. */
const meanWithin = 1.5;
const mostWithin = 24;
/** Leaders of one bucket that a print is compared with, the latest first. */
const comparedInBucket = 64;
const bands = 4;
/** Mean brightness of one bucket, of 255: wider than `meanWithin`, so that neighbouring buckets suffice. */
const bucketBrightness = 3;

/**
 * For each row the leader that it is a near-duplicate of: the first row of its kind, or itself.
 * @param order the rows in the order in which they may become leaders
 */
export function nearDuplicateLeaders(prints: Prints, order: readonly number[]): Int32Array {
  const { signatures } = prints;
  const leaders = new Int32Array(signatures.length / signatureBytes).fill(-1);
  const buckets = new Map<number, number[]>();
  for (const row of order) {
    if (leaders[row] !== -1) continue;
    const leader = leaderOf(row, prints, buckets);
    leaders[row] = leader ?? row;
    if (leader !== undefined) continue;
    for (const key of keysOf(signatures, row, 0)) {
      const bucket = buckets.get(key);
      if (bucket) bucket.push(row);
      else buckets.set(key, [row]);
    }
  }
  return leaders;
}

function leaderOf(row: number, prints: Prints, buckets: ReadonlyMap<number, number[]>): number | undefined {
  const compared = new Set<number>();
  let print: Uint8Array | undefined;
  for (const step of [0, -1, 1]) {
    for (const key of keysOf(prints.signatures, row, step)) {
      const bucket = buckets.get(key) ?? [];
      for (const other of bucket.slice(-comparedInBucket).reverse()) {
        if (compared.has(other)) continue;
        compared.add(other);
        if (!mayBeAlike(prints.signatures, row, other)) continue;
        print ??= prints.print(row);
        if (areAlike(print, prints.print(other))) return other;
      }
    }
  }
  return undefined;
}

/** A bucket for each band of the hash: hashes that differ in up to three bits share a band. */
function keysOf(signatures: Uint8Array, row: number, step: number): number[] {
  const at = row * signatureBytes;
  let sum = 0;
  for (let p = hashBytes; p < signatureBytes; p++) sum += signatures[at + p] ?? 0;
  const brightness = Math.floor(sum / (signatureBytes - hashBytes) / bucketBrightness) + 1 + step;
  return Array.from({ length: bands }, (_, band) => {
    const bits = (signatures[at + 2 * band] ?? 0) | ((signatures[at + 2 * band + 1] ?? 0) << 8);
    return ((brightness * bands + band) << 16) | bits;
  });
}

/** The mean difference of thumbnails is at most that of prints, up to rounding. */
function mayBeAlike(signatures: Uint8Array, a: number, b: number): boolean {
  return agree(signatures, a * signatureBytes + hashBytes, signatures, b * signatureBytes + hashBytes, {
    length: signatureBytes - hashBytes,
    mean: meanWithin + 1,
    most: mostWithin + 1,
  });
}

function areAlike(a: Uint8Array, b: Uint8Array): boolean {
  return agree(a, 0, b, 0, { length: a.length, mean: meanWithin, most: mostWithin });
}

/** True when two runs of bytes differ by no more than so much, in the mean and anywhere. */
function agree(
  a: Uint8Array,
  fromA: number,
  b: Uint8Array,
  fromB: number,
  within: { length: number; mean: number; most: number },
): boolean {
  const allowed = within.mean * within.length;
  let sum = 0;
  for (let p = 0; p < within.length; p++) {
    const difference = Math.abs((a[fromA + p] ?? 0) - (b[fromB + p] ?? 0));
    sum += difference;
    if (difference > within.most || sum > allowed) return false;
  }
  return true;
}
