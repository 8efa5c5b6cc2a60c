import assert from "node:assert/strict";
import { test } from "node:test";
import type { Key } from "../../../src/rl/environments/minatar/grid.ts";
import { seaquest as game, type SeaquestState } from "../../../src/rl/environments/minatar/seaquest.ts";
import { cellsOf, picture, scripted, situation } from "./support.ts";

/** The submarine at (5, 4), nothing else in the water, nothing spawns for a while. */
const setup = (changes: Partial<SeaquestState>) =>
  situation(game, { y: 4, surfaced: false, spawnTimer: 500, diverTimer: 500, ...changes });
const step = (state: SeaquestState, key: Key = "noop", draws: number[] = [], ramping = true) => {
  const random = scripted(draws);
  const reward = game.step(state, key, random, ramping);
  assert.equal(random.left(), 0);
  return reward;
};
const seen = (state: SeaquestState, channel: string) => cellsOf(game, state, channel);
const swimmer = (x: number, y: number, right = true, timer = 5) => ({ x, y, right, timer });
const sub = (x: number, y: number, right = true, timer = 5, shotTimer = 10) => ({ x, y, right, timer, shotTimer });
const bullet = (x: number, y: number, right = true) => ({ x, y, right });

test("the start: at the surface, facing left, full oxygen, nobody on board", () => {
  const state = game.start(scripted([]));
  assert.deepEqual(picture(game, state), ["_____@a___", ...new Array(8).fill("__________"), "=========="]);
  step(state);
  assert.deepEqual([state.oxygen, state.over], [200, false], "no air is used, and it has not just come up");
});

test("the arrow keys move within columns 0 to 9 and rows 0 to 8; left and right turn", () => {
  const state = setup({ x: 1, y: 7, onBoard: 1 });
  const places = (["left", "left", "down", "down", "right", "up", "noop"] as const).map((key) => {
    step(state, key);
    return `${state.x},${state.y} ${state.right ? "right" : "left"}`;
  });
  assert.deepEqual(places, ["0,7 left", "0,7 left", "0,8 left", "0,8 left", "1,8 right", "1,7 right", "1,7 right"]);
  assert.deepEqual([seen(state, "sub_front"), seen(state, "sub_back")], [["1,7"], ["0,7"]]);
  const corner = setup({ x: 9, y: 0, surfaced: true, right: true });
  step(corner, "right");
  step(corner, "up");
  assert.deepEqual([corner.x, corner.y], [9, 0]);
});

test("enemies enter every 20 steps, divers every 30, first at the step after", () => {
  const state = game.start(scripted([]));
  const steps: string[] = [];
  const random = { chance: () => true, below: () => 7, uniform: () => 0 };
  for (let i = 1; i <= 65; i++) {
    Object.assign(state, { subs: [], divers: [], enemyBullets: [] });
    game.step(state, "noop", random, true);
    if (state.subs.length > 0) steps.push(`enemy ${i}`);
    if (state.divers.length > 0) steps.push(`diver ${i}`);
  }
  assert.deepEqual(steps, ["enemy 21", "diver 31", "enemy 41", "enemy 61", "diver 61"]);
});

test("side, kind and row of an enemy, then side and row of a diver are drawn", () => {
  const state = setup({ spawnTimer: 0, diverTimer: 0, moveInterval: 4 });
  step(state, "noop", [0.49, 0.33, 0, 0.5, 7]);
  // Timers have already run once for this step.
  assert.deepEqual(state.subs, [sub(0, 1, true, 3, 9)]);
  assert.deepEqual(state.divers, [swimmer(9, 8, false, 4)]);
  assert.deepEqual([state.spawnTimer, state.diverTimer], [19, 29]);
  const fish = setup({ spawnTimer: 0 });
  step(fish, "noop", [0.5, 0.34, 2]);
  assert.deepEqual(fish.fish, [swimmer(9, 3, false, 4)]);
});

test("no enemy enters a row where one goes the other way; divers do", () => {
  const blocked = setup({ spawnTimer: 0, diverTimer: 0, fish: [swimmer(2, 3, false)] });
  step(blocked, "noop", [0.1, 0.1, 2, 0.1, 2]);
  assert.deepEqual([blocked.subs.length, blocked.fish.length, blocked.divers.length], [0, 1, 1]);
  assert.equal(blocked.spawnTimer, 19);
  const bySub = setup({ spawnTimer: 0, subs: [sub(2, 3, false)] });
  step(bySub, "noop", [0.1, 0.9, 2]);
  assert.equal(bySub.fish.length, 0);
  const sameWay = setup({ spawnTimer: 0, fish: [swimmer(2, 3, true)] });
  step(sameWay, "noop", [0.1, 0.9, 2]);
  assert.equal(sameWay.fish.length, 2);
});

