/** Batches over members that are plain functions, against the same formula row by row. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { answerBatch, type RowAnswer } from "../../../src/serve/engine/answer-batch.ts";
import { MemberHealth } from "../../../src/serve/engine/member-health.ts";
import type { ModelParts } from "../../../src/serve/engine/parts.ts";

const [m, classes, tau] = [4, 3, 0.5];
const members = Array.from({ length: m }, (_, index) => ({ index }));
/** Any numbers that differ. */
const score = (row: number, member: number) => Math.sin(7 * row + 3 * member);
const logit = (row: number, member: number, c: number) => Math.cos(5 * row + 2 * member + 11 * c);

interface Fake {
  parts: ModelParts;
  /** Rows that each run had. */
  runs: { member: number; rows: readonly number[] }[];
}

function fake(fails: (member: number) => boolean | "late" = () => false): Fake {
  const runs: Fake["runs"] = [];
  const rule = { k: 2, weights: { trainedK: 2, temperature: tau }, members };
  const info = {
    kind: "run" as const,
    labels: ["a", "b", "c"],
    members: ["0", "1", "2", "3"],
    size: 1,
    choices: { largestK: m, isOrdered: true },
    rule,
  };
  const parts: ModelParts = {
    info,
    open: async ({ rows: n }) => {
      const ran: Fake["runs"] = [];
      return {
        scores: Float32Array.from({ length: n * m }, (_, at) => score(Math.floor(at / m), at % m)),
        run: async (member, rows) => {
          if (fails(member) === "late") await new Promise(() => {});
          if (fails(member)) throw new Error("broken");
          ran.push({ member, rows });
          runs.push({ member, rows });
        },
        join: async (weights) => {
          const probabilities = new Float32Array(n * classes);
          for (let row = 0; row < n; row++) {
            const sums = [0, 0, 0];
            for (const { member, rows } of ran) {
              if (!rows.includes(row)) continue;
              for (let c = 0; c < classes; c++)
                sums[c] = (sums[c] ?? 0) + (weights[row * m + member] ?? 0) * logit(row, member, c);
            }
            probabilities.set(softmax(sums), row * classes);
          }
          return probabilities;
        },
        dispose: () => {},
      };
    },
    resident: () => m,
    dispose: async () => {},
  };
  return { parts, runs };
}

function softmax(values: readonly number[]): number[] {
  const sum = values.reduce((total, value) => total + Math.exp(value), 0);
  return values.map((value) => Math.exp(value) / sum);
}

/** The k best of some members, with the softmax of their scores. */
function routeOf(row: number, k: number, allowed = members.map(({ index }) => index)): Map<number, number> {
  const best = allowed.toSorted((a, b) => score(row, b) - score(row, a)).slice(0, k);
  const weights = softmax(best.map((member) => score(row, member) / tau));
  return new Map(best.map((member, i) => [member, weights[i] ?? 0]));
}

function assertRoute(answer: RowAnswer | { error: string } | undefined, row: number, route: Map<number, number>): void {
  assert.ok(answer && "weights" in answer);
  const sums = Array.from({ length: classes }, (_, c) => {
    return [...route].reduce((sum, [member, weight]) => sum + weight * logit(row, member, c), 0);
  });
  for (const [member, weight] of answer.weights.entries())
    assert.ok(Math.abs(weight - (route.get(member) ?? 0)) < 1e-6);
  for (const [c, p] of softmax(sums).entries()) assert.ok(Math.abs(p - (answer.probabilities[c] ?? 0)) < 1e-6);
}

const pixels = (rows: number) => ({ bytes: new Uint8Array(3 * rows), rows });
const patient = () => new MemberHealth({ slowMs: 60_000 });

test("each row has its own k, and each member runs once, on its rows", async () => {
  const { parts, runs } = fake();
  const ks = [1, 2, 3, 4, undefined, 1, 2, 9];
  const { rows } = await answerBatch(
    parts,
    pixels(ks.length),
    ks.map((k) => ({ choice: k === undefined ? undefined : { k } })),
    patient(),
  );
  for (const [row, k = 2] of ks.entries()) assertRoute(rows[row], row, routeOf(row, Math.min(k, m)));
  assert.equal(new Set(runs.map(({ member }) => member)).size, runs.length);
  for (const { member, rows: own } of runs) {
    const expected = ks.flatMap((k = 2, row) => (routeOf(row, Math.min(k, m)).has(member) ? [row] : []));
    assert.deepEqual(own, expected);
  }
});

