/** Properties of all in-process environments: batches, seeds, sticky actions, restarts, saving, names. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  boxElements,
  type EnvironmentOptions,
  gridIds,
  type LocalEnvironment,
  type LocalId,
  localIds,
  makeEnvironment,
  makeGridEnvironment,
  makeLocalEnvironment,
  RandomStream,
  type StepResult,
} from "../../../src/rl/environments/index.ts";
import { ConfigError, UserError } from "../../../src/torch/index.ts";

/** Random actions for n copies, from a stream of their own. */
function actionsFrom(random: RandomStream, environment: LocalEnvironment): Int32Array {
  return Int32Array.from({ length: environment.n }, () => random.below(environment.actionSpace.n));
}

/** All that a step answers for one copy, as text. */
function row(result: StepResult, i: number): string {
  const size = result.observations.length / result.rewards.length;
  const part = (values: ArrayLike<number> & { subarray(a: number, b: number): Iterable<number> }) =>
    [...values.subarray(i * size, (i + 1) * size)].join(" ");
  const ended = result.terminated[i] === 1 || result.truncated[i] === 1;
  const flags = `${result.rewards[i]} ${result.terminated[i]} ${result.truncated[i]}`;
  return `${flags} ${part(result.observations)} ${ended ? part(result.finalObservations) : ""}`;
}

const steps = 400;
const make = (id: LocalId, options: EnvironmentOptions) => makeLocalEnvironment(id, options);

for (const id of localIds) {
  test(`${id}: the seed decides everything, a batch plays as single ones do`, () => {
    const [batch, again] = [make(id, { n: 3, seed: 20 }), make(id, { n: 3, seed: 20 })];
    const singles = [20, 21, 22].map((seed) => make(id, { seed }));
    const other = make(id, { n: 3, seed: 50 });
    const random = new RandomStream(1);
    let differences = 0;
    for (let step = 0; step < steps; step++) {
      const actions = actionsFrom(random, batch);
      const result = batch.step(actions);
      const [same, different] = [again.step(actions), other.step(actions)];
      for (const [i, single] of singles.entries()) {
        assert.equal(row(same, i), row(result, i));
        assert.equal(row(single.step(actions.subarray(i, i + 1)), 0), row(result, i), `copy ${i}, step ${step}`);
        if (row(different, i) !== row(result, i)) differences++;
      }
    }
    assert.ok(differences > 0, "another seed plays differently");
    const first = batch.reset(20).slice();
    assert.deepEqual(first, make(id, { n: 3, seed: 20 }).reset(20), "reset with a seed starts all afresh");
  });

  test(`${id}: a saved state, through JSON, continues bit for bit in the middle of episodes`, () => {
    const environment = make(id, { n: 3, seed: 4 });
    const random = new RandomStream(2);
    for (let step = 0; step < 137; step++) environment.step(actionsFrom(random, environment));
    const state = JSON.parse(JSON.stringify(environment.state()));
    const resumed = make(id, { n: 3, seed: 777 });
    const observations = environment.step(Int32Array.of(0, 0, 0)).observations.slice();
    environment.restore(state);
    assert.deepEqual(resumed.restore(state), environment.restore(state));
    assert.notEqual(observations.length, 0);
    for (let step = 0; step < steps; step++) {
      const actions = actionsFrom(random, environment);
      const [a, b] = [environment.step(actions), resumed.step(actions)];
      for (let i = 0; i < 3; i++) assert.equal(row(b, i), row(a, i), `copy ${i}, step ${step}`);
    }
  });

  test(`${id}: observations stay in their space; an ended copy shows its next episode at once`, () => {
    const environment = make(id, { n: 2, seed: 9, maxSteps: 8 });
    const { shape, low, high } = environment.observationSpace;
    const size = boxElements(environment.observationSpace);
    assert.equal(environment.reset().length, 2 * size);
    const random = new RandomStream(3);
    const bound = (limits: number | readonly number[], i: number) =>
      Math.fround(typeof limits === "number" ? limits : (limits[i % size] as number));
    let truncations = 0;
    for (let step = 0; step < steps; step++) {
      const result = environment.step(actionsFrom(random, environment));
      for (const [i, value] of result.observations.entries())
        assert.ok(value >= bound(low, i) && value <= bound(high, i), `${value} at ${i} of ${shape}`);
      truncations += result.truncated[0] as number;
      const played = (environment.state().copies[0] as { steps: number }).steps;
      assert.equal(played === 0, result.terminated[0] === 1 || result.truncated[0] === 1);
    }
    assert.ok(truncations > 0, "a time limit of 8 steps cuts an episode off");
  });
}