test("fire: a bullet in the facing direction that moves at once, goes at the edge; the next one five steps later", () => {
  const state = setup({ x: 3 });
  const bullets = Array.from({ length: 6 }, () => {
    step(state, "fire");
    return seen(state, "friendly_bullet");
  });
  assert.deepEqual(bullets, [["2,4"], ["1,4"], ["0,4"], [], [], ["2,4"]]);
  const right = setup({ x: 3, right: true });
  step(right, "fire");
  assert.deepEqual(seen(right, "friendly_bullet"), ["4,4"]);
});

test("a bullet that meets a fish or a submarine takes it along for +1; a fish before a submarine", () => {
  const state = setup({
    bullets: [bullet(1, 2), bullet(7, 6, false)],
    fish: [swimmer(2, 2)],
    subs: [sub(6, 6), sub(8, 8)],
  });
  assert.equal(step(state), 2);
  assert.deepEqual([state.bullets.length, state.fish.length, state.subs.length], [0, 0, 1]);
  const both = setup({ bullets: [bullet(1, 2)], fish: [swimmer(2, 2)], subs: [sub(2, 2)] });
  assert.equal(step(both), 1);
  assert.deepEqual([both.fish.length, both.subs.length], [0, 1]);
});

test("fish and submarines that swim onto a bullet are shot as well", () => {
  const state = setup({
    bullets: [bullet(2, 2), bullet(2, 7)],
    fish: [swimmer(4, 2, false, 0)],
    subs: [sub(4, 7, false, 0)],
  });
  assert.equal(step(state), 2);
  assert.deepEqual([state.bullets.length, state.fish.length, state.subs.length], [0, 0, 0]);
});

test("swimmers move every sixth step and leave at the edges", () => {
  const state = setup({
    fish: [swimmer(2, 1)],
    subs: [sub(9, 7, true, 0)],
    divers: [swimmer(0, 8, false, 0), swimmer(3, 6)],
  });
  step(state);
  assert.deepEqual([state.subs.length, state.divers.length], [0, 1]);
  for (let i = 2; i <= 5; i++) step(state);
  assert.deepEqual([seen(state, "enemy_fish"), seen(state, "diver")], [["2,1"], ["3,6"]]);
  step(state);
  assert.deepEqual([seen(state, "enemy_fish"), seen(state, "diver")], [["3,1"], ["4,6"]]);
});

test("divers come on board where the submarine is and where they swim to it, six at most", () => {
  const meets = setup({ x: 5, divers: [swimmer(4, 4), swimmer(4, 3)] });
  step(meets, "left");
  assert.deepEqual([meets.onBoard, meets.divers.length], [1, 1]);
  assert.deepEqual(seen(meets, "diver_gauge"), ["8,9"]);
  const swims = setup({ x: 5, divers: [swimmer(4, 4, true, 0)], onBoard: 5 });
  step(swims);
  assert.deepEqual([swims.onBoard, swims.divers.length], [6, 0]);
  assert.deepEqual(seen(swims, "diver_gauge"), ["3,9", "4,9", "5,9", "6,9", "7,9", "8,9"]);
  const full = setup({ x: 5, divers: [swimmer(5, 4, true, 0)], onBoard: 6 });
  step(full);
  assert.deepEqual([full.onBoard, full.divers], [6, [swimmer(6, 4, true, 5)]]);
});

test("fish and enemy submarines end the game where the player is, before and after they move", () => {
  const touches: Partial<SeaquestState>[] = [
    { fish: [swimmer(5, 4)] },
    { fish: [swimmer(4, 4, true, 0)] },
    { fish: [swimmer(5, 4, true, 0)] },
    { subs: [sub(5, 4)] },
    { subs: [sub(4, 4, true, 0)] },
    { subs: [sub(5, 4, true, 0)] },
  ];
  for (const changes of touches) {
    const state = setup(changes);
    step(state);
    assert.equal(state.over, true, JSON.stringify(changes));
  }
  const near = setup({ fish: [swimmer(4, 4)], subs: [sub(6, 4)] });
  step(near);
  assert.equal(near.over, false);
});

test("an enemy submarine shoots every eleventh step; its bullet moves at once", () => {
  const state = setup({ subs: [sub(2, 7, true, 50)] });
  const shots = [];
  for (let i = 1; i <= 22; i++) {
    const before = state.enemyBullets.length;
    step(state);
    if (state.enemyBullets.length > before) shots.push(`${i} ${seen(state, "enemy_bullet")[0]}`);
  }
  assert.deepEqual(shots, ["11 3,7", "22 3,7"]);
});

