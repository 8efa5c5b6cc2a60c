/**
 * The one interface of environments, after Gymnasium's vector environments (Towers et al. 2024): n copies in parallel,
 * reset/step/terminated/truncated and spaces under the same names.
 *
 * [n, ...shape]: n copies, each with an observation of the space's shape.
 *
 * - An ended copy restarts within the same step (Gymnasium's AutoresetMode.SAME_STEP): `observations` then holds the
 *   first observation of its next episode and `finalObservations` the last one of the ended episode.
 * - Copy i of seed s plays as a single environment of seed s + i, as in Gymnasium. Take seeds far apart for separate runs
 *   (`seedOf` of src/torch).
 * - In-process environments answer at once, bridged ones with a promise. A loop awaits each step of either: a step of
 *   all copies then costs one turn of the microtask queue, and nothing else.
 */

/** A space of real or 8-bit numbers; a bound is one number for all elements or one for each. */
export interface Box {
  readonly kind: "box";
  readonly shape: readonly number[];
  readonly dtype: "float32" | "uint8";
  readonly low: number | readonly number[];
  readonly high: number | readonly number[];
}

/** The integers 0 … n - 1. */
export interface Discrete {
  readonly kind: "discrete";
  readonly n: number;
  /** Meaning of each one, where that is known. */
  readonly names?: readonly string[];
}

export type Observations = Float32Array | Uint8Array;

/** Discrete actions [n] as Int32Array; actions of a Box [n, ...shape] as Float32Array. */
export type Actions = Int32Array | Float32Array;

/** The arrays of one step; the next step writes over them, so copy what must stay. */
export interface StepResult {
  /** Array [n, ...shape] of what each copy shows now; after its episode's end, the first observation of the next one. */
  readonly observations: Observations;
  /** [n] */
  readonly rewards: Float32Array;
  /** Array [n] of the game's own rewards, where `rewards` are clipped. */
  readonly wholeRewards?: Float32Array;
  /** [n], 1 where the episode ended by the environment's own rules: there is no value beyond. */
  readonly terminated: Uint8Array;
  /** [n], 1 where the episode was cut off (a time limit): the value of the final observation still counts. */
  readonly truncated: Uint8Array;
  /** Array [n, ...shape] of the last observation of the copies that are terminated or truncated; other rows mean nothing. */
  readonly finalObservations: Observations;
}

/** Everything that decides how the copies go on, as plain JSON. */
export interface EnvironmentState {
  readonly environment: string;
  readonly copies: readonly unknown[];
}

export interface VectorEnvironment {
  readonly id: string;
  readonly n: number;
  /** Space of one copy's observations. */
  readonly observationSpace: Box;
  /** Space of one copy's actions. */
  readonly actionSpace: Discrete | Box;
  /** Starts a new episode in every copy and returns the first observations; without a seed the random streams go on. */
  reset(seed?: number): Observations | Promise<Observations>;
  /** Plays one step in every copy. */
  step(actions: Actions): StepResult | Promise<StepResult>;
  /** State from which `restore` continues bit for bit. */
  state(): EnvironmentState;
  /** Continues from a saved state; returns the observations at that point. A refused state changes nothing. */
  restore(state: EnvironmentState): Observations | Promise<Observations>;
  close(): void | Promise<void>;
}

/** Elements of one observation or action of a Box. */
export function boxElements(box: Box): number {
  return box.shape.reduce((product, size) => product * size, 1);
}
