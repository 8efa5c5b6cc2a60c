import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { findDuplicates } from "../../../src/data/duplicates.ts";
import { nearDuplicateLeaders } from "../../../src/data/near-duplicates.ts";
import { type Prints, printOf, signatureBytes, signatureOf } from "../../../src/data/prints.ts";
import type { Item } from "../../../src/data/types.ts";
import { noise } from "./support.ts";

const side = 32;
const length = 3 * side * side;

/** Prints in memory; counts how often one is looked at. */
function printsOf(rows: readonly Uint8Array[]): Prints & { looks: number } {
  const signatures = new Uint8Array(rows.length * signatureBytes);
  for (const [row, print] of rows.entries()) signatures.set(signatureOf(print, side), row * signatureBytes);
  const prints = {
    signatures,
    looks: 0,
    print(row: number): Uint8Array {
      prints.looks += 1;
      return rows[row] as Uint8Array;
    },
  };
  return prints;
}

const inOrder = (prints: Prints) =>
  nearDuplicateLeaders(
    prints,
    Array.from({ length: prints.signatures.length / signatureBytes }, (_, i) => i),
  );

/** A smooth picture: blobs of noise, so that it looks like no other. */
function picture(seed: number): Uint8Array {
  const coarse = noise(3 * 4 * 4, seed);
  return Uint8Array.from({ length }, (_, i) => {
    const [c, y, x] = [Math.floor(i / (side * side)), Math.floor(i / side) % side, i % side];
    return coarse[c * 16 + (y >> 3) * 4 + (x >> 3)] ?? 0;
  });
}

const withGrain = (print: Uint8Array, seed: number, most: number) => {
  const grain = noise(print.length, seed);
  return print.map((value, i) => Math.min(255, Math.max(0, value + ((grain[i] ?? 0) % (2 * most + 1)) - most)));
};

test("exact and almost exact copies have one leader, pictures of one scene have their own", () => {
  const scene = picture(1);
  const object = Uint8Array.from(scene);
  // Something of 3 x 3 pixels appears in the scene: less than one part in a hundred of it.
  for (const y of [10, 11, 12]) for (const x of [20, 21, 22]) object[y * side + x] = (object[y * side + x] ?? 0) ^ 0x80;
  const brighter = scene.map((value) => Math.min(255, value + 3));
  const prints = printsOf([scene, picture(2), Uint8Array.from(scene), withGrain(scene, 9, 2), object, brighter]);
  assert.deepEqual([...inOrder(prints)], [0, 1, 0, 0, 4, 5]);
});

test("copies with grain are found among random pictures, and each leader leads itself", () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ picture: fc.integer({ min: 0, max: 5 }), grain: fc.integer({ min: 0, max: 1 }) }), {
        minLength: 2,
        maxLength: 20,
      }),
      (made) => {
        const prints = printsOf(made.map(({ picture: seed, grain }, i) => withGrain(picture(seed), i, grain)));
        const first = made.map(({ picture: seed }) => made.findIndex((other) => other.picture === seed));
        assert.deepEqual([...inOrder(prints)], first);
      },
    ),
    { numRuns: 50 },
  );
});

test("equal, flat and grainy images cost a bounded number of looks each", () => {
  const flat = Array.from({ length: 600 }, (_, i) => new Uint8Array(length).fill(i % 250));
  const grey = new Uint8Array(length).fill(128);
  const grainy = Array.from({ length: 600 }, (_, i) => withGrain(grey, i, 40));
  const equal = Array.from({ length: 600 }, () => grey);
  for (const rows of [flat, grainy, equal]) {
    const prints = printsOf(rows);
    inOrder(prints);
    assert.ok(prints.looks < 20 * rows.length, `${prints.looks} looks for ${rows.length} images`);
  }
});

test("a print is the mean of what it covers, and small images are their own", () => {
  const planes = Uint8Array.from({ length: 3 * 64 * 64 }, (_, i) => (i % 2 === 0 ? 100 : 50));
  assert.ok(printOf(planes, 64).every((value) => value === 75));
  const small = noise(3 * 8 * 8, 3);
  assert.deepEqual([...printOf(small, 8)], [...small]);
});

const item = (label: number, split?: Item["split"]): Item => ({
  id: "",
  label,
  source: { kind: "file", path: "" },
  ...(split ? { split } : {}),
});

test("copies group within a class and a split only; across them they are pairs, conflicts first", () => {
  const [a, b] = [picture(1), picture(2)];
  // Rows 0 and 1 look alike, 2 does not.
  const prints = printsOf([a, withGrain(a, 5, 1), b]);
  const items = [item(0), item(0), item(0), item(1), item(0, "test"), item(1)];
  const rows = [0, 1, 2, 0, 0, 2];
  const { groups, pairs } = findDuplicates(
    items,
    (i) => rows[i] ?? -1,
    (order) => nearDuplicateLeaders(prints, order),
  );
  assert.deepEqual(groups, [0, 0, 2, 3, 4, 5]);
  assert.deepEqual(
    pairs.map(({ first, second, exact, kind }) => `${first}-${second} ${exact ? "exact" : "near"} ${kind}`),
    ["0-3 exact conflict", "2-5 exact conflict", "3-4 exact conflict", "0-4 exact splits", "0-1 near class"].filter(
      (text) => pairs.some(({ first, second }) => text.startsWith(`${first}-${second} `)),
    ),
  );
  assert.ok(pairs.some(({ first, second, exact }) => first === 0 && second === 3 && exact));
});

test("a class of one look is not grouped, equal contents in it are", () => {
  const scene = picture(7);
  const rows = Array.from({ length: 12 }, (_, i) => withGrain(scene, i, 1));
  const rowOf = [...rows.keys(), 3];
  const { groups, uniform } = findDuplicates(
    rowOf.map(() => item(0)),
    (i) => rowOf[i] ?? -1,
    (order) => nearDuplicateLeaders(printsOf(rows), order),
  );
  assert.deepEqual(groups, [...rows.keys(), 3]);
  assert.deepEqual(uniform, [{ label: 0, alike: 12, images: 12 }]);
});
