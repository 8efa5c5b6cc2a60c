/**
 * MinAtar Asterix: the player collects gold and avoids enemies; both cross the grid in rows 1 to 8.
 *
 * Start: player at (5, 5); no entities; one spawns every 10 steps, all move every 5.
 * Each step:
 * 1. When the spawn timer is at 0 it is set to the spawn interval and one entity enters: from the left going right or from
 *    the right going left (1/2 each), gold with probability 1/3, in a free one of the eight rows; none when all are taken.
 * 2. The arrow keys move the player by one cell within columns 0 to 9 and rows 1 to 8.
 * 3. An entity on the player's cell: gold goes for +1, an enemy ends the game.
 * 4. When the move timer is at 0 it is set to the move interval, all entities move one cell, those that leave the grid go,
 *    and 3 is checked again for each.
 * 5. Both timers fall by one.
 * 6. Ramping, while an interval is above 1: the ramp timer falls from 100. The step that finds it below 0 sets it back and
 *    takes one off the spawn interval, and at every second time off the move interval, neither below 1: every 102 steps.
 * The trail channel marks the cell behind each entity.
 */
import type { Random } from "../random-stream.ts";
import { ahead, cell, clamp, type GridGame, inside } from "./grid.ts";

export interface AsterixEntity {
  x: number;
  right: boolean;
  gold: boolean;
}

export interface AsterixState {
  x: number;
  y: number;
  /** The entity of rows 1 to 8, null where there is none. */
  rows: (AsterixEntity | null)[];
  spawnInterval: number;
  spawnTimer: number;
  moveInterval: number;
  moveTimer: number;
  rampTimer: number;
  /** Number of times that the difficulty has risen. */
  ramps: number;
  over: boolean;
}

const rampInterval = 100;

export const asterix: GridGame<AsterixState> = {
  name: "asterix",
  channels: [
    { name: "player", symbol: "@" },
    { name: "enemy", symbol: "x" },
    { name: "trail", symbol: "." },
    { name: "gold", symbol: "$" },
  ],
  usedKeys: ["noop", "left", "up", "right", "down"],

  start() {
    return {
      x: 5,
      y: 5,
      rows: Array.from({ length: 8 }, () => null),
      spawnInterval: 10,
      spawnTimer: 10,
      moveInterval: 5,
      moveTimer: 5,
      rampTimer: rampInterval,
      ramps: 0,
      over: false,
    };
  },

  step(state, key, random, ramping) {
    if (state.spawnTimer === 0) {
      state.spawnTimer = state.spawnInterval;
      spawn(state, random);
    }
    if (key === "left") state.x = clamp(state.x - 1, 0, 9);
    else if (key === "right") state.x = clamp(state.x + 1, 0, 9);
    else if (key === "up") state.y = clamp(state.y - 1, 1, 8);
    else if (key === "down") state.y = clamp(state.y + 1, 1, 8);

    let reward = touch(state);
    if (state.moveTimer === 0) {
      state.moveTimer = state.moveInterval;
      move(state);
      reward += touch(state);
    }
    state.spawnTimer--;
    state.moveTimer--;
    if (ramping) ramp(state);
    return reward;
  },

  draw(state, out, at) {
    out[at + cell(0, state.x, state.y)] = 1;
    for (let row = 0; row < 8; row++) {
      const entity = state.rows[row];
      if (!entity) continue;
      out[at + cell(entity.gold ? 3 : 1, entity.x, row + 1)] = 1;
      const behind = ahead(entity.x, !entity.right);
      if (inside(behind)) out[at + cell(2, behind, row + 1)] = 1;
    }
  },
};

function spawn(state: AsterixState, random: Random): void {
  const right = random.chance(1 / 2);
  const gold = random.chance(1 / 3);
  const free = [...state.rows.keys()].filter((row) => state.rows[row] === null);
  if (free.length === 0) return;
  state.rows[free[random.below(free.length)] as number] = { x: right ? 0 : 9, right, gold };
}

/** Effect of the entity in the player's row on a player in its cell; returns the reward. */
function touch(state: AsterixState): number {
  const entity = state.rows[state.y - 1];
  if (!entity || entity.x !== state.x) return 0;
  if (!entity.gold) {
    state.over = true;
    return 0;
  }
  state.rows[state.y - 1] = null;
  return 1;
}

function move(state: AsterixState): void {
  for (const [row, entity] of state.rows.entries()) {
    if (!entity) continue;
    entity.x = ahead(entity.x, entity.right);
    if (!inside(entity.x)) state.rows[row] = null;
  }
}

function ramp(state: AsterixState): void {
  if (state.spawnInterval <= 1 && state.moveInterval <= 1) return;
  if (state.rampTimer >= 0) {
    state.rampTimer--;
    return;
  }
  if (state.moveInterval > 1 && state.ramps % 2 === 1) state.moveInterval--;
  if (state.spawnInterval > 1) state.spawnInterval--;
  state.ramps++;
  state.rampTimer = rampInterval;
}
