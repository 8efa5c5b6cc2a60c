/** Ways to answer within a budget, against what their definitions say of tables that are small enough to count by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { allSets, risingOrders } from "../../../../src/methods/inference/candidates.ts";
import {
  Frontier,
  halves,
  knownCandidate,
  policyCandidate,
  type Side,
} from "../../../../src/methods/inference/frontier.ts";
import {
  type Answers,
  agreementCascade,
  confidenceCascade,
  fixedSet,
  knoraEliminate,
  type Outcome,
  partOf,
} from "../../../../src/methods/inference/policies.ts";

/** Rows of probabilities of each member. */
function answersOf(labels: number[], ...members: number[][][]): Answers {
  const tables = members.map((rows) => Float32Array.from(rows.flat()));
  return { tables, labels, classes: members[0]?.[0]?.length ?? 0 };
}

/** Three members, three classes, four items. */
const asked = answersOf(
  [0, 1, 2, 0],
  [
    [0.9, 0.1, 0],
    [0.6, 0.4, 0],
    [0.1, 0.2, 0.7],
    [0.2, 0.8, 0],
  ],
  [
    [0.5, 0.5, 0],
    [0.1, 0.9, 0],
    [0, 0.4, 0.6],
    [0.7, 0.3, 0],
  ],
  [
    [0, 1, 0],
    [0, 0.8, 0.2],
    [0.3, 0.3, 0.4],
    [0.6, 0.4, 0],
  ],
);

test("fixed members answer by the mean of their probabilities, the first class among equals", () => {
  assert.deepEqual(fixedSet([0])(asked)(asked), {
    right: [true, false, true, false],
    used: [[0], [0], [0], [0]],
    probabilities: asked.tables[0],
  });
  // Means of the first two: 0.7 0.3; 0.35 0.65; class 2; 0.45 0.55.
  assert.deepEqual(fixedSet([0, 1])(asked)(asked).right, [true, true, true, false]);
});

test("a cascade by confidence stops at the first mean that is that sure", () => {
  const { right, used } = confidenceCascade([0, 1, 2], 0.64)(asked)(asked);
  // Item 1: 0.6, then 0.65; item 3: 0.8 at once, and wrong.
  assert.deepEqual(used, [[0], [0, 1], [0], [0]]);
  assert.deepEqual(right, [true, true, true, false]);
  // The last alone: item 1 has 0.6, then 0.9 of member 1.
  const last = confidenceCascade([0, 1], 0.65, true)(asked)(asked);
  assert.deepEqual(last.used, [[0], [0, 1], [0], [0]]);
  assert.deepEqual(last.right, [true, true, true, false]);
  assert.deepEqual(confidenceCascade([2, 0], 1.1)(asked)(asked).used, [
    [2, 0],
    [2, 0],
    [2, 0],
    [2, 0],
  ]);
});

test("a cascade by agreement stops at as many equal answers, and takes the mean where there are none", () => {
  const { right, used } = agreementCascade([0, 2, 1], 2)(asked)(asked);
  // Item 0: 0, 1, 0; item 1: 0, 1, 1; item 2: 2, 2; item 3: 1, 0, 0.
  assert.deepEqual(used, [
    [0, 2, 1],
    [0, 2, 1],
    [0, 2],
    [0, 2, 1],
  ]);
  assert.deepEqual(right, [true, true, true, true]);
  const never = agreementCascade([0, 2], 3)(asked)(asked);
  assert.deepEqual(never.right, fixedSet([0, 2])(asked)(asked).right);
});

test("KNORA-E keeps the members that are right on all neighbours, on fewer where none is, and never asks an item itself", () => {
  // By the first member, items 0 and 1 are near, and 2 and 3.
  const known = answersOf(
    [0, 0, 1, 1],
    [
      [0.9, 0.1],
      [0.85, 0.15],
      [0.1, 0.9],
      [0.12, 0.88],
    ],
    [
      [0.6, 0.4],
      [0.4, 0.6],
      [0.6, 0.4],
      [0.7, 0.3],
    ],
    [
      [0.4, 0.6],
      [0.3, 0.7],
      [0.2, 0.8],
      [0.6, 0.4],
    ],
  );
  const near = answersOf(
    [0, 1],
    [
      [0.88, 0.12],
      [0.1, 0.9],
    ],
    [
      [0.7, 0.3],
      [0.9, 0.1],
    ],
    [
      [0.1, 0.9],
      [0, 1],
    ],
  );
  const { used, right } = knoraEliminate(0, 2)(known)(near);
  // Member 0 is right on all; member 1 on item 0 alone; member 2 on item 2 alone.
  assert.deepEqual(used, [[0], [0]]);
  assert.deepEqual(right, [true, true]);
  assert.deepEqual(knoraEliminate(0, 1)(known)(near).used, [
    [0, 1],
    [0, 2],
  ]);
  // Item 0 of the known ones has item 1 as its nearest, where member 0 alone is right.
  assert.deepEqual(knoraEliminate(0, 1)(known)(known).used[0], [0]);
  assert.deepEqual(knoraEliminate(0, 1)(known)(known).used[1], [0, 1]);
});

