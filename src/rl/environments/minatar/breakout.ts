/**
 * MinAtar Breakout: a paddle at the bottom keeps a ball in play that breaks three rows of bricks.
 *
 * Start: paddle at x 4 of row 9; bricks in rows 1 to 3; the ball in row 3, at x 0 going down-right or at x 9 going down-left.
 * Each step:
 * 1. left and right move the paddle by one cell, within the grid.
 * 2. The ball moves one cell along its diagonal; the trail is where it was. A side wall stops it at the wall's column and
 *    turns it sideways.
 * 3. One of these, by the cell the ball would enter:
 *    - above the grid: it stays in row 0 and turns down;
 *    - a brick, when the step before met none: +1, the brick goes, the ball stays in its row and turns up or down;
 *    - a brick, when the step before met one too: it flies on into the brick's cell, and the brick stays;
 *    - row 9: when no brick is left all three rows come back. A paddle right below the ball's old column turns it up; a
 *      paddle in the column it moves to turns it back where it came from; either leaves it in its row. Else the game is over.
 * The difficulty does not rise.
 */
import { cell, cells, clamp, type GridGame, side } from "./grid.ts";

export interface BreakoutState {
  paddle: number;
  x: number;
  y: number;
  /** The ball's direction, -1 or 1 each. */
  dx: number;
  dy: number;
  trailX: number;
  trailY: number;
  /** True when the ball met a brick in the step before. */
  struck: boolean;
  /** [10, 10], 1 where a brick is. */
  bricks: Uint8Array;
  over: boolean;
}

const [firstBrick, endOfBricks] = [side, 4 * side];

export const breakout: GridGame<BreakoutState> = {
  name: "breakout",
  channels: [
    { name: "paddle", symbol: "=" },
    { name: "ball", symbol: "o" },
    { name: "trail", symbol: "." },
    { name: "brick", symbol: "#" },
  ],
  usedKeys: ["noop", "left", "right"],

  start(random) {
    const fromLeft = random.below(2) === 0;
    const x = fromLeft ? 0 : 9;
    return {
      paddle: 4,
      x,
      y: 3,
      dx: fromLeft ? 1 : -1,
      dy: 1,
      trailX: x,
      trailY: 3,
      struck: false,
      bricks: new Uint8Array(cells).fill(1, firstBrick, endOfBricks),
      over: false,
    };
  },

  step(state, key) {
    if (key === "left") state.paddle = clamp(state.paddle - 1, 0, 9);
    else if (key === "right") state.paddle = clamp(state.paddle + 1, 0, 9);
    return moveBall(state);
  },

  draw(state, out, at) {
    out[at + cell(0, state.paddle, 9)] = 1;
    out[at + cell(1, state.x, state.y)] = 1;
    out[at + cell(2, state.trailX, state.trailY)] = 1;
    const { bricks } = state;
    const first = at + cell(3, 0, 0);
    for (let i = firstBrick; i < endOfBricks; i++) out[first + i] = bricks[i] as number;
  },
};

function moveBall(state: BreakoutState): number {
  const { x: oldX, y: oldY, bricks } = state;
  let reward = 0;
  let y = oldY + state.dy;
  const x = clamp(oldX + state.dx, 0, 9);
  if (x !== oldX + state.dx) state.dx = -state.dx;

  const meetsBrick = y >= 0 && bricks[y * side + x] === 1;
  if (y < 0) {
    y = 0;
    state.dy = 1;
  } else if (meetsBrick && !state.struck) {
    reward = 1;
    bricks[y * side + x] = 0;
    y = oldY;
    state.dy = -state.dy;
  } else if (!meetsBrick && y === 9) {
    if (!bricks.includes(1)) bricks.fill(1, firstBrick, endOfBricks);
    if (oldX === state.paddle || x === state.paddle) {
      if (oldX !== state.paddle) state.dx = -state.dx;
      state.dy = -state.dy;
      y = oldY;
    } else state.over = true;
  }
  state.struck = meetsBrick;
  state.x = x;
  state.y = y;
  state.trailX = oldX;
  state.trailY = oldY;
  return reward;
}
