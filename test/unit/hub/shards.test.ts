/** Members that ranks have among them: who has which, and what is in memory. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import fc from "fast-check";
import { balanced, isElsewhere, loadMembers, loadShared, openHub } from "../../../src/hub/index.ts";
import { ensureResident, memory } from "../../../src/torch/index.ts";
import { temporaryFolder, writeSmallHub } from "../../support/small-hub.ts";

let dir = "";
before(() => {
  dir = writeSmallHub(temporaryFolder());
});

/** Sum of the costs of each rank. */
const loadsOf = (costs: readonly number[], owners: readonly number[], ranks: number) =>
  Array.from({ length: ranks }, (_, rank) => costs.reduce((sum, cost, i) => sum + (owners[i] === rank ? cost : 0), 0));

test("members of one size are dealt out evenly, and one that costs as much as all others has a rank of its own", () => {
  const alike = balanced(new Array(24).fill({ flops: 5, parameters: 7 }), 4);
  assert.deepEqual(loadsOf(new Array(24).fill(1), alike, 4), [6, 6, 6, 6]);
  assert.deepEqual(loadsOf([1, 1, 1, 1, 1], balanced([9, 3, 2, 2, 2].map(both), 2), 2).sort(), [1, 4]);
});

test("a member that is cheap to compute and large counts by its size", () => {
  const costs = [
    ...new Array(4).fill({ flops: 10, parameters: 1 }),
    ...new Array(2).fill({ flops: 1, parameters: 50 }),
  ];
  const owners = balanced(costs, 2);
  assert.deepEqual(loadsOf([0, 0, 0, 0, 1, 1], owners, 2), [1, 1], "not both on one rank");
  assert.deepEqual(loadsOf([1, 1, 1, 1, 0, 0], owners, 2), [2, 2]);
});

const both = (cost: number) => ({ flops: cost, parameters: cost });

test("no rank has more than Graham's bound: the mean and the largest member", () => {
  const costs = fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(costs, fc.integer({ min: 1, max: 9 }), (all, ranks) => {
      const loads = loadsOf(all, balanced(all.map(both), ranks), ranks);
      const mean = all.reduce((sum, cost) => sum + cost, 0) / ranks;
      assert.ok(Math.max(...loads) <= mean + Math.max(...all) * (1 - 1 / ranks) + 1e-9);
      if (all.length <= ranks) assert.equal(Math.max(...loads), Math.max(...all), "each has a rank of its own");
    }),
  );
});

test("each rank has its own members' weights, and of the others what says their cost", () => {
  const hub = openHub(dir);
  const whole = loadMembers(hub);
  const before = memory();
  const ranks = [0, 1].map((rank) => loadShared(hub, { rank, worldSize: 2 }));
  assert.deepEqual(ranks[0]?.owners, ranks[1]?.owners, "all ranks come to the same");
  for (const [i, member] of whole.entries()) {
    const owner = ranks[0]?.owners[i] ?? 0;
    const [own, other] = [ranks[owner]?.members[i], ranks[1 - owner]?.members[i]];
    assert.ok(own && other && !isElsewhere(own) && isElsewhere(other));
    assert.deepEqual([own.flops, other.flops], [member.flops, member.flops]);
    for (const [name, weights] of member.backbone.stateDict()) {
      assert.deepEqual(own.backbone.stateDict().get(name)?.toNumbers(), weights.toNumbers(), name);
      const absent = other.backbone.stateDict().get(name);
      assert.deepEqual(absent?.shape, weights.shape);
      assert.throws(() => absent && ensureResident(absent, false), /member "[\w-]+" is not in this process/);
    }
  }
  for (const { members } of ranks) for (const member of members) member.dispose();
  assert.equal(memory().handles, before.handles);
  for (const member of whole) member.dispose();
});
