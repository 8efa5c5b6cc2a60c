/** The rule by which images choose models, against all of its cases written out. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Asking, ChoiceError, type Choices, chosenBy, type Rule, type Wish } from "../../../src/runtime/index.ts";

const budgets = [
  { k: 1, price: 2, accuracy: 0.5, flops: 10 },
  { k: 3, price: 0.5, confidence: 0.6, accuracy: 0.6, flops: 20 },
  { k: 2, price: 0, accuracy: 0.7, flops: 40 },
];
const known: Choices = { largestK: 3, isOrdered: true, budgets, flops: [15, 30, 45] };

test("a wish finds the dearest measured choice within its cost, and a confidence can only stop earlier", () => {
  const found = (wish: Wish, choices = known) => {
    const { k, price = 0, confidence = 1 } = chosenBy(choices, wish) ?? {};
    return [k, price, confidence];
  };
  assert.equal(chosenBy(known, {}), undefined);
  assert.deepEqual(found({ flops: 10 }), [1, 2, 1]);
  assert.deepEqual(found({ flops: 39.9 }), [3, 0.5, 0.6]);
  assert.deepEqual(found({ flops: 1e12 }), [2, 0, 1]);
  assert.deepEqual(found({ flops: 39.9, confidence: 0.5 }), [3, 0.5, 0.5]);
  assert.deepEqual(found({ flops: 39.9, confidence: 0.9 }), [3, 0.5, 0.6]);
  assert.deepEqual(found({ flops: 40, confidence: 0.9 }), [2, 0, 0.9]);
  assert.deepEqual(found({ confidence: 0.9 }), [3, 0, 0.9]);
  assert.deepEqual(found({ k: 2, confidence: 0.9 }), [2, 0, 0.9]);
  assert.deepEqual(found({ k: 2 }), [2, 0, 1]);
  // Milliseconds have another order than FLOPs.
  const timed = budgets.map((choice, i) => ({ ...choice, flops: [3, 9, 7][i] ?? 0 }));
  assert.deepEqual(found({ flops: 9 }, { ...known, budgets: timed }), [2, 0, 1]);
  assert.deepEqual(found({ flops: 6 }, { ...known, budgets: timed }), [1, 2, 1]);
  const unmeasured = { ...known, budgets: [] };
  assert.deepEqual(found({ flops: 44 }, unmeasured), [2, 0, 1]);
  assert.deepEqual(found({ flops: 45 }, { ...known, budgets: undefined }), [3, 0, 1]);
});

test("wishes that cannot be fulfilled are refused by their field, with what to do", () => {
  const refused = (choices: Choices, wish: Wish, field: string, message: RegExp) =>
    assert.throws(
      () => chosenBy(choices, wish),
      (error) => error instanceof ChoiceError && error.field === field && message.test(error.message),
    );
  refused(known, { k: 4 }, "k", /k is 4: it must be a whole number from 1 to 3/);
  refused(known, { k: 1.5 }, "k", /k is 1.5/);
  refused(known, { k: 1, flops: 50 }, "flops", /leave one of them out/);
  refused(known, { confidence: 0 }, "confidence", /above 0 and at most 1/);
  refused(known, { confidence: Number.NaN }, "confidence", /above 0 and at most 1/);
  refused(known, { flops: 9.5 }, "flops", /flops is 9.5: even one model costs 10 FLOPs for an image; give at least 10/);
  refused({ ...known, budgets: [] }, { flops: 14 }, "flops", /costs 15 FLOPs/);
  refused({ ...known, unit: "ms" }, { flops: 9.5 }, "flops", /ms is 9.5: even one model costs 10 ms for an image/);
  refused({ largestK: 3, isOrdered: true }, { flops: 14 }, "flops", /are not known: choose by k/);
  refused({ ...known, isOrdered: false }, { confidence: 0.5 }, "confidence", /no order/);
  for (const wish of [{ k: 1 }, { confidence: 0.5 }, { flops: 1e9 }])
    refused({ isOrdered: false }, wish, Object.keys(wish)[0] ?? "", /does not choose members: leave/);
});

/** Answer of a set of models: any numbers that differ. */
const answerOf = (models: readonly number[]): Float32Array => {
  const p = models.reduce((sum, model) => sum + ((7 * model + 3) % 5) / 5, 0) / models.length;
  return Float32Array.of(p, 1 - p);
};
const value = fc.float({ min: -3, max: 3, noNaN: true });

