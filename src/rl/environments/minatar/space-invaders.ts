/**
 * MinAtar Space Invaders: a cannon at the bottom shoots at a block of aliens that comes closer and shoots back.
 *
 * Start: cannon at x 5 of row 9; aliens in rows 0 to 3 of columns 2 to 7, going left, moving every 12 steps; a shot of theirs
 * every 10.
 * Each step:
 * 1. fire puts a bullet on the cannon's cell when the shot timer is at 0 and sets the timer to 5; left and right move the
 *    cannon by one cell, within the grid.
 * 2. The player's bullets rise one row, then the aliens' fall one row; they go at the grid's ends. A bullet of the aliens on
 *    the cannon ends the game.
 * 3. An alien on the cannon ends the game. When the move timer is at 0 it is set to the number of aliens or the move
 *    interval, whichever is less. If an alien is at the edge they head for, they turn around and come down one row, and an
 *    alien that already was in row 9 ends the game (it comes in again in row 0); else they move one cell sideways. An alien
 *    on the cannon ends the game.
 * 4. When the shot timer of the aliens is at 0 it is set to 10, and the lowest alien of the column nearest to the cannon (of two the
 *    left one) leaves a bullet on its cell.
 * 5. Aliens and bullets of the player on one cell both go, +1 each.
 * 6. The timers fall by one, the player's to 0. When no alien is left a new block stands as at the start, direction and timers
 *    as they are; with ramping its move interval is one less, down to 6.
 * The channels left and right mark all aliens when they head there.
 */
import { cell, cells, clamp, type GridGame, side } from "./grid.ts";

export interface SpaceInvadersState {
  cannon: number;
  /** [10, 10] each, 1 where there is one. */
  bullets: Uint8Array;
  alienBullets: Uint8Array;
  aliens: Uint8Array;
  alienRight: boolean;
  moveInterval: number;
  moveTimer: number;
  alienShotTimer: number;
  shotTimer: number;
  /** Number of times that the difficulty has risen. */
  ramps: number;
  over: boolean;
}

const [shotInterval, alienShotInterval, startInterval, leastInterval] = [5, 10, 12, 6];
const bottomRow = cells - side;

export const spaceInvaders: GridGame<SpaceInvadersState> = {
  name: "space-invaders",
  channels: [
    { name: "cannon", symbol: "@" },
    { name: "alien", symbol: "x" },
    { name: "alien_left", symbol: "<" },
    { name: "alien_right", symbol: ">" },
    { name: "friendly_bullet", symbol: "^" },
    { name: "enemy_bullet", symbol: "v" },
  ],
  usedKeys: ["noop", "left", "right", "fire"],

  start() {
    return {
      cannon: 5,
      bullets: new Uint8Array(cells),
      alienBullets: new Uint8Array(cells),
      aliens: block(new Uint8Array(cells)),
      alienRight: false,
      moveInterval: startInterval,
      moveTimer: startInterval,
      alienShotTimer: alienShotInterval,
      shotTimer: 0,
      ramps: 0,
      over: false,
    };
  },

  step(state, key, _random, ramping) {
    if (key === "fire" && state.shotTimer === 0) {
      state.bullets[bottomRow + state.cannon] = 1;
      state.shotTimer = shotInterval;
    } else if (key === "left") state.cannon = clamp(state.cannon - 1, 0, 9);
    else if (key === "right") state.cannon = clamp(state.cannon + 1, 0, 9);

    const cannonCell = bottomRow + state.cannon;
    state.bullets.copyWithin(0, side).fill(0, bottomRow);
    state.alienBullets.copyWithin(side, 0).fill(0, 0, side);
    if (state.alienBullets[cannonCell] === 1 || state.aliens[cannonCell] === 1) state.over = true;
    if (state.moveTimer === 0) {
      moveAliens(state);
      if (state.aliens[cannonCell] === 1) state.over = true;
    }
    if (state.alienShotTimer === 0) {
      state.alienShotTimer = alienShotInterval;
      state.alienBullets[nearestAlien(state)] = 1;
    }
    const reward = hits(state);

    if (state.shotTimer > 0) state.shotTimer--;
    state.moveTimer--;
    state.alienShotTimer--;
    if (!state.aliens.includes(1)) nextBlock(state, ramping);
    return reward;
  },

  draw(state, out, at) {
    out[at + cell(0, state.cannon, 9)] = 1;
    out.set(state.aliens, at + cell(1, 0, 0));
    out.set(state.aliens, at + cell(state.alienRight ? 3 : 2, 0, 0));
    out.set(state.bullets, at + cell(4, 0, 0));
    out.set(state.alienBullets, at + cell(5, 0, 0));
  },
};

/** Sets four rows of six aliens. */
function block(aliens: Uint8Array): Uint8Array {
  for (let y = 0; y < 4; y++) aliens.fill(1, y * side + 2, y * side + 8);
  return aliens;
}

function nextBlock(state: SpaceInvadersState, ramping: boolean): void {
  if (ramping && state.moveInterval > leastInterval) {
    state.moveInterval--;
    state.ramps++;
  }
  block(state.aliens);
}

function moveAliens(state: SpaceInvadersState): void {
  const { aliens, alienRight } = state;
  state.moveTimer = Math.min(count(aliens), state.moveInterval);
  if (lowest(aliens, alienRight ? 9 : 0) === undefined) {
    // The column they head for is free, so that nothing crosses into the next row.
    if (alienRight) aliens.copyWithin(1, 0).fill(0, 0, 1);
    else aliens.copyWithin(0, 1).fill(0, cells - 1);
    return;
  }
  state.alienRight = !alienRight;
  const landed = aliens.slice(bottomRow);
  if (landed.includes(1)) state.over = true;
  aliens.copyWithin(side, 0).set(landed);
}

function count(aliens: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < cells; i++) sum += aliens[i] as number;
  return sum;
}

/** The lowest alien of a column as an index into the grid; undefined when the column has none. */
function lowest(aliens: Uint8Array, x: number): number | undefined {
  for (let i = bottomRow + x; i >= 0; i -= side) if (aliens[i] === 1) return i;
  return undefined;
}

function nearestAlien({ aliens, cannon }: SpaceInvadersState): number {
  for (let distance = 0; distance < side; distance++) {
    const left = cannon - distance >= 0 ? lowest(aliens, cannon - distance) : undefined;
    const found = left ?? (cannon + distance < side ? lowest(aliens, cannon + distance) : undefined);
    if (found !== undefined) return found;
  }
  throw new RangeError("a grid without aliens");
}

/** Removes aliens that a bullet has met, and the bullets; returns how many. */
function hits({ aliens, bullets }: SpaceInvadersState): number {
  let sum = 0;
  for (let i = 0; i < cells; i++) {
    if (aliens[i] === 0 || bullets[i] === 0) continue;
    aliens[i] = 0;
    bullets[i] = 0;
    sum++;
  }
  return sum;
}
