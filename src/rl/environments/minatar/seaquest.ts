/**
 * MinAtar Seaquest: a submarine picks up divers, shoots fish and enemy submarines and must surface for air.
 *
 * Start: submarine at (5, 0), at the surface, facing left; oxygen 200; no divers on board, nothing in the water; an enemy
 * spawns every 20 steps, a diver every 30; enemies and divers move every sixth step (their timers run from 5 to 0).
 * Each step:
 * 1. When the enemies' spawn timer is at 0: it is set to their spawn interval, and one enters in a row of 1 to 8, from the left
 *    or from the right (1/2 each), a submarine with probability 1/3, else a fish; not if an enemy in that row goes the
 *    other way. Its move timer is the move interval, its shot timer 10. When the divers' is at 0: set to 30, and a diver
 *    enters likewise, in any case.
 * 2. fire, when the shot timer is at 0: a bullet on the submarine's cell, the timer is set to 5. The arrow keys move by one
 *    cell within columns 0 to 9 and rows 0 to 8; left and right also turn the submarine.
 * 3. The player's bullets move one cell and go at the edge; one that meets a fish, else an enemy submarine, takes it along, +1.
 * 4. Divers on the submarine's cell come on board while fewer than 6 are. Others move when their timer is at 0, go at the
 *    edge, and come on board if they then are on its cell.
 * 5. Enemy submarines: on the player's cell the game is over. When its timer is at 0 one moves: it goes at the edge; on the
 *    player's cell the game is over; else a bullet on its cell takes it along, +1. When its shot timer is at 0 it is set to
 *    10 and the submarine leaves a bullet on its cell, even if it has just gone.
 * 6. Enemy bullets: on the player's cell the game is over; they move one cell and go at the edge; the same again.
 * 7. Fish as in 5, without bullets.
 * 8. The spawn and shot timers fall by one, to 0. Oxygen of 0 or less ends the game. Below the surface oxygen falls by one.
 *    At the surface, when just come up: without divers the game is over; with 6 all leave and the reward is a
 *    twentieth of the oxygen, rounded down; then in either case oxygen is 200 and one diver leaves. After a full load the
 *    count so is -1: the package plays it like that, and the next surfacing needs no diver.
 * 9. Ramping, at each surfacing while the spawn interval is above 1 or the move interval above 2: the spawn interval falls
 *    by one, and the move interval at every second time.
 * The trail channel marks the cells behind fish, enemy submarines and divers. Row 9 shows a twentieth of the oxygen from the left,
 * and the divers on board from column 8 to the left.
 */
import type { Random } from "../random-stream.ts";
import type { Observations } from "../types.ts";
import { ahead, cell, clamp, type GridGame, inside, type Key } from "./grid.ts";

/** A bullet, and what all swimmers have. */
export interface Mover {
  x: number;
  y: number;
  right: boolean;
}

/** A fish or a diver: moves when its timer is at 0. */
export interface Swimmer extends Mover {
  timer: number;
}

export interface EnemySub extends Swimmer {
  shotTimer: number;
}

export interface SeaquestState {
  x: number;
  y: number;
  right: boolean;
  oxygen: number;
  /** Divers on board; below 0 after a full load was brought up. */
  onBoard: number;
  /** True when the submarine has been at the surface since it came up. */
  surfaced: boolean;
  bullets: Mover[];
  enemyBullets: Mover[];
  fish: Swimmer[];
  subs: EnemySub[];
  divers: Swimmer[];
  spawnInterval: number;
  spawnTimer: number;
  diverTimer: number;
  moveInterval: number;
  shotTimer: number;
  /** Number of times that the difficulty has risen. */
  ramps: number;
  over: boolean;
}

const [maxOxygen, maxDivers, oxygenPerCell] = [200, 6, 20];
const [shotInterval, enemyShotInterval, diverSpawnInterval, diverMoveInterval] = [5, 10, 30, 5];

const channels = {
  front: 0,
  back: 1,
  bullet: 2,
  trail: 3,
  enemyBullet: 4,
  fish: 5,
  sub: 6,
  oxygen: 7,
  onBoard: 8,
  diver: 9,
} as const;