test("models are asked in the order of score less price, once each, until the answer of the first of them is sure", () => {
  const counts = new Set<number>();
  fc.assert(
    fc.property(
      fc.array(fc.tuple(value, fc.integer({ min: 0, max: 4 })), { minLength: 1, maxLength: 5 }),
      fc.integer({ min: 1, max: 6 }),
      fc.option(fc.double({ min: 0.01, max: 1, noNaN: true }), { nil: undefined }),
      fc.constantFrom(0, 0.5, 3),
      (models, k, confidence, price) => {
        const scores = Float32Array.from(models, ([score]) => score);
        const members = models.map(([, flops], index) => ({ index, flops: flops * 1e9 }));
        const weights = { trainedK: 1, temperature: "equal", larger: 0.5 } as const;
        const rule: Rule = { k, confidence, price, weights, members };
        const worth = models.map(([score, flops]) => Math.fround(score - price * flops));
        const order = [...worth.keys()].sort((a, b) => (worth[b] ?? 0) - (worth[a] ?? 0) || a - b).slice(0, k);
        const sure = order.findIndex((_, i) => Math.max(...answerOf(order.slice(0, i + 1))) >= (confidence ?? 2));
        const expected = sure < 0 ? order : order.slice(0, sure + 1);
        const asking = new Asking(rule, scores);
        const asked: number[] = [];
        while (asking.isOpen) {
          const next = members.flatMap(({ index }) => (asking.asks(index) ? [index] : []));
          assert.equal(next.length, confidence === undefined ? order.length : 1);
          asked.push(...next);
          asking.take(answerOf(order.slice(0, asked.length)));
        }
        assert.deepEqual(
          confidence === undefined ? asked.sort() : asked,
          confidence === undefined ? expected.toSorted() : expected,
        );
        const powers = expected.map((index) => (expected.length > 1 ? Math.exp((scores[index] ?? 0) / 0.5) : 1));
        const sum = powers.reduce((a, b) => a + b, 0);
        for (const [index, weight] of asking.weights.entries()) {
          const at = expected.indexOf(index);
          assert.ok(Math.abs(weight - (at < 0 ? 0 : (powers[at] ?? 0) / sum)) < 1e-6);
          assert.equal(weight > 0, at >= 0);
        }
        counts.add(expected.length);
      },
    ),
    { numRuns: 300 },
  );
  assert.ok(counts.size >= 4);
});

test("others are asked in place of models that failed, and what has answered stays", () => {
  const members = [0, 1, 2, 3].map((index) => ({ index }));
  const rule: Rule = { k: 3, confidence: 1, weights: { trainedK: 3, temperature: 1 }, members };
  const asking = new Asking(rule, Float32Array.of(4, 3, 2, 1));
  const unsure = Float32Array.of(0.5, 0.5);
  asking.take(unsure);
  assert.ok(asking.asks(1) && asking.without(new Set([0, 1])));
  assert.deepEqual(
    [0, 1, 2, 3].map((index) => asking.asks(index)),
    [false, false, true, false],
  );
  asking.take(unsure);
  assert.ok(asking.asks(3) && asking.without(new Set([3])));
  assert.ok(![0, 1, 2, 3].some((index) => asking.asks(index)) && asking.isOpen);
  asking.take(unsure);
  assert.equal(asking.isOpen, false);
  assert.deepEqual(
    [...asking.weights].map((weight) => weight > 0),
    [true, false, true, false],
  );
  assert.equal(new Asking(rule, Float32Array.of(4, 3, 2, 1)).without(new Set([0, 1, 2, 3])), false);
});
