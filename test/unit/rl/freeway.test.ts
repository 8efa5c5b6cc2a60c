import assert from "node:assert/strict";
import { test } from "node:test";
import { type FreewayCar, type FreewayState, freeway } from "../../../src/rl/environments/minatar/freeway.ts";
import type { Key } from "../../../src/rl/environments/minatar/grid.ts";
import { cellsOf, scripted, situation } from "./support.ts";

/** Eight cars far from column 4 that stand still for long, with some replaced by row. */
function cars(changes: Record<number, Partial<FreewayCar>> = {}): FreewayCar[] {
  return Array.from({ length: 8 }, (_, i) => ({ x: 8, right: true, speed: 5, timer: 99, ...changes[i + 1] }));
}
const setup = (changes: Partial<FreewayState>) => situation(freeway, { cars: cars(), ...changes });
const step = (state: FreewayState, key: Key = "noop", draws: number[] = []) => {
  const random = scripted(draws);
  const reward = freeway.step(state, key, random, true);
  assert.equal(random.left(), 0);
  return reward;
};

test("the start: chicken at the bottom, cars at x 0 with drawn speeds, then directions", () => {
  const state = freeway.start(scripted([0, 1, 2, 3, 4, 0, 1, 2, 0, 1, 0, 1, 0, 1, 0, 1]));
  assert.deepEqual(cellsOf(freeway, state, "chicken"), ["4,9"]);
  assert.deepEqual(
    state.cars.map(({ x, speed, timer, right }) => [x, speed, timer, right]),
    [1, 2, 3, 4, 5, 1, 2, 3].map((speed, i) => [0, speed, speed, i % 2 === 1]),
  );
});

test("the chicken moves one row when its timer is at 0, so every third step", () => {
  const state = setup({});
  const rowsSeen = Array.from({ length: 10 }, () => {
    step(state, "up");
    return state.y;
  });
  assert.deepEqual(rowsSeen, [9, 9, 9, 8, 8, 8, 7, 7, 7, 6]);
});

test("down moves back, not below row 9, and sets the timer too; other keys do nothing", () => {
  const state = setup({ y: 8, moveTimer: 0 });
  step(state, "down");
  assert.deepEqual([state.y, state.moveTimer], [9, 2]);
  Object.assign(state, { moveTimer: 0 });
  step(state, "down");
  assert.deepEqual([state.y, state.moveTimer], [9, 2]);
  for (const key of ["left", "right", "fire", "noop"] as const) {
    Object.assign(state, { moveTimer: 0, y: 7 });
    step(state, key);
    assert.deepEqual([state.y, state.moveTimer], [7, 0]);
  }
});

test("row 0: +1, back to the bottom, new speeds and directions, places stay", () => {
  const state = setup({ y: 1, moveTimer: 0 });
  assert.equal(step(state, "up", [4, 3, 2, 1, 0, 4, 3, 2, 1, 1, 1, 1, 0, 0, 0, 0]), 1);
  assert.equal(state.y, 9);
  assert.deepEqual(
    // The timers have run for this step.
    state.cars.map(({ x, speed, timer, right }) => [x, speed, timer, right]),
    [5, 4, 3, 2, 1, 5, 4, 3].map((speed, i) => [8, speed, speed - 1, i < 4]),
  );
});

test("a car of speed s moves every s + 1 steps", () => {
  for (const speed of [1, 3, 5]) {
    const state = setup({ cars: cars({ 2: { x: 0, speed, timer: speed } }) });
    const places = Array.from({ length: 2 * (speed + 1) }, () => {
      step(state);
      return state.cars[1]?.x;
    });
    const expected = [...new Array(speed).fill(0), ...new Array(speed + 1).fill(1), 2];
    assert.deepEqual(places, expected);
  }
});

test("cars go around the edges", () => {
  const state = setup({ cars: cars({ 1: { x: 9, timer: 0 }, 2: { x: 0, right: false, timer: 0 } }) });
  step(state);
  assert.deepEqual([state.cars[0]?.x, state.cars[1]?.x], [0, 9]);
});

test("a chicken that walks into a car, or is run over, goes back to the bottom without reward", () => {
  const walks = setup({ y: 4, moveTimer: 0, cars: cars({ 3: { x: 4 } }) });
  assert.equal(step(walks, "up"), 0);
  assert.equal(walks.y, 9);
  const stands = setup({ y: 3, cars: cars({ 3: { x: 3, timer: 0 } }) });
  step(stands);
  assert.equal(stands.y, 9);
  const escapes = setup({ y: 3, moveTimer: 0, cars: cars({ 3: { x: 3, timer: 0 } }) });
  step(escapes, "up");
  assert.equal(escapes.y, 2);
  const other = setup({ y: 3, cars: cars({ 3: { x: 5 }, 4: { x: 4 } }) });
  step(other);
  assert.equal(other.y, 3, "a car in another lane or column does nothing");
});

test("the game is over after 2501 steps", () => {
  const state = setup({});
  for (let i = 0; i < 2500; i++) step(state);
  assert.equal(state.over, false);
  step(state);
  assert.equal(state.over, true);
});

test("the picture: cars, and behind each the channel of its speed, around the edges", () => {
  const state = setup({
    cars: cars({
      1: { x: 3, speed: 1 },
      2: { x: 3, speed: 2, right: false },
      3: { x: 0, speed: 3 },
      4: { x: 9, speed: 4, right: false },
    }),
  });
  assert.deepEqual(cellsOf(freeway, state, "car").slice(0, 4), ["3,1", "3,2", "0,3", "9,4"]);
  const speeds = [1, 2, 3, 4].map((speed) => cellsOf(freeway, state, `speed${speed}`));
  assert.deepEqual(speeds, [["2,1"], ["4,2"], ["9,3"], ["0,4"]]);
  assert.deepEqual(cellsOf(freeway, state, "speed5"), ["7,5", "7,6", "7,7", "7,8"]);
});