export const seaquest: GridGame<SeaquestState> = {
  name: "seaquest",
  channels: [
    { name: "sub_front", symbol: "@" },
    { name: "sub_back", symbol: "a" },
    { name: "friendly_bullet", symbol: "*" },
    { name: "trail", symbol: "." },
    { name: "enemy_bullet", symbol: "!" },
    { name: "enemy_fish", symbol: "f" },
    { name: "enemy_sub", symbol: "s" },
    { name: "oxygen_gauge", symbol: "=" },
    { name: "diver_gauge", symbol: "+" },
    { name: "diver", symbol: "d" },
  ],
  usedKeys: ["noop", "left", "up", "right", "down", "fire"],

  start() {
    return {
      x: 5,
      y: 0,
      right: false,
      oxygen: maxOxygen,
      onBoard: 0,
      surfaced: true,
      bullets: [],
      enemyBullets: [],
      fish: [],
      subs: [],
      divers: [],
      spawnInterval: 20,
      spawnTimer: 20,
      diverTimer: diverSpawnInterval,
      moveInterval: 5,
      shotTimer: 0,
      ramps: 0,
      over: false,
    };
  },

  step(state, key, random, ramping) {
    if (state.spawnTimer === 0) {
      spawnEnemy(state, random);
      state.spawnTimer = state.spawnInterval;
    }
    if (state.diverTimer === 0) {
      state.divers.push({ ...entrance(random.chance(1 / 2), 1 + random.below(8)), timer: diverMoveInterval });
      state.diverTimer = diverSpawnInterval;
    }
    control(state, key);
    let reward = flyBullets(state);
    swimDivers(state);
    for (let i = state.subs.length - 1; i >= 0; i--) {
      const sub = state.subs[i] as EnemySub;
      reward += swimEnemy(state, state.subs, sub);
      shoot(state, sub);
    }
    flyEnemyBullets(state);
    for (let i = state.fish.length - 1; i >= 0; i--) reward += swimEnemy(state, state.fish, state.fish[i] as Swimmer);
    return reward + endStep(state, ramping);
  },

  draw,
};

function entrance(right: boolean, y: number): Mover {
  return { x: right ? 0 : 9, y, right };
}

function spawnEnemy(state: SeaquestState, random: Random): void {
  const right = random.chance(1 / 2);
  const isSub = random.chance(1 / 3);
  const y = 1 + random.below(8);
  const against = (other: Mover) => other.y === y && other.right !== right;
  if (state.subs.some(against) || state.fish.some(against)) return;
  const enemy = { ...entrance(right, y), timer: state.moveInterval };
  if (isSub) state.subs.push({ ...enemy, shotTimer: enemyShotInterval });
  else state.fish.push(enemy);
}

function control(state: SeaquestState, key: Key): void {
  if (key === "fire" && state.shotTimer === 0) {
    state.bullets.push({ x: state.x, y: state.y, right: state.right });
    state.shotTimer = shotInterval;
  } else if (key === "left" || key === "right") {
    state.right = key === "right";
    state.x = clamp(ahead(state.x, state.right), 0, 9);
  } else if (key === "up") state.y = clamp(state.y - 1, 0, 8);
  else if (key === "down") state.y = clamp(state.y + 1, 0, 8);
}

function together(a: { x: number; y: number }, b: { x: number; y: number }): boolean {
  return a.x === b.x && a.y === b.y;
}

/**
 * Removes the first element equal to this one, as the package does. If that is an earlier one, a loop from the back meets
 * this one again in its place, and plays what the earlier one would have done.
 */
function remove<T extends Mover & { timer?: number; shotTimer?: number }>(list: T[], gone: T): void {
  const equal = (other: T) =>
    together(other, gone) &&
    other.right === gone.right &&
    other.timer === gone.timer &&
    other.shotTimer === gone.shotTimer;
  list.splice(list.findIndex(equal), 1);
}

/** Removes the first element on the mover's cell; false when there is none. */
function removeAt(list: Mover[], mover: Mover): boolean {
  const found = list.findIndex((other) => together(other, mover));
  if (found >= 0) list.splice(found, 1);
  return found >= 0;
}

function flyBullets(state: SeaquestState): number {
  let reward = 0;
  for (let i = state.bullets.length - 1; i >= 0; i--) {
    const bullet = state.bullets[i] as Mover;
    bullet.x = ahead(bullet.x, bullet.right);
    const hit = inside(bullet.x) && (removeAt(state.fish, bullet) || removeAt(state.subs, bullet));
    if (hit) reward++;
    if (hit || !inside(bullet.x)) remove(state.bullets, bullet);
  }
  return reward;
}

