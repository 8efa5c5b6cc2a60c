/** Classic control against Gymnasium 1.3.0, from given states: test/fixtures/rl/make-classic.py. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { acrobot } from "../../../src/rl/environments/classic/acrobot.ts";
import { cartPole } from "../../../src/rl/environments/classic/cartpole.ts";
import { mountainCar } from "../../../src/rl/environments/classic/mountain-car.ts";
import { type Ending, LocalEnvironment, RandomStream, type Rules } from "../../../src/rl/environments/index.ts";
import { anyRandom } from "./support.ts";

interface Recording {
  maxSteps: number;
  low: (number | null)[];
  high: (number | null)[];
  trajectories: { start: number[]; actions: number[]; rows: number[][] }[];
}

const path = new URL("../../fixtures/rl/classic.json", import.meta.url);
const recordings = JSON.parse(readFileSync(path, "utf8")) as Record<string, Recording>;

function close(found: readonly number[], expected: readonly number[], at: string): void {
  assert.equal(found.length, expected.length);
  for (const [i, value] of found.entries()) {
    const wanted = expected[i] as number;
    assert.ok(Math.abs(value - wanted) <= 1e-6 * Math.max(1, Math.abs(wanted)), `${at}, ${i}: ${value}, not ${wanted}`);
  }
}

/** The float32 observation that follows from a recorded state. */
const seen: Record<string, (state: number[]) => number[]> = {
  cartpole: (state) => state,
  "mountain-car": (state) => state,
  acrobot: ([a, b, v, w]) => [Math.cos(a ?? 0), Math.sin(a ?? 0), Math.cos(b ?? 0), Math.sin(b ?? 0), v ?? 0, w ?? 0],
};

function compare<State extends Ending>(rules: Rules<State>): void {
  const recording = recordings[rules.id] as Recording;
  const names = Object.keys(rules.start(anyRandom)).filter((name) => name !== "over");

  test(`${rules.id} moves as in Gymnasium`, () => {
    let ends = 0;
    for (const [which, { start, actions, rows }] of recording.trajectories.entries()) {
      const state = rules.start(anyRandom);
      Object.assign(state, Object.fromEntries(names.map((name, i) => [name, start[i]])));
      for (const [step, row] of rows.entries()) {
        const reward = rules.step(state, actions[step] as number, anyRandom);
        const values = names.map((name) => (state as unknown as Record<string, number>)[name] as number);
        const at = `trajectory ${which}, step ${step}`;
        close([...values, reward, Number(state.over)], row, at);
        const observation = new Float32Array(rules.observationSpace.shape[0] as number);
        rules.observe(state, observation, 0);
        close([...observation], (seen[rules.id] as (state: number[]) => number[])(row.slice(0, names.length)), at);
        if (state.over) ends++;
      }
    }
    assert.ok(ends > 0, "an end was recorded");
  });

  test(`${rules.id}: bounds and time limit as in Gymnasium`, () => {
    assert.equal(rules.maxSteps, recording.maxSteps);
    const bounds = (values: number | readonly number[]) =>
      (values as number[]).map((value) => (Number.isFinite(value) ? Math.fround(value) : null));
    assert.deepEqual(bounds(rules.observationSpace.low), recording.low);
    assert.deepEqual(bounds(rules.observationSpace.high), recording.high);
  });
}

compare(cartPole);
compare(acrobot);
compare(mountainCar);

test("episodes start within Gymnasium's bounds, spread over them", () => {
  const random = new RandomStream(1);
  const spread = (draw: () => number) => {
    const values = Array.from({ length: 500 }, draw);
    return [Math.min(...values), Math.max(...values)] as const;
  };
  const within = ([low, high]: readonly [number, number], from: number, to: number) => {
    const slack = (to - from) / 20;
    assert.ok(low >= from && low < from + slack && high <= to && high > to - slack, `${low} … ${high}`);
  };
  within(
    spread(() => cartPole.start(random).thetaDot),
    -0.05,
    0.05,
  );
  within(
    spread(() => acrobot.start(random).theta2),
    -0.1,
    0.1,
  );
  within(
    spread(() => mountainCar.start(random).position),
    -0.6,
    -0.4,
  );
  assert.equal(mountainCar.start(random).velocity, 0);
});

test("a car that only pushes right never arrives: the episode is truncated after 200 steps, not terminated", () => {
  const environment = new LocalEnvironment(mountainCar);
  for (let step = 1; step <= 200; step++) {
    const { truncated, terminated, finalObservations, observations } = environment.step(Int32Array.of(2));
    assert.deepEqual([terminated[0], truncated[0]], [0, step === 200 ? 1 : 0]);
    if (step === 200) assert.notDeepEqual([...finalObservations], [...observations]);
  }
});
