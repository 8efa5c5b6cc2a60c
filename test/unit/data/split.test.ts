import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Item, splitDataset } from "../../../src/data/index.ts";
import { UserError } from "../../../src/torch/index.ts";
import { syntheticDataset } from "./support.ts";

const item = (i: number, label: number, group?: string, split?: Item["split"]): Item => ({
  id: `item-${i}`,
  label,
  source: { kind: "file", path: `/nowhere/${i}.png` },
  ...(group === undefined ? {} : { group }),
  ...(split === undefined ? {} : { split }),
});

/** Data sets with small groups inside each class, and at least 20 groups in a class so that each side gets some. */
const grouped = fc
  .record({
    seed: fc.integer({ min: 0, max: 2 ** 31 }),
    sizes: fc.array(fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 20, maxLength: 40 }), {
      minLength: 2,
      maxLength: 4,
    }),
  })
  .map(({ seed, sizes }) => {
    const items: Item[] = [];
    for (const [label, groups] of sizes.entries())
      for (const [g, size] of groups.entries())
        for (let n = 0; n < size; n++) items.push(item(items.length, label, `${label}/${g}`));
    return { seed, classes: sizes.length, dataset: syntheticDataset(items, sizes.length) };
  });

const fractions = { testFraction: 0.2, validationFraction: 0.2 };

test("with a seed of its own the test side stays while others move; without one all move", () => {
  let moved = 0;
  fc.assert(
    fc.property(grouped, fc.integer({ min: 0, max: 9 }), ({ seed, dataset }, testSeed) => {
      const of = (own: number, more = {}) => splitDataset(dataset, { seed: own, ...fractions, ...more });
      const [one, other] = [of(seed, { testSeed }), of(seed + 1, { testSeed })];
      assert.deepEqual(one.test, other.test);
      assert.notDeepEqual(one.train, other.train);
      const sides = [...one.train, ...one.validation, ...one.test].sort((a, b) => a - b);
      assert.deepEqual(
        sides,
        dataset.items.map((_, i) => i),
      );
      assert.ok(Math.abs(one.test.length - of(seed).test.length) <= 2 * dataset.classes.length);
      if (JSON.stringify(of(seed, { testSeed: testSeed + 1 }).test) !== JSON.stringify(one.test)) moved += 1;
      assert.notDeepEqual(of(seed).test, of(seed + 1).test);
    }),
    { numRuns: 30 },
  );
  assert.ok(moved > 25, `${moved}`);
});

test("a class of few images keeps its test image too, and published splits are drawn as ever", () => {
  const few = syntheticDataset(
    [0, 1, 2, 3].map((i) => item(i, 0)),
    1,
  );
  const tests = [0, 1, 2, 3, 4, 5].map((seed) => splitDataset(few, { seed, testSeed: 3, ...fractions }).test);
  assert.equal(new Set(tests.map(String)).size, 1);
  const published = syntheticDataset(
    Array.from({ length: 40 }, (_, i) => item(i, 0, undefined, i < 30 ? "train" : "test")),
    1,
  );
  const of = (more: object) => splitDataset(published, { seed: 1, ...fractions, ...more });
  assert.deepEqual(of({ testSeed: 7 }), of({}));
});

test("the three sides are disjoint, sorted, and hold every item once", () => {
  fc.assert(
    fc.property(grouped, ({ seed, dataset }) => {
      const split = splitDataset(dataset, { seed, ...fractions });
      const all = [...split.train, ...split.validation, ...split.test];
      assert.deepEqual(
        all.sort((a, b) => a - b),
        dataset.items.map((_, i) => i),
      );
      for (const side of [split.train, split.validation, split.test])
        assert.deepEqual(
          side,
          [...side].sort((a, b) => a - b),
        );
    }),
    { numRuns: 60 },
  );
});

test("no group lies on two sides", () => {
  fc.assert(
    fc.property(grouped, ({ seed, dataset }) => {
      const { train, validation, test: held } = splitDataset(dataset, { seed, ...fractions });
      const sides = new Map<string, string>();
      for (const [name, side] of Object.entries({ train, validation, held }))
        for (const i of side) {
          const group = dataset.items[i]?.group ?? "";
          assert.equal(sides.get(group) ?? name, name, `group ${group}`);
          sides.set(group, name);
        }
    }),
    { numRuns: 60 },
  );
});

test("each class has its share on every side, up to one group", () => {
  fc.assert(
    fc.property(grouped, ({ seed, dataset, classes }) => {
      const split = splitDataset(dataset, { seed, ...fractions });
      for (let label = 0; label < classes; label++) {
        const count = (side: number[]) => side.filter((i) => dataset.items[i]?.label === label).length;
        const size = dataset.items.filter((each) => each.label === label).length;
        for (const side of [split.test, split.validation]) {
          assert.ok(count(side) >= Math.round(0.2 * size), "not less than its share");
          assert.ok(count(side) <= Math.round(0.2 * size) + 2, "at most one group of three more");
        }
      }
    }),
    { numRuns: 60 },
  );
});

test("the seed alone decides", () => {
  fc.assert(
    fc.property(grouped, ({ seed, dataset }) => {
      const first = splitDataset(dataset, { seed, ...fractions });
      assert.deepEqual(splitDataset(structuredClone(dataset), { seed, ...fractions }), first);
      const other = splitDataset(dataset, { seed: seed + 1, ...fractions });
      assert.notEqual(other.hash, first.hash);
      assert.notDeepEqual(other.test, first.test);
    }),
    { numRuns: 30 },
  );
});

