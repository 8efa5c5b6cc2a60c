/** Joins and choices that learn from known items, in worlds where what there is to learn is known. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { metaDes, stackedProbabilities, stacking } from "../../../../src/methods/inference/learned.ts";
import { type Answers, fixedSet } from "../../../../src/methods/inference/policies.ts";
import { keyedRandom, memory } from "../../../../src/torch/index.ts";

const items = 80;

/** Answers of members of which each is given the item, its label and a random number. */
function world(seed: number, classes: number, members: ((label: number, chance: number) => number)[]): Answers {
  const random = keyedRandom(seed);
  const labels = Array.from({ length: items }, () => Math.floor(random() * classes));
  const tables = members.map((member) =>
    Float32Array.from(
      labels.flatMap((label) => {
        const [said, sure] = [member(label, random()), 0.5 + 0.4 * random()];
        return Array.from({ length: classes }, (_, c) => (c === said ? sure : (1 - sure) / (classes - 1)));
      }),
    ),
  );
  return { tables, labels, classes };
}

const accuracy = (right: readonly boolean[]) => right.filter(Boolean).length / right.length;

test("stacking reads a member that always confuses two classes, which no mean can", () => {
  const swapped = (label: number) => [1, 0, 2][label] ?? 0;
  const guess = (_: number, chance: number) => Math.floor(3 * chance);
  const [known, asked] = [1, 2].map((seed) => world(seed, 3, [swapped, guess])) as [Answers, Answers];
  const before = memory().handles;
  const { right, used, probabilities } = stacking(known)(asked);
  assert.equal(accuracy(right), 1);
  assert.ok(accuracy(fixedSet([0, 1])(known)(asked).right) < 0.6);
  assert.deepEqual(used[0], [0, 1]);
  for (let item = 0; item < items; item++) {
    const sum = [0, 1, 2].reduce((total, c) => total + (probabilities[3 * item + c] ?? 0), 0);
    assert.ok(Math.abs(sum - 1) < 1e-5);
  }
  assert.equal(accuracy(stacking(known)(known).right), 1);
  assert.equal(memory().handles, before, "live tensors");
});

test("a known item is answered by a fit without it: its own label has no say", () => {
  const half = (label: number, chance: number) => (chance < 0.7 ? label : 1 - label);
  const known = world(
    3,
    2,
    Array.from({ length: 12 }, () => half),
  );
  const flipped = { ...known, labels: known.labels.map((label, i) => (i === 0 ? 1 - label : label)) };
  const change = (own: (answers: Answers) => Answers) => {
    const [one, other] = [known, flipped].map((answers) => stackedProbabilities(answers)(own(answers))[0] ?? 0);
    return Math.abs((one ?? 0) - (other ?? 0));
  };
  const [leftOut, fitted] = [change((answers) => answers), change((answers) => ({ ...answers }))];
  assert.ok(leftOut < 0.3 * fitted, `${leftOut} and ${fitted}`);
});

test("learned competence finds the member that is right where the first one says what it says, and runs no other", () => {
  // The first is never right, and tells two regions by its answers; the second is right in one of them, the third in the other.
  const region = (chance: number) => (chance < 0.5 ? 0 : 1);
  const make = (seed: number): Answers => {
    const random = keyedRandom(seed);
    const rows = Array.from({ length: items }, () => ({ label: Math.floor(2 * random()), place: region(random()) }));
    const table = (said: (row: (typeof rows)[number]) => number) =>
      Float32Array.from(rows.flatMap((row) => [0, 1, 2, 3].map((c) => (c === said(row) ? 0.7 : 0.1))));
    return {
      labels: rows.map(({ label }) => label),
      classes: 4,
      tables: [
        table(({ place }) => 2 + place),
        table(({ label, place }) => (place === 0 ? label : 1 - label)),
        table(({ label, place }) => (place === 1 ? label : 1 - label)),
      ],
    };
  };
  const [known, asked] = [make(5), make(6)];
  const before = memory().handles;
  const { right, used } = metaDes(0, 7)(known)(asked);
  assert.equal(memory().handles, before, "live tensors");
  assert.ok(accuracy(right) > 0.95, `${accuracy(right)}`);
  assert.ok(accuracy(fixedSet([0, 1, 2])(known)(asked).right) < 0.7);
  for (const [item, set] of used.entries()) {
    const place = (asked.tables[0]?.[4 * item + 2] ?? 0) > 0.5 ? 0 : 1;
    assert.deepEqual(set, [0, 1 + place]);
  }
});