test("opinions are each activated member's alone, only for those who ask", async () => {
  const { parts } = fake();
  const { rows } = await answerBatch(parts, pixels(3), [{}, { explain: true }, {}], patient());
  assert.deepEqual(
    rows.map((row) => "opinions" in row),
    [false, true, false],
  );
  const asked = rows[1] as RowAnswer;
  assert.deepEqual(
    asked.opinions?.map(({ member }) => member),
    [...routeOf(1, 2).keys()].sort(),
  );
  for (const { member, probabilities } of asked.opinions ?? []) {
    const own = softmax(Array.from({ length: classes }, (_, c) => logit(1, member, c)));
    for (const [c, p] of own.entries()) assert.ok(Math.abs(p - (probabilities[c] ?? 0)) < 1e-6);
  }
});

for (const how of [true, "late"] as const) {
  test(`a member that ${how === true ? "fails" : "is too slow"} is left out, the rest renormalised, and it rests`, async () => {
    const broken = 2;
    const { parts } = fake((member) => member === broken && how);
    const told: string[] = [];
    const health = new MemberHealth({
      slowMs: how === true ? 60_000 : 5,
      onFailure: (member) => told.push(`${member}`),
    });
    const n = 8;
    for (let time = 0; time < 2; time++) {
      const { rows } = await answerBatch(parts, pixels(n), Array(n).fill({}), health);
      for (let row = 0; row < n; row++) {
        const route = routeOf(row, 2);
        const lost = route.get(broken) ?? 0;
        const rest = [...route]
          .filter(([member]) => member !== broken)
          .map(([member, weight]) => [member, weight / (1 - lost)] as const);
        assertRoute(rows[row], row, new Map(rest));
        assert.deepEqual((rows[row] as RowAnswer).without, lost > 0 ? [broken] : []);
      }
    }
    assert.deepEqual(told, ["2"]);
    assert.deepEqual(health.resting(), [broken]);
  });
}

test("rows ask one member after the other until they are sure, and another one in place of one that fails", async () => {
  const [broken, n] = [2, 12];
  const { parts, runs } = fake((member) => member === broken);
  const confidences = Array.from({ length: n }, (_, row) => [0.4, 0.6, 0.9][row % 3] ?? 1);
  const requests = confidences.map((confidence) => ({ choice: { k: m, confidence } }));
  // Beside a row that asks for a fixed number, in the same batch.
  const { rows } = await answerBatch(parts, pixels(n + 1), [...requests, { choice: { k: 2 } }], patient());
  const allowed = members.map(({ index }) => index).filter((index) => index !== broken);
  const counts = new Set<number>();
  for (const [row, confidence] of confidences.entries()) {
    const routes = [1, 2, 3].map((count) => routeOf(row, count, allowed));
    const sure = routes.findIndex((route) => {
      const sums = Array.from({ length: classes }, (_, c) =>
        [...route].reduce((sum, [member, weight]) => sum + weight * logit(row, member, c), 0),
      );
      return Math.max(...softmax(sums)) >= confidence;
    });
    const route = routes[sure < 0 ? 2 : sure] as Map<number, number>;
    assertRoute(rows[row], row, route);
    const rank = [...routeOf(row, m).keys()].indexOf(broken);
    const isLeftOut = rank < route.size || (rank === route.size && sure < 0);
    assert.deepEqual((rows[row] as RowAnswer).without, isLeftOut ? [broken] : [], `row ${row}`);
    counts.add(route.size);
    for (const member of allowed) {
      const times = runs.filter((run) => run.member === member && run.rows.includes(row)).length;
      assert.equal(times, route.has(member) ? 1 : 0, `row ${row} runs ${member}`);
    }
  }
  assert.ok(counts.size > 1);
  assert.ok("weights" in (rows[n] as RowAnswer));
});

test("where no member of a route is left, the next ones answer; where none is, the row says so", async () => {
  const { parts } = fake((member) => member !== 1);
  const { rows } = await answerBatch(parts, pixels(6), Array(6).fill({ choice: { k: 1 } }), patient());
  for (const [row, answer] of rows.entries()) assertRoute(answer, row, new Map([[1, 1]]));
  const none = fake(() => true);
  const health = patient();
  for (let time = 0; time < 2; time++) {
    const { rows } = await answerBatch(none.parts, pixels(2), [{}, {}], health);
    assert.ok(rows.every((row) => "error" in row));
  }
});

test("a member that rests is tried again after a while, and a longer one when it fails again", () => {
  let now = 0;
  const health = new MemberHealth({ slowMs: 1000, restMs: 100, now: () => now });
  const fail = () => health.watch(0, () => Promise.reject(new Error("no")));
  return fail().then(async () => {
    now = 99;
    assert.deepEqual(health.resting(), [0]);
    now = 101;
    assert.deepEqual(health.resting(), []);
    await fail();
    now = 300;
    assert.deepEqual(health.resting(), [0]);
    now = 302;
    assert.equal(await health.watch(0, async () => {}), true);
    await fail();
    now = 403;
    assert.deepEqual(health.resting(), []);
  });
});
