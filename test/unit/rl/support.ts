/** Shared parts of tests of environments: observations as pictures, and random draws that are given. */

import { type Ending, type Random, RandomStream, renderText } from "../../../src/rl/environments/index.ts";
import { cells, type GridGame } from "../../../src/rl/environments/minatar/grid.ts";

/** Draws that are not to happen in a test, or that do not matter. */
export const anyRandom: Random = new RandomStream(7);

/** Answers with the given draws in turn: for `chance` a number of 0 to 1 that is compared, for `below` the index. */
export function scripted(draws: readonly number[]): Random & { left(): number } {
  let next = 0;
  const draw = () => {
    const value = draws[next++];
    if (value === undefined) throw new Error("the rules draw more often than the test says");
    return value;
  };
  return {
    chance: (p) => draw() < p,
    below: draw,
    uniform: () => {
      throw new Error("not drawn here");
    },
    left: () => draws.length - next,
  };
}

/** The observation [channels, 10, 10] of a state. */
export function observe<State extends Ending>(game: GridGame<State>, state: State): Uint8Array {
  const out = new Uint8Array(game.channels.length * cells);
  game.draw(state, out, 0);
  return out;
}

/** The cells of one channel that are set, as "x,y" in reading order. */
export function cellsOf<State extends Ending>(game: GridGame<State>, state: State, channel: string): string[] {
  const index = game.channels.findIndex(({ name }) => name === channel);
  const grid = observe(game, state).subarray(index * cells, (index + 1) * cells);
  return [...grid.keys()].filter((i) => grid[i] === 1).map((i) => `${i % 10},${Math.floor(i / 10)}`);
}

/** The picture of a state with dots for empty cells, so that a test shows rows of ten characters. */
export function picture<State extends Ending>(game: GridGame<State>, state: State): string[] {
  return renderText(game, observe(game, state)).replaceAll(" ", "_").split("\n");
}

/** The state at the start with some members replaced. */
export function situation<State extends Ending>(game: GridGame<State>, changes: Partial<State>): State {
  return { ...game.start(new RandomStream(0)), ...changes };
}