test("sticky actions repeat the last key with the given probability, across episodes, from noop on", () => {
  const repeats = (stickyActions: number) => {
    // Alternating keys: the paddle is at 4 unless a repeat moved it again.
    const environment = makeGridEnvironment("minatar:breakout", { n: 200, seed: 5, minatar: { stickyActions } });
    environment.step(new Int32Array(200).fill(1));
    const { observations } = environment.step(new Int32Array(200).fill(3));
    const paddle = (i: number) => observations.subarray(i * 400 + 90, i * 400 + 100).indexOf(1);
    return Array.from({ length: 200 }, (_, i) => paddle(i));
  };
  assert.ok(repeats(0).every((place) => place === 4));
  assert.ok(
    repeats(1).every((place) => place === 4),
    "always noop, the key before the first",
  );
  const places = repeats(0.1);
  const count = (place: number) => places.filter((found) => found === place).length;
  // First key: noop with 0.1, else left; second: the first again with 0.1, else right.
  assert.ok(count(5) > 5 && count(5) < 40, `noop, right: ${count(5)} of 200, expected 18`);
  assert.ok(count(2) > 5 && count(2) < 40, `left, left: ${count(2)} of 200, expected 18`);
  assert.equal(count(4) + count(5) + count(2), 200, "noop twice leaves it at 4 as well");
});

test("sticky actions are 0.1 by default in MinAtar games", () => {
  const environment = makeGridEnvironment("minatar:breakout", { n: 1000, seed: 6 });
  const { observations } = environment.step(new Int32Array(1000).fill(1));
  let repeated = 0;
  for (let i = 0; i < 1000; i++) if (observations[i * 400 + 94] === 1) repeated++;
  assert.ok(repeated > 60 && repeated < 140, `${repeated} of 1000 repeated noop`);
});

test("the last key lives on into the next episode", () => {
  const environment = makeGridEnvironment("minatar:breakout", { minatar: { stickyActions: 1 }, seed: 1 });
  const state = environment.state();
  const copy = state.copies[0] as Record<string, unknown>;
  const observations = environment.restore({ ...state, copies: [{ ...copy, lastAction: 3 }] });
  assert.equal(observations[94], 1);
  let ended = false;
  while (!ended) ended = environment.step(Int32Array.of(0)).terminated[0] === 1;
  const { observations: next } = environment.step(Int32Array.of(0));
  assert.equal(next[95], 1, "right again, though noop was given");
});

test("minimal actions are the keys that do something; ramping can be left off", () => {
  const actions = gridIds.map((id) => makeGridEnvironment(id, { minatar: { minimalActions: true } }).actionSpace.names);
  assert.deepEqual(actions, [
    ["noop", "left", "up", "right", "down"],
    ["noop", "left", "right"],
    ["noop", "up", "down"],
    ["noop", "left", "up", "right", "down", "fire"],
    ["noop", "left", "right", "fire"],
  ]);
  const full = makeGridEnvironment("minatar:freeway");
  assert.deepEqual(full.actionSpace.names, ["noop", "left", "up", "right", "down", "fire"]);
  const minimal = { minimalActions: true, stickyActions: 0 };
  const breakout = makeGridEnvironment("minatar:breakout", { minatar: minimal });
  assert.equal(breakout.step(Int32Array.of(2)).observations[95], 1, "action 2 is right");
  // 300 steps into Asterix the intervals have fallen twice, or not.
  const ramps = [true, false].map((ramping) => {
    const game = makeGridEnvironment("minatar:asterix", { minatar: { ramping }, seed: 3 });
    const state = game.state();
    const copy = state.copies[0] as { state: Record<string, unknown> };
    game.restore({ ...state, copies: [{ ...copy, state: { ...copy.state, rampTimer: -1 } }] });
    game.step(Int32Array.of(0));
    return (game.state().copies[0] as { state: { spawnInterval: number } }).state.spawnInterval;
  });
  assert.deepEqual(ramps, [9, 10]);
});

