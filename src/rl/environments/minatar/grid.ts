/**
 * Shared rules of the five MinAtar games (Young and Tian 2019, arXiv 1903.03176): a 10x10 grid whose channels name
 * objects, six keys, sticky actions and a difficulty that may rise. The rules are those that version 1.0.15 of the
 * authors' package plays; their order within a step matters and is numbered on top of each game.
 *
 * Observations are [channels, 10, 10] of 0 and 1 (the package's are [10, 10, channels]). x grows to the right, y downwards.
 *
 * As in the package, with probability 0.1 a step repeats the last key instead of the given one. The first key counts as
 * noop; a new episode keeps the last key of the one before. Episodes have no time limit, apart from Freeway's own.
 */
import { type Ending, LocalEnvironment, type LocalOptions } from "../local-environment.ts";
import type { Random } from "../random-stream.ts";
import type { Box, Observations } from "../types.ts";

export const side = 10;
export const cells = side * side;

/** In the package's order. */
export const keys = ["noop", "left", "up", "right", "down", "fire"] as const;
export type Key = (typeof keys)[number];

/** One kind of object of a game. */
export interface Channel {
  readonly name: string;
  /** Its character in a terminal. */
  readonly symbol: string;
}

export interface GridGame<State extends Ending> {
  /** After `minatar:` in the environment's name. */
  readonly name: string;
  readonly channels: readonly Channel[];
  /** The keys that do something in this game, and noop. */
  readonly usedKeys: readonly Key[];
  start(random: Random): State;
  /** Plays one step, changing the state; returns the reward. */
  step(state: State, key: Key, random: Random, ramping: boolean): number;
  /** Sets the cells of all objects in `out`, which is cleared, from `at` on. */
  draw(state: State, out: Observations, at: number): void;
}

export interface MinAtarOptions {
  /** Probability that a step repeats the last key; 0.1 by default. */
  stickyActions?: number | undefined;
  /** True when the difficulty rises in the games that have it; true by default. */
  ramping?: boolean | undefined;
  /** Only the keys that do something, instead of all six; false by default, as in the paper's results. */
  minimalActions?: boolean | undefined;
}

/** An environment whose observations are grids with named channels. */
export class GridEnvironment<State extends Ending = Ending> extends LocalEnvironment<State> {
  readonly channels: readonly Channel[];

  constructor(game: GridGame<State>, options: LocalOptions, { stickyActions = 0.1, ...rest }: MinAtarOptions = {}) {
    super(gridRules(game, rest), { ...options, stickyActions });
    this.channels = game.channels;
  }
}

function gridRules<State extends Ending>(game: GridGame<State>, options: MinAtarOptions) {
  const { ramping = true, minimalActions = false } = options;
  const actions = minimalActions ? game.usedKeys : keys;
  const size = game.channels.length * cells;
  const observationSpace: Box = {
    kind: "box",
    shape: [game.channels.length, side, side],
    dtype: "uint8",
    low: 0,
    high: 1,
  };
  return {
    id: `minatar:${game.name}`,
    observationSpace,
    actions,
    maxSteps: Number.POSITIVE_INFINITY,
    start: (random: Random) => game.start(random),
    step: (state: State, action: number, random: Random) => game.step(state, actions[action] as Key, random, ramping),
    observe(state: State, out: Observations, at: number) {
      out.fill(0, at, at + size);
      game.draw(state, out, at);
    },
  };
}

/** The offset of a cell in an observation. */
export function cell(channel: number, x: number, y: number): number {
  return channel * cells + y * side + x;
}

/** The coordinate limited to low … high. */
export function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}

/** One cell further in the given direction. */
export function ahead(x: number, right: boolean): number {
  return right ? x + 1 : x - 1;
}

export function inside(x: number): boolean {
  return x >= 0 && x < side;
}