test("few labels: at most so many training and validation images of a class", () => {
  fc.assert(
    fc.property(grouped, fc.integer({ min: 1, max: 10 }), ({ seed, dataset, classes }, limit) => {
      const split = splitDataset(dataset, { seed, ...fractions, trainPerClass: limit });
      for (let label = 0; label < classes; label++)
        assert.equal(split.train.filter((i) => dataset.items[i]?.label === label).length, limit);
      const whole = splitDataset(dataset, { seed, ...fractions });
      assert.deepEqual(split.test, whole.test, "the test side does not depend on the number of labels");
    }),
    { numRuns: 30 },
  );
  const plain = syntheticDataset(
    Array.from({ length: 200 }, (_, i) => item(i, i % 2)),
    2,
  );
  assert.equal(splitDataset(plain, { seed: 1, ...fractions, validationPerClass: 5 }).validation.length, 10);
});

test("near-duplicates stay together, over chains and across classes", () => {
  const items = Array.from({ length: 120 }, (_, i) => item(i, i % 2));
  // 0 - 3 - 6 … 27 are one picture ten times, in both classes.
  const duplicates = items.map((_, i) => (i < 30 && i % 3 === 0 ? Math.max(0, i - 3) : i));
  for (let seed = 0; seed < 30; seed++) {
    const split = splitDataset(syntheticDataset(items, 2), { seed, ...fractions }, () => true, duplicates);
    const holding = [split.train, split.validation, split.test].filter((side) =>
      side.some((i) => i < 30 && i % 3 === 0),
    );
    assert.equal(holding.length, 1);
  }
});

test("a published test side stays, and validation comes out of the rest", () => {
  const items = Array.from({ length: 100 }, (_, i) => item(i, i % 2, undefined, i < 40 ? "test" : undefined));
  const split = splitDataset(syntheticDataset(items, 2), { seed: 3, validationFraction: 0.25 });
  assert.deepEqual(
    split.test,
    Array.from({ length: 40 }, (_, i) => i),
  );
  assert.equal(split.train.length + split.validation.length, 60);
  assert.ok(split.validation.length > 0);
});

test("unusable items and items without a class are on no side", () => {
  const items = Array.from({ length: 60 }, (_, i) => item(i, i % 3 === 2 ? -1 : i % 3));
  const split = splitDataset(syntheticDataset(items, 2), { seed: 5, ...fractions }, (i) => i % 5 !== 0);
  for (const i of [...split.train, ...split.validation, ...split.test]) assert.ok(i % 3 !== 2 && i % 5 !== 0);
});

test("a class that has no training image is the user's mistake, and is named", () => {
  const items = Array.from({ length: 40 }, (_, i) => item(i, i < 20 ? 0 : 1, undefined, i < 20 ? undefined : "test"));
  assert.throws(
    () => splitDataset(syntheticDataset(items, 2), { seed: 1 }),
    (error) => error instanceof UserError && /class-1/.test(error.message) && /training/.test(error.message),
  );
});

test("a group keeps together in train and validation when its first item is a published test image", () => {
  const items: Item[] = [];
  for (let g = 0; g < 30; g++)
    for (let n = 0; n < 5; n++) items.push(item(items.length, g % 2, `${g}`, n === 0 ? "test" : undefined));
  const split = splitDataset(syntheticDataset(items, 2), { seed: 1, validationFraction: 0.3 });
  const groups = (side: number[]) => new Set(side.map((i) => items[i]?.group));
  const shared = [...groups(split.train)].filter((group) => groups(split.validation).has(group));
  assert.deepEqual(shared, []);
});

test("duplicates of an image that cannot be used still keep together", () => {
  const items = Array.from({ length: 120 }, (_, i) => item(i, i % 2));
  const duplicates = items.map((_, i) => (i < 12 ? 0 : i));
  for (let seed = 0; seed < 20; seed++) {
    const split = splitDataset(syntheticDataset(items, 2), { seed, ...fractions }, (i) => i !== 0, duplicates);
    const holding = [split.train, split.validation, split.test].filter((side) => side.some((i) => i < 12));
    assert.equal(holding.length, 1, `seed ${seed}`);
  }
});

test("validation counts only what it may take: published test images are none of it", () => {
  const items = Array.from({ length: 240 }, (_, i) => item(i, i % 2, undefined, i < 40 ? "train" : "test"));
  const split = splitDataset(syntheticDataset(items, 2), { seed: 4, validationFraction: 0.2 });
  assert.deepEqual([split.train.length, split.validation.length, split.test.length], [32, 8, 200]);
});

test("a class trains when it has two different images, whatever the seed and the sizes of its groups", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 5 }),
      fc.integer({ min: 0, max: 1000 }),
      (sizes, seed) => {
        const items = sizes.flatMap((size, group) => Array.from({ length: size }, () => item(0, 0, `${group}`)));
        const split = () => splitDataset(syntheticDataset(items, 1), { seed });
        if (sizes.length === 1) {
          assert.throws(split, (error) => error instanceof UserError && /class-0/.test(error.message));
          return;
        }
        const { train, validation, test: held } = split();
        assert.ok(train.length > 0 && validation.length > 0);
        assert.equal(train.length + validation.length + held.length, items.length);
      },
    ),
    { numRuns: 100 },
  );
});
