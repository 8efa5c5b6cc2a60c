/** Mixes of games: each copy plays its game as that game alone is played, in the channels of all of them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type GridId, MixedGrids, makeEnvironment, makeGridEnvironment, RandomStream } from "../../../src/rl/index.ts";
import { ConfigError, UserError } from "../../../src/torch/index.ts";

const id = "minatar:breakout+asterix+freeway";
const games: readonly GridId[] = ["minatar:breakout", "minatar:asterix", "minatar:freeway"];
/** Copies of each game of seven. */
const counts = [3, 2, 2];

async function mix(options: Parameters<typeof makeEnvironment>[1]): Promise<MixedGrids> {
  const made = await makeEnvironment(id, options);
  assert.ok(made instanceof MixedGrids);
  return made;
}

/** The games alone, with the seeds that their copies have in a mix. */
function alone(seed: number) {
  let from = 0;
  return games.map((game, i) => {
    const n = counts[i] as number;
    const first = from;
    from += n;
    return { from: first, environment: makeGridEnvironment(game, { n, seed: seed + first }) };
  });
}

test("observations, rewards and ends are those of each game alone; what a game does not have stays empty", async () => {
  const mixed = await mix({ n: 7, seed: 40 });
  const parts = alone(40);
  // Breakout and Asterix share the trail.
  assert.deepEqual(mixed.observationSpace.shape, [4 + 3 + 7, 10, 10]);
  assert.equal(new Set(mixed.channels.map(({ name }) => name)).size, 14);
  const random = new RandomStream(1);
  let ends = 0;
  for (let step = 0; step < 400; step++) {
    const actions = Int32Array.from({ length: 7 }, () => random.below(6));
    const together = mixed.step(actions);
    for (const { from, environment } of parts) {
      const own = environment.step(actions.subarray(from, from + environment.n));
      for (const key of ["rewards", "terminated", "truncated"] as const)
        assert.deepEqual(together[key].slice(from, from + environment.n), own[key]);
      for (let copy = 0; copy < environment.n; copy++) {
        ends += own.terminated[copy] as number;
        const shown = [["observations", true] as const, ["finalObservations", own.terminated[copy] === 1] as const];
        for (const [what, matters] of shown) {
          for (const [c, { name }] of mixed.channels.entries()) {
            const at = ((from + copy) * 14 + c) * 100;
            const there = environment.channels.findIndex((channel) => channel.name === name);
            const start = (copy * environment.channels.length + there) * 100;
            const wanted = there < 0 ? new Uint8Array(100) : own[what].slice(start, start + 100);
            if (matters) assert.deepEqual(together[what].slice(at, at + 100), wanted, `${environment.id} ${name}`);
          }
        }
      }
    }
  }
  assert.ok(ends > 20, `${ends}`);
});

test("one game of a mix can be played by all copies, in the channels of the mix", async () => {
  const mixed = await mix({ n: 4, seed: 9, only: "freeway" });
  assert.deepEqual(mixed.observationSpace.shape, [14, 10, 10]);
  const own = makeGridEnvironment("minatar:freeway", { n: 4, seed: 9 });
  for (let step = 0; step < 50; step++) {
    const [a, b] = [mixed.step(Int32Array.of(1, 2, 3, 4)), own.step(Int32Array.of(1, 2, 3, 4))];
    assert.deepEqual(a.rewards, b.rewards);
    assert.equal(a.observations.filter((value) => value).length, b.observations.filter((value) => value).length);
  }
});

test("a saved state continues exactly, and one that is refused changes nothing", async () => {
  const [first, second] = [await mix({ n: 7, seed: 3 }), await mix({ n: 7, seed: 4 })];
  const actions = Int32Array.of(1, 3, 5, 2, 4, 0, 2);
  for (let step = 0; step < 30; step++) first.step(actions);
  const saved = JSON.parse(JSON.stringify(first.state()));
  second.restore(saved);
  for (let step = 0; step < 60; step++) {
    const [a, b] = [first.step(actions), second.step(actions)];
    for (const key of ["observations", "rewards", "terminated", "truncated"] as const) assert.deepEqual(a[key], b[key]);
  }
  const before = JSON.stringify(second.state());
  const damaged = { ...saved, copies: saved.copies.with(6, { state: 1 }) };
  assert.throws(() => second.restore(damaged), UserError);
  assert.throws(() => second.restore({ ...saved, environment: "minatar:breakout" }), UserError);
  assert.equal(JSON.stringify(second.state()), before);
});

test("mixes that are none are refused by name", async () => {
  const refused = (name: string, options: Parameters<typeof makeEnvironment>[1], pattern: RegExp) =>
    assert.rejects(
      async () => makeEnvironment(name, options),
      (error: unknown) => error instanceof ConfigError && pattern.test(error.message),
    );
  await refused("minatar:breakout+pong", {}, /no game "pong" can be in a mix/);
  await refused("minatar:breakout+cartpole", {}, /no game "cartpole"/);
  await refused("minatar:breakout+breakout", {}, /names each of its games once/);
  await refused(id, { n: 2 }, /3 games and 2 copies/);
  await refused(id, { only: "pong" }, /has no game "pong"; it has: breakout, asterix, freeway/);
  await refused("minatar:breakout", { only: "breakout" }, /is one game/);
  await refused(id, { minatar: { minimalActions: true } }, /all six keys/);
  const mixed = await mix({ n: 7 });
  assert.throws(() => mixed.step(new Int32Array(6)), RangeError);
});
