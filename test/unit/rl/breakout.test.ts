import assert from "node:assert/strict";
import { test } from "node:test";
import { type BreakoutState, breakout } from "../../../src/rl/environments/minatar/breakout.ts";
import { cells, type Key } from "../../../src/rl/environments/minatar/grid.ts";
import { anyRandom, cellsOf, picture, scripted, situation } from "./support.ts";

const bricks = (...places: [number, number][]) => {
  const grid = new Uint8Array(cells);
  for (const [x, y] of places) grid[y * 10 + x] = 1;
  return grid;
};
const setup = (changes: Partial<BreakoutState>) => situation(breakout, { bricks: bricks([0, 1]), ...changes });
const step = (state: BreakoutState, key: Key = "noop") => breakout.step(state, key, anyRandom, true);

/** Position and direction of the ball. */
const ball = ({ x, y, dx, dy }: BreakoutState) => [x, y, dx, dy];

test("the start: two sides by one draw", () => {
  const left = breakout.start(scripted([0]));
  assert.deepEqual(picture(breakout, left).slice(0, 5), [
    "__________",
    "##########",
    "##########",
    "##########",
    "__________",
  ]);
  assert.deepEqual(picture(breakout, left)[9], "____=_____");
  assert.deepEqual(ball(left), [0, 3, 1, 1]);
  assert.deepEqual(cellsOf(breakout, left, "ball"), ["0,3"]);
  assert.deepEqual(cellsOf(breakout, left, "trail"), ["0,3"]);
  assert.deepEqual(ball(breakout.start(scripted([1]))), [9, 3, -1, 1]);
});

test("left and right move the paddle, the other keys do not, the walls stop it", () => {
  const state = setup({ paddle: 1, x: 5, y: 4 });
  const paddles = (["left", "left", "up", "down", "fire"] as const).map((key) => {
    Object.assign(state, { x: 5, y: 4, dx: 1, dy: 1 });
    step(state, key);
    return state.paddle;
  });
  assert.deepEqual(paddles, [0, 0, 0, 0, 0]);
  const right = setup({ paddle: 8, x: 5, y: 4 });
  step(right, "right");
  step(right, "right");
  assert.equal(right.paddle, 9);
});

for (const [dx, dy] of [
  [1, 1],
  [-1, 1],
  [1, -1],
  [-1, -1],
] as const) {
  test(`the ball flies along its diagonal (${dx}, ${dy}); the trail is where it was`, () => {
    const state = setup({ x: 5, y: 5, dx, dy });
    assert.equal(step(state), 0);
    assert.deepEqual(ball(state), [5 + dx, 5 + dy, dx, dy]);
    assert.deepEqual(cellsOf(breakout, state, "trail"), ["5,5"]);
  });
}

test("side walls stop the ball at their column and turn it sideways; it moves on in its row's direction", () => {
  const left = setup({ x: 0, y: 5, dx: -1, dy: 1 });
  step(left);
  assert.deepEqual(ball(left), [0, 6, 1, 1]);
  const right = setup({ x: 9, y: 5, dx: 1, dy: -1 });
  step(right);
  assert.deepEqual(ball(right), [9, 4, -1, -1]);
});

test("the ceiling turns the ball down, in a corner sideways too", () => {
  const state = setup({ x: 5, y: 0, dx: 1, dy: -1 });
  step(state);
  assert.deepEqual(ball(state), [6, 0, 1, 1]);
  const corner = setup({ x: 9, y: 0, dx: 1, dy: -1 });
  step(corner);
  assert.deepEqual(ball(corner), [9, 0, -1, 1]);
});

test("a brick goes for +1 and turns the ball up or down in its row", () => {
  const state = setup({ x: 5, y: 4, dx: 1, dy: -1, bricks: bricks([6, 3], [7, 3]) });
  assert.equal(step(state), 1);
  assert.deepEqual(ball(state), [6, 4, 1, 1]);
  assert.deepEqual(cellsOf(breakout, state, "brick"), ["7,3"]);
  assert.equal(state.struck, true);
});

test("right after a brick the ball passes through the next one, which stays; a step without brick ends that", () => {
  const state = setup({ x: 5, y: 4, dx: 1, dy: -1, struck: true, bricks: bricks([6, 3], [7, 2]) });
  assert.equal(step(state), 0);
  assert.deepEqual(ball(state), [6, 3, 1, -1]);
  assert.equal(state.struck, true, "as long as bricks follow");
  assert.equal(step(state), 0);
  assert.deepEqual(ball(state), [7, 2, 1, -1]);
  assert.deepEqual(cellsOf(breakout, state, "brick"), ["7,2", "6,3"]);
  step(state);
  assert.equal(state.struck, false);
});

test("the paddle below the ball turns it up", () => {
  const state = setup({ x: 5, y: 8, dx: 1, dy: 1, paddle: 5 });
  step(state);
  assert.deepEqual(ball(state), [6, 8, 1, -1]);
  assert.equal(state.over, false);
});

test("the paddle in the column that the ball moves to turns it back", () => {
  const state = setup({ x: 5, y: 8, dx: 1, dy: 1, paddle: 6 });
  step(state);
  assert.deepEqual(ball(state), [6, 8, -1, -1]);
  assert.equal(state.over, false);
});

test("the paddle moves before the ball is judged", () => {
  const state = setup({ x: 5, y: 8, dx: 1, dy: 1, paddle: 4 });
  step(state, "right");
  assert.deepEqual(ball(state), [6, 8, 1, -1]);
});

test("at the wall the paddle below still turns the ball up and the wall turns it sideways", () => {
  const state = setup({ x: 9, y: 8, dx: 1, dy: 1, paddle: 9 });
  step(state);
  assert.deepEqual(ball(state), [9, 8, -1, -1]);
});

test("a ball that misses the paddle ends the game in row 9", () => {
  const state = setup({ x: 5, y: 8, dx: 1, dy: 1, paddle: 7 });
  assert.equal(step(state), 0);
  assert.equal(state.over, true);
  assert.deepEqual(cellsOf(breakout, state, "ball"), ["6,9"]);
});

test("all bricks come back when the ball reaches the bottom after the last one, and not before", () => {
  const state = setup({ x: 5, y: 7, dx: 1, dy: 1, paddle: 6, bricks: bricks() });
  step(state);
  assert.deepEqual(cellsOf(breakout, state, "brick"), []);
  step(state);
  assert.equal(cellsOf(breakout, state, "brick").length, 30);
  const left = setup({ x: 5, y: 8, dx: 1, dy: 1, paddle: 5 });
  step(left);
  assert.deepEqual(cellsOf(breakout, left, "brick"), ["0,1"], "one brick left: none come back");
});
