import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { imagePrints, nearDuplicateGroups } from "../../../src/data/index.ts";
import { tensor } from "../../../src/torch/index.ts";
import { noise } from "./support.ts";

const side = 32;

/** A smooth picture [3, 32, 32] with its own waves. */
function picture(seed: number): number[] {
  const [a, b, c, d] = [...noise(4, seed)].map((value) => value / 255) as [number, number, number, number];
  const pixels: number[] = [];
  for (let channel = 0; channel < 3; channel++)
    for (let y = 0; y < side; y++)
      for (let x = 0; x < side; x++) {
        const wave =
          Math.sin((1 + 3 * a) * (x / 8) + 6 * b) + Math.cos((1 + 3 * c) * (y / 8) + 6 * d + x / (4 + 20 * a));
        pixels.push(Math.round(128 + 50 * wave + 8 * channel * a));
      }
  return pixels;
}

const slightly = (pixels: number[], seed: number) =>
  pixels.map((value, i) => Math.min(255, Math.max(0, value + ((noise(1, seed * 7919 + i)[0] ?? 0) % 5) - 2)));

const mirrored = (pixels: number[]) =>
  pixels.map((_, i) => pixels[Math.floor(i / side) * side + (side - 1 - (i % side))] ?? 0);

function groupsOf(pictures: number[][]): number[] {
  using images = tensor(Uint8Array.from(pictures.flat()), { shape: [pictures.length, 3, side, side] });
  return nearDuplicateGroups(imagePrints(images));
}

test("a copy and a slightly noisy copy join the first; others stay alone", () => {
  const a = picture(1);
  const b = picture(2);
  assert.deepEqual(groupsOf([a, b, a, slightly(b, 3), picture(5), mirrored(a)]), [0, 1, 0, 1, 4, 5]);
});

test("the same shape in another colour is another picture", () => {
  const a = picture(4);
  const red = a.map((value, i) => (i < side * side ? Math.min(255, value + 40) : Math.max(0, value - 20)));
  assert.deepEqual(groupsOf([a, red]), [0, 1]);
});

test("groups equal those of comparing all pairs", () => {
  const word = fc.integer({ min: 0, max: 2 ** 32 - 1 });
  const prints = fc.array(
    fc.record({
      base: fc.integer({ min: 0, max: 4 }),
      flips: fc.array(fc.integer({ min: 0, max: 63 }), { maxLength: 5 }),
      shade: fc.constantFrom(0, 3, 6),
    }),
    { minLength: 2, maxLength: 25 },
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(word, word), { minLength: 5, maxLength: 5 }), prints, (bases, list) => {
      const hashes = new Uint32Array(list.length * 2);
      const thumbnails = new Float32Array(list.length * 192);
      for (const [i, { base, flips, shade }] of list.entries()) {
        hashes.set(bases[base] ?? [0, 0], 2 * i);
        for (const bit of flips) {
          const half = 2 * i + (bit >> 5);
          hashes[half] = ((hashes[half] ?? 0) ^ (1 << (bit & 31))) >>> 0;
        }
        thumbnails.fill(shade, i * 192, (i + 1) * 192);
      }
      assert.deepEqual(nearDuplicateGroups({ hashes, thumbnails }), allPairs(hashes, thumbnails));
    }),
    { numRuns: 200 },
  );
});

/** Smallest index reachable over pairs within 3 bits and 4 grey levels. */
function allPairs(hashes: Uint32Array, thumbnails: Float32Array): number[] {
  const count = hashes.length / 2;
  const bits = (i: number) =>
    [hashes[2 * i] ?? 0, hashes[2 * i + 1] ?? 0].map((half) => half.toString(2).padStart(32, "0")).join("");
  const alike = (i: number, j: number) => {
    const other = bits(j);
    const distance = [...bits(i)].filter((bit, p) => bit !== other[p]).length;
    return distance <= 3 && Math.abs((thumbnails[i * 192] ?? 0) - (thumbnails[j * 192] ?? 0)) <= 4;
  };
  const group = Array.from({ length: count }, (_, i) => i);
  for (let changed = true; changed; ) {
    changed = false;
    for (let i = 0; i < count; i++)
      for (let j = 0; j < count; j++) {
        if (!alike(i, j) || (group[j] ?? 0) <= (group[i] ?? 0)) continue;
        group[j] = group[i] ?? 0;
        changed = true;
      }
  }
  return group;
}
