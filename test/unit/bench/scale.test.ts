/** The model of a step's cost against closed forms, and against what was measured. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import {
  bestPlan,
  buckets,
  type Collective,
  collectives,
  cost,
  hops,
  imbalance,
  type Machine,
  sentBytes,
  stepCost,
  type Workload,
} from "../../../bench/scale-model.ts";
import { scalePage } from "../../../bench/scale-page.ts";
import { compared, computing } from "../../../bench/scale-predict.ts";
import type { Scale } from "../../../bench/scale-series.ts";

const results = new URL("../../../docs/results/", import.meta.url);
const scale = JSON.parse(readFileSync(new URL("scale.json", results), "utf8")) as Scale;

const work: Workload = {
  batch: 32,
  k: 2,
  outputs: 10,
  models: 8,
  touched: 8,
  parameters: 1e6,
  tensors: 60,
  common: { parameters: 1e4, tensors: 10, norms: { layers: 2, channels: 16 } },
  flops: 1e10,
};
const machine: Machine = {
  speed: 1e11,
  perStep: 0.01,
  perModel: 0.01,
  crowd: 1,
  rate: Number.POSITIVE_INFINITY,
  hop: 0,
};
const reduce = (bytes: number): Collective => ({ kind: "all_reduce", bytes, width: 4, count: 1 });

test("hops and bytes are those of a ring of segments", () => {
  assert.deepEqual(
    [2, 4, 8].map((n) => hops(reduce(4000), n)),
    [2, 6, 14],
  );
  assert.deepEqual(
    [2, 4, 8].map((n) => hops(reduce(4), n)),
    [1, 3, 7],
  );
  // 16 segments of a MiB: 8 for each of two ranks, which go two by two, there and back.
  assert.equal(hops(reduce(16 * 2 ** 20), 2), 8);
  assert.equal(hops(reduce(16 * 2 ** 20), 4), 12);
  assert.deepEqual(
    [1, 2, 4].map((n) => sentBytes(reduce(1000), n)),
    [0, 1000, 1500],
  );
  assert.equal(sentBytes({ kind: "all_gather", bytes: 100, width: 4, count: 1 }, 4), 300);
  assert.equal(sentBytes({ kind: "reduce_scatter", bytes: 100, width: 4, count: 1 }, 4), 600);
  assert.equal(sentBytes({ kind: "all_to_all", bytes: 100, width: 4, count: 1 }, 4), 75);
});

test("one rank computes alone; a better link never costs more, and bytes of all ranks grow with them", () => {
  const link = { delay: 0.02, rate: 1e7 };
  const alone = stepCost("replicated", work, 1, link, machine);
  assert.deepEqual([alone.bytes, alone.collectives, alone.seconds.all], [0, 0, 1e10 / 1e11 + 0.01 + 0.08]);
  fc.assert(
    fc.property(
      fc.constantFrom("replicated" as const, "sharded" as const),
      fc.integer({ min: 2, max: 8 }),
      fc.double({ min: 1e-5, max: 0.1, noNaN: true }),
      fc.double({ min: 1e5, max: 1e9, noNaN: true }),
      (plan, ranks, delay, rate) => {
        const of = (n: number, one = { delay, rate }) => stepCost(plan, work, n, one, machine);
        const cost = of(ranks);
        assert.ok(of(ranks, { delay: delay / 2, rate }).seconds.all <= cost.seconds.all);
        assert.ok(of(ranks, { delay, rate: 2 * rate }).seconds.all <= cost.seconds.all);
        assert.ok(of(ranks + 1).bytes * (ranks + 1) > cost.bytes * ranks);
        assert.ok(cost.flops * ranks >= work.flops * (1 - 1e-9));
      },
    ),
  );
});

test("of two messages of gradients that are on their way one waits while the other is sent; one alone waits too", () => {
  // Two ranks send 4 MB of a message, in two segments for each of them: 2 hops of 0.2 s, and 4 s or 0.04 s of sending.
  const seconds = (messages: number, rate: number) => {
    const all = buckets(1e6 * messages).map((one) => ({ ...one, bytes: 4e6, count: messages }));
    const { delay, transfer } = cost(all, 2, { delay: 0.1, rate }, machine).seconds;
    return delay + transfer;
  };
  const found = [seconds(1, 1e6), seconds(2, 1e6), seconds(1, 1e8), seconds(2, 1e8)];
  const expected = [0.4 + 4, 8, 0.4 + 0.04, (0.8 + 0.08) / 2];
  for (const [i, value] of found.entries()) assert.ok(Math.abs(value - (expected[i] ?? 0)) < 1e-9, `${i}: ${value}`);
});

test("BatchNorm of all ranks has two collectives for each layer of each touched model", () => {
  const count = (own: Workload) => collectives("replicated", own, 4).reduce((sum, { count }) => sum + count, 0);
  assert.equal(count({ ...work, norms: { layers: 20, channels: 100 } }) - count(work), 2 * 20 * work.touched);
});

test("the largest of ranks' draws is as statistics has it", () => {
  // Two ranks with four of eight models each: half the expected difference of two normal numbers is 0.564 deviations.
  const mean = work.batch * work.k * 0.5;
  const deviation = Math.sqrt(mean * 0.5 * (6 / 7));
  assert.ok(Math.abs(imbalance(work, 2) - (mean + 0.564 * deviation) / mean) < 0.01);
  assert.ok(imbalance(work, 8) > imbalance(work, 2));
  assert.equal(imbalance({ ...work, k: 8 }, 2), 1);
});

test("models among ranks win over slow links; a hub of fewer models than ranks has no choice", () => {
  const slow = { delay: 0.001, rate: 1e7 };
  assert.equal(bestPlan(work, 4, slow, machine), "sharded");
  assert.equal(bestPlan({ ...work, models: 3, touched: 3 }, 4, slow, machine), "replicated");
  // Small models, many rows, and a link that costs nothing: waiting for the rank with most rows costs more.
  const small = { ...work, parameters: 100 };
  const free = { delay: 0, rate: 1e15 };
  assert.equal(bestPlan(small, 8, free, { ...machine, perModel: 0, perStep: 0 }), "replicated");
});

test("what was measured is predicted within a quarter but for one step, bytes within a tenth, and collectives to one", () => {
  const rows = compared(scale);
  assert.ok(rows.length >= 16);
  const { perModel, perStep } = computing(scale, "replicated");
  assert.ok(perModel >= 0 && perStep >= 0);
  const missed: string[] = [];
  for (const { ranks, plan, delayMs, mbits, error, measured, predicted } of rows) {
    const name = `${plan} on ${ranks}, ${delayMs} ms, ${mbits} Mbit/s`;
    if (Math.abs(error) > 0.25) missed.push(`${name}: ${error}`);
    assert.equal(predicted.collectives, measured.collectives, name);
    // Headers are most of what small messages send.
    if (plan !== "sharded") assert.ok(Math.abs(predicted.bytes / measured.bytes - 1) < 0.1, name);
  }
  // Four ranks with their own models on two processors: by a fraction of a percent.
  assert.ok(missed.length <= 1, missed.join("; "));
});

test("the page is that of the measurements", () => {
  assert.equal(readFileSync(new URL("scale.md", results), "utf8"), scalePage(scale));
});
