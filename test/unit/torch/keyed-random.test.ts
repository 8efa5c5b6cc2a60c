import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hashKeys, keyedRandom, shuffled } from "../../../src/torch/index.ts";

test("numbers depend on the keys alone, not on other streams", () => {
  const draw = (keys: number[]) => Array.from({ length: 5 }, keyedRandom(...keys));
  const alone = draw([1, 2, 3]);
  const other = keyedRandom(9, 9, 9);
  const stream = keyedRandom(1, 2, 3);
  const between = Array.from({ length: 5 }, () => {
    other();
    return stream();
  });
  assert.deepEqual(between, alone);
});

test("keys matter by value, order and number, past 32 bits too", () => {
  const keys = [[1, 2], [2, 1], [1], [1, 2, 0], [0, 1, 2], [2 ** 32 + 1, 2], [2 ** 40, 0], [0, 0], [0]];
  assert.equal(new Set(keys.map((each) => hashKeys(...each))).size, keys.length);
});

test("neighbouring keys give unrelated uniform numbers", () => {
  const count = 20_000;
  const cells = new Array<number>(64).fill(0);
  let sum = 0;
  let product = 0;
  let previous = 0;
  for (let i = 0; i < count; i++) {
    const value = keyedRandom(7, 3, i)();
    assert.ok(value >= 0 && value < 1);
    cells[Math.floor(value * 64)]! += 1;
    sum += value;
    product += (value - 0.5) * (previous - 0.5);
    previous = value;
  }
  const expected = count / 64;
  const chiSquared = cells.reduce((total, cell) => total + (cell - expected) ** 2 / expected, 0);
  assert.ok(chiSquared < 115, `chi squared ${chiSquared} with 63 degrees of freedom`); // p = 7e-5
  assert.ok(Math.abs(sum / count - 0.5) < 4 * Math.sqrt(1 / 12 / count));
  assert.ok(Math.abs(product / count) < 4 * (1 / 12 / Math.sqrt(count)), "correlation of neighbours");
});

test("a shuffle keeps the elements, repeats by its keys, and leaves its input", () => {
  fc.assert(
    fc.property(fc.array(fc.integer(), { maxLength: 50 }), fc.integer({ min: 0 }), (values, seed) => {
      const copy = [...values];
      const result = shuffled(values, keyedRandom(seed));
      assert.deepEqual(values, copy);
      assert.deepEqual(
        [...result].sort((a, b) => a - b),
        [...values].sort((a, b) => a - b),
      );
      assert.deepEqual(shuffled(values, keyedRandom(seed)), result);
    }),
  );
});

test("every order of three comes equally often", () => {
  const counts = new Map<string, number>();
  for (let seed = 0; seed < 6000; seed++) {
    const order = shuffled([0, 1, 2], keyedRandom(seed)).join("");
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  assert.equal(counts.size, 6);
  for (const count of counts.values()) assert.ok(Math.abs(count - 1000) < 130, `${[...counts]}`);
});
