/** Near-duplicate images: equal perceptual hashes and nearly equal thumbnails. N images, S side. */
import { ops, scope, type Tensor } from "../torch/index.ts";

/** 64-bit difference hash (as two 32-bit halves) and an 8x8 colour thumbnail of each image. */
interface Prints {
  hashes: Uint32Array;
  thumbnails: Float32Array;
}

const thumbnailLength = 3 * 8 * 8;
/** Mean absolute difference of thumbnails, of 255, under which images count as the same. */
const sameWithin = 4;
/** Differing hash bits under which thumbnails are compared at all. */
const bitsWithin = 3;

/** Prints of images uint8 [N, 3, S, S]. */
export function imagePrints(images: Tensor): Prints {
  return scope(() => {
    const floats = images.narrow(1, 0, 3).to({ dtype: "float32" });
    const grey = ops.adaptive_avg_pool2d(floats.mean(1, true), [8, 9]);
    const bits = grey
      .narrow(3, 1, 8)
      .gt(grey.narrow(3, 0, 8))
      .toTypedArray() as Uint8Array;
    const hashes = new Uint32Array((bits.length / 64) * 2);
    for (let i = 0; i < bits.length; i++) {
      const half = i >> 5;
      if (bits[i]) hashes[half] = ((hashes[half] ?? 0) | (1 << (i & 31))) >>> 0;
    }
    const thumbnails = ops.adaptive_avg_pool2d(floats, [8, 8]).toTypedArray() as Float32Array;
    return { hashes, thumbnails };
  });
}

/** For each image the smallest index of an image that it is a near-duplicate of, over any chain. */
export function nearDuplicateGroups({ hashes, thumbnails }: Prints): number[] {
  const count = hashes.length / 2;
  const parent = Array.from({ length: count }, (_, i) => i);
  const find = (i: number): number => {
    let root = i;
    while (parent[root] !== root) root = parent[root] ?? root;
    parent[i] = root;
    return root;
  };
  for (const bucket of candidateBuckets(hashes)) {
    for (const [position, i] of bucket.entries()) {
      for (const j of bucket.slice(position + 1)) {
        const [a, b] = [find(i), find(j)];
        if (a !== b && differingBits(hashes, i, j) <= bitsWithin && difference(thumbnails, i, j) <= sameWithin) {
          parent[Math.max(a, b)] = Math.min(a, b);
        }
      }
    }
  }
  return parent.map((_, i) => find(i));
}

/** Hashes within three bits of each other share at least one of their four 16-bit bands. */
function candidateBuckets(hashes: Uint32Array): number[][] {
  const buckets = new Map<number, number[]>();
  for (let i = 0; i < hashes.length / 2; i++) {
    for (let band = 0; band < 4; band++) {
      const bits = ((hashes[2 * i + (band >> 1)] ?? 0) >>> (16 * (band & 1))) & 0xffff;
      const key = band * 0x10000 + bits;
      const bucket = buckets.get(key);
      if (bucket) bucket.push(i);
      else buckets.set(key, [i]);
    }
  }
  return [...buckets.values()].filter((bucket) => bucket.length > 1);
}

function differingBits(hashes: Uint32Array, i: number, j: number): number {
  let count = 0;
  for (let half = 0; half < 2; half++) {
    for (let x = ((hashes[2 * i + half] ?? 0) ^ (hashes[2 * j + half] ?? 0)) >>> 0; x !== 0; x &= x - 1) count += 1;
  }
  return count;
}

function difference(thumbnails: Float32Array, i: number, j: number): number {
  let sum = 0;
  for (let p = 0; p < thumbnailLength; p++) {
    sum += Math.abs((thumbnails[i * thumbnailLength + p] ?? 0) - (thumbnails[j * thumbnailLength + p] ?? 0));
  }
  return sum / thumbnailLength;
}