test("every channel of a game has a name and a symbol of its own", () => {
  for (const id of gridIds) {
    const { channels, observationSpace } = makeGridEnvironment(id);
    assert.equal(observationSpace.shape[0], channels.length);
    for (const key of ["name", "symbol"] as const)
      assert.equal(new Set(channels.map((channel) => channel[key])).size, channels.length);
  }
});

test("wrong actions, options and states are refused, and change nothing", () => {
  const environment = makeLocalEnvironment("minatar:breakout", { n: 2 });
  const before = JSON.stringify(environment.state());
  assert.throws(() => environment.step(Int32Array.of(1)), RangeError);
  for (const wrong of [-1, 6, 1.5, Number.NaN])
    assert.throws(() => environment.step(Float32Array.of(wrong, 0)), RangeError, String(wrong));
  const state = environment.state();
  const copy = state.copies[0] as Record<string, unknown>;
  const broken: [unknown, RegExp][] = [
    [{ ...state, environment: "minatar:asterix" }, /of minatar:asterix with 2 copies.*minatar:breakout with 2/],
    [{ ...state, copies: [copy] }, /with 1 copies/],
    [{ environment: state.environment }, /with no copies/],
    [{ ...state, copies: [copy, null] }, /copy 1, cannot be used/],
    [{ ...state, copies: [copy, { ...copy, random: [1, 2, 3, 0.5] }] }, /four 32-bit integers/],
    [
      { ...state, copies: [copy, { ...copy, state: { ...(copy["state"] as object), bricks: [1] } }] },
      /bricks is \[1\]/,
    ],
    [{ ...state, copies: [copy, { ...copy, state: { x: 1 } }] }, /paddle is undefined/],
  ];
  for (const [saved, pattern] of broken) {
    const restoring = () => environment.restore(saved as typeof state);
    assert.throws(restoring, (error) => error instanceof UserError && pattern.test(error.message), String(pattern));
  }
  assert.equal(JSON.stringify(environment.state()), before);
  assert.throws(() => makeLocalEnvironment("cartpole", { n: 0 }), RangeError);
  assert.throws(() => makeLocalEnvironment("cartpole", { maxSteps: 0 }), RangeError);
  assert.throws(() => makeLocalEnvironment("cartpole", { seed: -1 }), RangeError);
  assert.throws(() => makeGridEnvironment("minatar:breakout", { minatar: { stickyActions: 2 } }), RangeError);
});

test("environments by name; an unknown one is answered with the list", async () => {
  for (const id of localIds) assert.equal((await makeEnvironment(id)).id, id);
  await assert.rejects(
    makeEnvironment("minatar:pong"),
    (error) =>
      error instanceof ConfigError &&
      error.message.includes('"minatar:pong"') &&
      localIds.every((id) => error.message.includes(id)) &&
      error.message.includes("gym:"),
  );
  await assert.rejects(makeEnvironment("toString"), ConfigError);
});

test("random numbers: even, in range, and with a state that continues them", () => {
  const random = new RandomStream(12);
  const counts = new Array(8).fill(0);
  for (let i = 0; i < 80_000; i++) counts[random.below(8)]++;
  // Standard deviation 94; five of them.
  assert.ok(
    counts.every((count) => Math.abs(count - 10_000) < 470),
    counts.join(" "),
  );
  let hits = 0;
  for (let i = 0; i < 90_000; i++) if (random.chance(1 / 3)) hits++;
  assert.ok(Math.abs(hits - 30_000) < 710, String(hits));
  const state = random.state();
  const expected = Array.from({ length: 20 }, () => random.uniform(-1, 1));
  const other = new RandomStream(0);
  other.restore(state);
  assert.deepEqual(
    Array.from({ length: 20 }, () => other.uniform(-1, 1)),
    expected,
  );
  const first = (seed: number) => new RandomStream(seed).uniform(0, 1);
  assert.equal(new Set(Array.from({ length: 1000 }, (_, seed) => first(seed))).size, 1000, "seeds differ at once");
  assert.notEqual(first(1), first(1 + 2 ** 32), "seeds above 32 bits count");
});