const table = (items: number, classes: number) =>
  fc.array(fc.array(fc.double({ min: 0.01, max: 1, noNaN: true }), { minLength: classes, maxLength: classes }), {
    minLength: items,
    maxLength: items,
  });

test("a cascade is a prefix of its order, and answers as the fixed members that it used", () => {
  fc.assert(
    fc.property(fc.array(table(6, 3), { minLength: 3, maxLength: 3 }), fc.double({ min: 0, max: 1 }), (rows, sure) => {
      const normal = rows.map((member) => member.map((row) => row.map((x) => x / row.reduce((a, b) => a + b, 0))));
      const answers = answersOf([0, 1, 2, 0, 1, 2], ...normal);
      const order = [2, 0, 1];
      const { used, right } = confidenceCascade(order, sure)(answers)(answers);
      for (const [item, set] of used.entries()) {
        assert.deepEqual(set, order.slice(0, set.length));
        const alone = partOf(answers, [item]);
        assert.equal(right[item], fixedSet(set)(alone)(alone).right[0]);
      }
    }),
  );
});

test("all sets of one to three members, and all together, each once", () => {
  assert.equal(allSets(5).length, 5 + 10 + 10 + 1);
  assert.deepEqual(risingOrders([9, 2, 5]), [
    [1, 2],
    [1, 0],
    [2, 0],
    [1, 2, 0],
  ]);
  assert.deepEqual(allSets(3), [[0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]]);
});

test("a frontier chooses on the known items within the budget, the cheaper of equals, and measures on the asked ones", () => {
  const costs = [10, 4, 1].map((flops) => ({ flops, milliseconds: flops / 2 }));
  const answers = { validation: asked, test: asked };
  const sets = [[0], [1], [2], [0, 1], [1, 2]];
  const candidates = [
    ...sets.map((set) => policyCandidate("fixed", `${set}`, fixedSet(set), answers)),
    knownCandidate(
      { kind: "run", name: "k = 1", overhead: { flops: 2, milliseconds: 3 } },
      outcomes([true, true, false, false], [[2], [2], [0], [0]]),
    ),
  ];
  const known: Side = { split: "validation", items: [0, 1] };
  const other: Side = { split: "test", items: [2, 3] };
  const frontier = new Frontier(candidates, costs, known, other);
  // Right on items 0 and 1: members 1 (0 by the first of equals), and 0 with 1.
  assert.deepEqual(frontier.best(["fixed"], 20), {
    kind: "fixed",
    name: "1",
    accuracy: 1,
    flops: 4,
    milliseconds: 2,
    uses: [0, 1, 0],
  });
  assert.equal(frontier.best(["fixed"], 3)?.name, "2");
  assert.equal(frontier.best(["fixed"], 0.5), undefined);
  // The run costs 1 + 2 on the known items, which is within 3, and 10 + 2 on the asked ones.
  assert.deepEqual(frontier.best(["run"], 3), {
    kind: "run",
    name: "k = 1",
    accuracy: 0,
    flops: 12,
    milliseconds: 8,
    uses: [1, 0, 0],
  });
  assert.equal(frontier.best(["fixed", "run"], 3)?.kind, "run");
});

function outcomes(right: boolean[], used: number[][]): { validation: Outcome; test: Outcome } {
  return { validation: { right, used }, test: { right, used } };
}

test("halves know what they do not measure", () => {
  for (const [known, other] of halves("validation", 7)) {
    assert.deepEqual([...known.items, ...other.items].sort(), [0, 1, 2, 3, 4, 5, 6]);
  }
});
