import assert from "node:assert/strict";
import { test } from "node:test";
import { cells, type Key } from "../../../src/rl/environments/minatar/grid.ts";
import { spaceInvaders as game, type SpaceInvadersState } from "../../../src/rl/environments/minatar/space-invaders.ts";
import { anyRandom, cellsOf, picture, scripted, situation } from "./support.ts";

function at(...places: [number, number][]): Uint8Array {
  const grid = new Uint8Array(cells);
  for (const [x, y] of places) grid[y * 10 + x] = 1;
  return grid;
}
/** One alien far away, nothing moves or shoots for a while. */
const setup = (changes: Partial<SpaceInvadersState>) =>
  situation(game, { aliens: at([5, 0]), moveTimer: 50, alienShotTimer: 50, ...changes });
const step = (state: SpaceInvadersState, key: Key = "noop", ramping = true) =>
  game.step(state, key, anyRandom, ramping);
const seen = (state: SpaceInvadersState, channel: string) => cellsOf(game, state, channel);

test("the start", () => {
  const state = game.start(scripted([]));
  const block = "__<<<<<<__";
  assert.deepEqual(picture(game, state), [
    block,
    block,
    block,
    block,
    ...new Array(5).fill("__________"),
    "_____@____",
  ]);
  assert.deepEqual(seen(state, "alien"), seen(state, "alien_left"));
  assert.deepEqual(seen(state, "alien_right"), []);
});

test("left and right move the cannon within the grid; up and down do nothing", () => {
  const state = setup({ cannon: 1 });
  const places = (["left", "left", "up", "down", "right"] as const).map((key) => {
    step(state, key);
    return state.cannon;
  });
  assert.deepEqual(places, [0, 0, 0, 0, 1]);
  const right = setup({ cannon: 9 });
  step(right, "right");
  assert.equal(right.cannon, 9);
});

test("fire: a bullet that rises one row a step and goes at the top; the next one five steps later", () => {
  const state = setup({ cannon: 3 });
  const bullets = Array.from({ length: 10 }, () => {
    step(state, "fire");
    return seen(state, "friendly_bullet");
  });
  assert.deepEqual(bullets.slice(0, 6), [["3,8"], ["3,7"], ["3,6"], ["3,5"], ["3,4"], ["3,3", "3,8"]]);
  assert.deepEqual(bullets[8], ["3,0", "3,5"]);
  assert.deepEqual(bullets[9], ["3,4"]);
});

test("bullets of the aliens fall one row a step and end the game on the cannon only", () => {
  const state = setup({ cannon: 4, alienBullets: at([4, 7], [2, 8]) });
  step(state);
  assert.deepEqual(seen(state, "enemy_bullet"), ["4,8", "2,9"]);
  assert.equal(state.over, false);
  step(state);
  assert.deepEqual(seen(state, "enemy_bullet"), ["4,9"]);
  assert.equal(state.over, true);
  const away = setup({ cannon: 4, alienBullets: at([4, 8]) });
  step(away, "left");
  assert.equal(away.over, false, "the cannon moves first");
});

test("aliens move sideways when their timer is at 0, which is then the interval or their number", () => {
  const few = setup({ aliens: at([5, 0], [6, 2]), moveTimer: 1 });
  step(few);
  assert.deepEqual(seen(few, "alien"), ["5,0", "6,2"]);
  step(few);
  assert.deepEqual(seen(few, "alien"), ["4,0", "5,2"]);
  assert.equal(few.moveTimer, 1, "two aliens: every second step");
  const last = setup({ aliens: at([5, 0]), moveTimer: 0 });
  step(last);
  step(last);
  assert.deepEqual(seen(last, "alien"), ["3,0"], "the last alien moves at each step");
  const many = { ...game.start(scripted([])), moveTimer: 0 };
  step(many);
  assert.equal(many.moveTimer, 11, "the interval of 12, less this step");
});