test("a submarine that goes in the same step still shoots", () => {
  const state = setup({ bullets: [bullet(2, 2)], subs: [sub(4, 2, false, 0, 0)] });
  assert.equal(step(state), 1);
  assert.deepEqual([state.subs.length, state.enemyBullets], [0, [bullet(2, 2, false)]]);
  const leaves = setup({ subs: [sub(9, 2, true, 0, 0)] });
  step(leaves);
  assert.deepEqual([leaves.subs.length, leaves.enemyBullets.length], [0, 0], "its bullet is outside, too");
});

test("enemy bullets end the game where the player is, before and after they move, and go at the edges", () => {
  for (const shot of [bullet(5, 4), bullet(4, 4), bullet(6, 4, false)]) {
    const state = setup({ enemyBullets: [shot] });
    step(state);
    assert.equal(state.over, true, JSON.stringify(shot));
  }
  const state = setup({ enemyBullets: [bullet(9, 4), bullet(0, 4, false), bullet(2, 3)] });
  step(state);
  assert.equal(state.over, false);
  assert.deepEqual(seen(state, "enemy_bullet"), ["3,3"]);
});

test("oxygen falls by one below the surface; the step that finds none left ends the game", () => {
  const state = setup({ oxygen: 2 });
  step(state);
  step(state);
  assert.deepEqual([state.oxygen, state.over], [0, false]);
  step(state);
  assert.deepEqual([state.oxygen, state.over], [-1, true]);
  assert.deepEqual(seen(state, "oxygen_gauge"), [], "the gauge stays empty");
  const late = setup({ oxygen: 0, y: 1, onBoard: 2 });
  step(late, "up");
  assert.equal(late.over, true, "surfacing comes too late");
});

test("the oxygen gauge shows a cell for each full twenty", () => {
  const lengths = [200, 199, 180, 20, 19, 0].map((oxygen) => seen(setup({ oxygen }), "oxygen_gauge").length);
  assert.deepEqual(lengths, [10, 9, 9, 1, 0, 0]);
});

test("coming up without divers ends the game; with some one leaves and the oxygen is full", () => {
  const none = setup({ y: 1 });
  step(none, "up");
  assert.equal(none.over, true);
  const some = setup({ y: 1, onBoard: 3, oxygen: 50 });
  assert.equal(step(some, "up"), 0);
  assert.deepEqual([some.over, some.onBoard, some.oxygen], [false, 2, 200]);
  step(some);
  assert.deepEqual([some.onBoard, some.oxygen], [2, 200], "staying up costs nothing more");
});

test("coming up with six divers pays a twentieth of the oxygen; the count then is -1, as in the package", () => {
  const state = setup({ y: 1, onBoard: 6, oxygen: 119 });
  assert.equal(step(state, "up"), 5);
  assert.deepEqual([state.over, state.onBoard, state.oxygen], [false, -1, 200]);
  assert.deepEqual(seen(state, "diver_gauge"), []);
  step(state, "down");
  step(state, "up");
  assert.deepEqual([state.over, state.onBoard], [false, -2], "no diver is needed");
});

test("ramping at each surfacing: the spawn interval down to 1, the move interval every second time down to 2", () => {
  const state = setup({});
  const seenIntervals = Array.from({ length: 21 }, () => {
    Object.assign(state, { y: 1, onBoard: 2, surfaced: false });
    step(state, "up");
    return `${state.spawnInterval} ${state.moveInterval}`;
  });
  assert.deepEqual(seenIntervals.slice(0, 7), ["19 5", "18 4", "17 4", "16 3", "15 3", "14 2", "13 2"]);
  assert.deepEqual(seenIntervals.slice(17), ["2 2", "1 2", "1 2", "1 2"]);
  assert.equal(state.ramps, 19);
  const flat = setup({ y: 1, onBoard: 2 });
  step(flat, "up", [], false);
  assert.deepEqual([flat.spawnInterval, flat.moveInterval, flat.ramps], [20, 5, 0]);
});

test("a faster enemy moves in fewer steps", () => {
  const state = setup({ moveInterval: 2, fish: [swimmer(1, 1, true, 0)] });
  const places = Array.from({ length: 7 }, () => {
    step(state);
    return state.fish[0]?.x;
  });
  assert.deepEqual(places, [2, 2, 2, 3, 3, 3, 4]);
});

test("the picture: trails behind fish, submarines and divers, none behind bullets", () => {
  const state = setup({
    oxygen: 65,
    onBoard: 2,
    fish: [swimmer(3, 1)],
    subs: [sub(3, 2, false)],
    divers: [swimmer(0, 3)],
    bullets: [bullet(2, 5)],
    enemyBullets: [bullet(7, 5)],
  });
  assert.deepEqual(picture(game, state), [
    "__________",
    "__.f______",
    "___s._____",
    "d_________",
    "_____@a___",
    "__*____!__",
    "__________",
    "__________",
    "__________",
    "===____++_",
  ]);
});
