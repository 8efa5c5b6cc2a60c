import assert from "node:assert/strict";
import { test } from "node:test";
import { type AsterixEntity, type AsterixState, asterix } from "../../../src/rl/environments/minatar/asterix.ts";
import type { Key } from "../../../src/rl/environments/minatar/grid.ts";
import { cellsOf, picture, scripted, situation } from "./support.ts";

/** Rows 1 to 8 with the given entities. */
function rows(entities: Record<number, AsterixEntity>): (AsterixEntity | null)[] {
  return Array.from({ length: 8 }, (_, i) => entities[i + 1] ?? null);
}
const enemy = (x: number, right = true) => ({ x, right, gold: false });
const gold = (x: number, right = true) => ({ x, right, gold: true });
const setup = (changes: Partial<AsterixState>) => situation(asterix, changes);
const step = (state: AsterixState, key: Key = "noop", draws: number[] = [], ramping = true) => {
  const random = scripted(draws);
  const reward = asterix.step(state, key, random, ramping);
  assert.equal(random.left(), 0);
  return reward;
};

test("the start", () => {
  const state = asterix.start(scripted([]));
  assert.deepEqual(cellsOf(asterix, state, "player"), ["5,5"]);
  assert.equal(picture(asterix, state).join("").replaceAll("_", ""), "@");
});

test("the arrow keys move the player within columns 0 to 9 and rows 1 to 8; fire does nothing", () => {
  const state = setup({ x: 1, y: 2, spawnTimer: 100 });
  const places = (["left", "left", "up", "up", "fire", "noop", "right", "down"] as const).map((key) => {
    step(state, key);
    return `${state.x},${state.y}`;
  });
  assert.deepEqual(places, ["0,2", "0,2", "0,1", "0,1", "0,1", "0,1", "1,1", "1,2"]);
  const corner = setup({ x: 9, y: 8 });
  step(corner, "right");
  step(corner, "down");
  assert.deepEqual([corner.x, corner.y], [9, 8]);
});

test("an entity enters every tenth step, the first at the eleventh", () => {
  const state = setup({});
  const steps = [];
  for (let i = 1; i <= 31; i++) {
    const before = state.rows.filter(Boolean).length;
    step(state, "noop", (i - 1) % 10 === 0 && i > 1 ? [0.1, 0.9, 0] : []);
    if (state.rows.filter(Boolean).length > before) steps.push(i);
  }
  assert.deepEqual(steps, [11, 21, 31]);
});

test("side, kind and row of an entering entity are drawn in this order; rows are those still free", () => {
  const left = setup({ spawnTimer: 0 });
  step(left, "noop", [0.49, 0.34, 2]);
  assert.deepEqual(left.rows, rows({ 3: enemy(0, true) }));
  const right = setup({ spawnTimer: 0, rows: rows({ 1: enemy(4), 3: enemy(4) }) });
  step(right, "noop", [0.5, 0.33, 1]);
  assert.deepEqual(right.rows, rows({ 1: enemy(4), 3: enemy(4), 4: gold(9, false) }));
});

test("nothing enters when all rows are taken", () => {
  const full = rows(Object.fromEntries(Array.from({ length: 8 }, (_, i) => [i + 1, enemy(2)])));
  const state = setup({ spawnTimer: 0, rows: full });
  step(state, "noop", [0.1, 0.1]);
  assert.deepEqual(state.rows, full);
  assert.equal(state.spawnTimer, 9, "the timer starts again all the same");
});

test("gold on the player's cell goes for +1; an enemy ends the game and stays", () => {
  const rich = setup({ x: 4, y: 3, rows: rows({ 3: gold(5), 4: gold(5) }) });
  assert.equal(step(rich, "right"), 1);
  assert.deepEqual(rich.rows, rows({ 4: gold(5) }));
  assert.equal(rich.over, false);
  const poor = setup({ x: 4, y: 3, rows: rows({ 3: enemy(5) }) });
  assert.equal(step(poor, "right"), 0);
  assert.equal(poor.over, true);
  assert.deepEqual(poor.rows, rows({ 3: enemy(5) }));
});

test("an entity that enters on the player's cell is met in the same step", () => {
  const state = setup({ x: 0, y: 1, spawnTimer: 0 });
  assert.equal(step(state, "noop", [0.1, 0.1, 0]), 1);
});

test("entities move when the move timer is at 0, and leave at the edges", () => {
  const state = setup({
    y: 8,
    moveTimer: 1,
    rows: rows({ 1: enemy(3), 2: gold(3, false), 3: enemy(9), 4: gold(0, false) }),
  });
  step(state);
  assert.deepEqual(state.rows, rows({ 1: enemy(3), 2: gold(3, false), 3: enemy(9), 4: gold(0, false) }));
  step(state);
  assert.deepEqual(state.rows, rows({ 1: enemy(4), 2: gold(2, false) }));
  assert.equal(state.moveTimer, 4, "set to the interval of 5, less one");
});

test("an entity that moves onto the player is met", () => {
  const state = setup({ x: 5, y: 2, moveTimer: 0, rows: rows({ 2: gold(4) }) });
  assert.equal(step(state), 1);
  const bad = setup({ x: 5, y: 2, moveTimer: 0, rows: rows({ 2: enemy(6, false) }) });
  step(bad);
  assert.equal(bad.over, true);
});

test("the player who changes places with an enemy meets it before it moves", () => {
  const state = setup({ x: 4, y: 2, moveTimer: 0, rows: rows({ 2: enemy(5, false) }) });
  step(state, "right");
  assert.equal(state.over, true);
});

test("ramping: every 102 steps, the spawn interval each time, the move interval every second time", () => {
  const state = setup({ y: 8 });
  const changes: string[] = [];
  for (let i = 1; i <= 102 * 11; i++) {
    const before = state.ramps;
    state.rows = rows({});
    asterix.step(state, "noop", { chance: () => true, below: () => 0, uniform: () => 0 }, true);
    if (state.ramps > before) changes.push(`${i}: ${state.spawnInterval} ${state.moveInterval}`);
  }
  assert.deepEqual(changes, [
    "102: 9 5",
    "204: 8 4",
    "306: 7 4",
    "408: 6 3",
    "510: 5 3",
    "612: 4 2",
    "714: 3 2",
    "816: 2 1",
    "918: 1 1",
  ]);
});

test("without ramping the intervals stay", () => {
  const state = setup({ rampTimer: -1, ramps: 1 });
  step(state, "noop", [], false);
  assert.deepEqual([state.spawnInterval, state.moveInterval, state.ramps], [10, 5, 1]);
});

test("the picture: enemies, gold, and a trail behind each within the grid", () => {
  const state = setup({ x: 5, y: 5, rows: rows({ 1: enemy(3), 2: gold(3, false), 3: enemy(0), 4: gold(9, false) }) });
  assert.deepEqual(picture(asterix, state), [
    "__________",
    "__.x______",
    "___$._____",
    "x_________",
    "_________$",
    "_____@____",
    ...new Array(4).fill("__________"),
  ]);
});