test("an alien at the edge they head for: all turn around and come down one row", () => {
  const left = setup({ aliens: at([0, 1], [4, 2]), moveTimer: 0 });
  step(left);
  assert.deepEqual(seen(left, "alien"), ["0,2", "4,3"]);
  assert.deepEqual(seen(left, "alien_right"), ["0,2", "4,3"]);
  const right = setup({ aliens: at([9, 1], [0, 2]), alienRight: true, moveTimer: 0 });
  step(right);
  assert.deepEqual(seen(right, "alien_left"), ["9,2", "0,3"]);
  const away = setup({ aliens: at([0, 1]), alienRight: true, moveTimer: 0 });
  step(away);
  assert.deepEqual(seen(away, "alien"), ["1,1"], "the edge behind them does not matter");
});

test("aliens in row 9: coming down again ends the game, and they come in at the top", () => {
  const state = setup({ cannon: 5, aliens: at([0, 9], [3, 2]), moveTimer: 0 });
  step(state);
  assert.equal(state.over, true);
  assert.deepEqual(seen(state, "alien"), ["0,0", "3,3"]);
});

test("an alien on the cannon ends the game, whoever moved", () => {
  const alienComes = setup({ cannon: 5, aliens: at([6, 9]), moveTimer: 0 });
  step(alienComes);
  assert.equal(alienComes.over, true);
  const cannonComes = setup({ cannon: 5, aliens: at([6, 9]), moveTimer: 5 });
  step(cannonComes, "right");
  assert.equal(cannonComes.over, true);
  const aside = setup({ cannon: 5, aliens: at([7, 9]), moveTimer: 5 });
  step(aside);
  assert.equal(aside.over, false);
  const lands = setup({ cannon: 0, aliens: at([0, 8]), moveTimer: 0 });
  step(lands);
  assert.equal(lands.over, true);
});

test("every tenth step the lowest alien of the nearest column shoots; of two columns the left one", () => {
  const shot = (cannon: number, ...aliens: [number, number][]) => {
    const state = setup({ cannon, aliens: at(...aliens), alienShotTimer: 0 });
    step(state);
    assert.equal(state.alienShotTimer, 9);
    return seen(state, "enemy_bullet");
  };
  assert.deepEqual(shot(5, [5, 0], [5, 3], [6, 5]), ["5,3"]);
  assert.deepEqual(shot(5, [3, 0], [7, 5]), ["3,0"]);
  assert.deepEqual(shot(5, [2, 0], [7, 5]), ["7,5"]);
  assert.deepEqual(shot(0, [9, 4]), ["9,4"]);
});

test("a bullet and an alien on one cell both go, +1 each", () => {
  const state = setup({ aliens: at([2, 3], [4, 5], [6, 0]), bullets: at([2, 4], [4, 6], [8, 5]) });
  assert.equal(step(state), 2);
  assert.deepEqual(seen(state, "alien"), ["6,0"]);
  assert.deepEqual(seen(state, "friendly_bullet"), ["8,4"]);
});

test("an alien that moves onto a bullet is shot", () => {
  const state = setup({ aliens: at([3, 3], [6, 0]), bullets: at([2, 4]), moveTimer: 0 });
  assert.equal(step(state), 1);
  assert.deepEqual(seen(state, "alien"), ["5,0"]);
});

test("after the last alien a new block stands at once, faster with ramping, down to every 6 steps", () => {
  const cleared = (moveInterval: number, ramping: boolean) => {
    const state = setup({ aliens: at([2, 3]), bullets: at([2, 4]), alienRight: true, moveInterval });
    assert.equal(step(state, "noop", ramping), 1);
    assert.equal(seen(state, "alien").length, 24);
    assert.equal(state.alienRight, true, "the direction stays");
    assert.equal(state.moveTimer, 49, "the timers run on");
    return [state.moveInterval, state.ramps];
  };
  assert.deepEqual(cleared(12, true), [11, 1]);
  assert.deepEqual(cleared(7, true), [6, 1]);
  assert.deepEqual(cleared(6, true), [6, 0]);
  assert.deepEqual(cleared(12, false), [12, 0]);
});