function swimDivers(state: SeaquestState): void {
  for (let i = state.divers.length - 1; i >= 0; i--) {
    const diver = state.divers[i] as Swimmer;
    if (comesOnBoard(state, diver)) continue;
    if (diver.timer > 0) {
      diver.timer--;
      continue;
    }
    diver.timer = diverMoveInterval;
    diver.x = ahead(diver.x, diver.right);
    if (!inside(diver.x)) remove(state.divers, diver);
    else comesOnBoard(state, diver);
  }
}

function comesOnBoard(state: SeaquestState, diver: Swimmer): boolean {
  if (!together(diver, state) || state.onBoard >= maxDivers) return false;
  remove(state.divers, diver);
  state.onBoard++;
  return true;
}

/** Moves one fish or submarine of the list; returns the reward. */
function swimEnemy<T extends Swimmer>(state: SeaquestState, list: T[], enemy: T): number {
  if (together(enemy, state)) state.over = true;
  if (enemy.timer > 0) {
    enemy.timer--;
    return 0;
  }
  enemy.timer = state.moveInterval;
  enemy.x = ahead(enemy.x, enemy.right);
  if (!inside(enemy.x)) remove(list, enemy);
  else if (together(enemy, state)) state.over = true;
  else if (removeAt(state.bullets, enemy)) {
    remove(list, enemy);
    return 1;
  }
  return 0;
}

function shoot(state: SeaquestState, sub: EnemySub): void {
  if (sub.shotTimer > 0) {
    sub.shotTimer--;
    return;
  }
  sub.shotTimer = enemyShotInterval;
  state.enemyBullets.push({ x: sub.x, y: sub.y, right: sub.right });
}

function flyEnemyBullets(state: SeaquestState): void {
  for (let i = state.enemyBullets.length - 1; i >= 0; i--) {
    const bullet = state.enemyBullets[i] as Mover;
    if (together(bullet, state)) state.over = true;
    bullet.x = ahead(bullet.x, bullet.right);
    if (!inside(bullet.x)) remove(state.enemyBullets, bullet);
    else if (together(bullet, state)) state.over = true;
  }
}

/** Timers, oxygen and the surface; returns the reward. */
function endStep(state: SeaquestState, ramping: boolean): number {
  if (state.spawnTimer > 0) state.spawnTimer--;
  if (state.diverTimer > 0) state.diverTimer--;
  if (state.shotTimer > 0) state.shotTimer--;
  if (state.oxygen <= 0) state.over = true;
  if (state.y > 0) {
    state.oxygen--;
    state.surfaced = false;
    return 0;
  }
  if (state.surfaced) return 0;
  if (state.onBoard === 0) {
    state.over = true;
    return 0;
  }
  return surface(state, ramping);
}

function surface(state: SeaquestState, ramping: boolean): number {
  const full = state.onBoard === maxDivers;
  const reward = full ? Math.floor(state.oxygen / oxygenPerCell) : 0;
  state.surfaced = true;
  state.oxygen = maxOxygen;
  state.onBoard = (full ? 0 : state.onBoard) - 1;
  if (ramping && (state.spawnInterval > 1 || state.moveInterval > 2)) {
    if (state.moveInterval > 2 && state.ramps % 2 === 1) state.moveInterval--;
    if (state.spawnInterval > 1) state.spawnInterval--;
    state.ramps++;
  }
  return reward;
}

function draw(state: SeaquestState, out: Observations, at: number): void {
  out[at + cell(channels.front, state.x, state.y)] = 1;
  out[at + cell(channels.back, ahead(state.x, !state.right), state.y)] = 1;
  const air = Math.floor(Math.max(0, state.oxygen) / oxygenPerCell);
  for (let x = 0; x < air; x++) out[at + cell(channels.oxygen, x, 9)] = 1;
  for (let x = 9 - state.onBoard; x < 9; x++) out[at + cell(channels.onBoard, x, 9)] = 1;
  for (const { x, y } of state.bullets) out[at + cell(channels.bullet, x, y)] = 1;
  for (const { x, y } of state.enemyBullets) out[at + cell(channels.enemyBullet, x, y)] = 1;
  drawSwimmers(state.fish, channels.fish, out, at);
  drawSwimmers(state.subs, channels.sub, out, at);
  drawSwimmers(state.divers, channels.diver, out, at);
}

function drawSwimmers(swimmers: readonly Swimmer[], channel: number, out: Observations, at: number): void {
  for (const { x, y, right } of swimmers) {
    out[at + cell(channel, x, y)] = 1;
    const behind = ahead(x, !right);
    if (inside(behind)) out[at + cell(channels.trail, behind, y)] = 1;
  }
}
