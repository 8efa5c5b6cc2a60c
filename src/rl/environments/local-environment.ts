/** Batches of an environment that is played in this process: copies, time limits, sticky actions, restarts and saving. */
import { UserError } from "../../torch/index.ts";
import { type Random, RandomStream } from "./random-stream.ts";
import type { Observations, StepResult, VectorEnvironment } from "./types.ts";
import { type Actions, type Box, boxElements, type Discrete, type EnvironmentState } from "./types.ts";

/** Field that every environment's state has: true when its episode is over. */
export interface Ending {
  over: boolean;
}

/**
 * The rules of one environment. A state is a plain object of numbers, booleans, arrays, such objects and Uint8Arrays;
 * it holds all that the next step depends on.
 */
export interface Rules<State extends Ending> {
  readonly id: string;
  readonly observationSpace: Box;
  /** Meaning of each action, by index. */
  readonly actions: readonly string[];
  /** Steps after which an episode is truncated; Infinity for none. */
  readonly maxSteps: number;
  /** The state at the start of an episode. */
  start(random: Random): State;
  /** Plays one step, changing the state; returns the reward. */
  step(state: State, action: number, random: Random): number;
  /** Writes the observation into `out` from `at` on. */
  observe(state: State, out: Observations, at: number): void;
}

export interface LocalOptions {
  /** Number of copies; 1 by default. */
  n?: number | undefined;
  /** Copy i draws from the stream of seed + i; 0 by default. */
  seed?: number | undefined;
  /** Steps after which an episode is truncated; the environment's own number by default. */
  maxSteps?: number | undefined;
  /** With this probability a copy repeats its last action instead of the given one (Machado et al. 2018). */
  stickyActions?: number | undefined;
}

interface Copy<State> {
  state: State;
  random: RandomStream;
  lastAction: number;
  steps: number;
}

export class LocalEnvironment<State extends Ending = Ending> implements VectorEnvironment {
  readonly id: string;
  readonly n: number;
  readonly observationSpace: Box;
  readonly actionSpace: Discrete;
  readonly #rules: Rules<State>;
  readonly #sticky: number;
  readonly #maxSteps: number;
  readonly #size: number;
  readonly #result: StepResult;
  #copies: Copy<State>[];

  /** Every copy starts its first episode. */
  constructor(rules: Rules<State>, options: LocalOptions = {}) {
    const { n = 1, seed = 0, maxSteps = rules.maxSteps, stickyActions = 0 } = options;
    if (!Number.isSafeInteger(n) || n < 1) throw new RangeError(`${n} copies of an environment; at least 1`);
    if (!(maxSteps >= 1)) throw new RangeError(`an episode of ${maxSteps} steps; at least 1`);
    if (!(stickyActions >= 0 && stickyActions <= 1))
      throw new RangeError(`stickyActions ${stickyActions} not in 0 … 1`);
    this.id = rules.id;
    this.n = n;
    this.observationSpace = rules.observationSpace;
    this.actionSpace = { kind: "discrete", n: rules.actions.length, names: rules.actions };
    this.#rules = rules;
    this.#sticky = stickyActions;
    this.#maxSteps = maxSteps;
    this.#size = boxElements(rules.observationSpace);
    const values = () =>
      rules.observationSpace.dtype === "uint8" ? new Uint8Array(n * this.#size) : new Float32Array(n * this.#size);
    this.#result = {
      observations: values(),
      rewards: new Float32Array(n),
      terminated: new Uint8Array(n),
      truncated: new Uint8Array(n),
      finalObservations: values(),
    };
    this.#copies = Array.from({ length: n }, (_, i) => this.#fresh(seed + i));
    this.#observeAll();
  }

  reset(seed?: number): Observations {
    if (seed === undefined) for (const copy of this.#copies) this.#startEpisode(copy);
    else this.#copies = this.#copies.map((_, i) => this.#fresh(seed + i));
    return this.#observeAll();
  }

  /** @throws RangeError unless there is one action of the space for each copy */
  step(actions: Actions): StepResult {
    if (actions.length !== this.n) throw new RangeError(`${actions.length} actions for ${this.n} copies of ${this.id}`);
    for (let i = 0; i < this.n; i++) this.#stepCopy(i, actions[i] as number);
    return this.#result;
  }

  #stepCopy(i: number, chosen: number): void {
    if (!(chosen >= 0 && chosen < this.actionSpace.n) || chosen !== Math.floor(chosen))
      throw new RangeError(`action ${chosen} of copy ${i}; ${this.id} has 0 … ${this.actionSpace.n - 1}`);
    const copy = this.#copies[i] as Copy<State>;
    const { observations, finalObservations, rewards, terminated, truncated } = this.#result;
    const action = this.#sticky > 0 && copy.random.chance(this.#sticky) ? copy.lastAction : chosen;
    copy.lastAction = action;
    rewards[i] = this.#rules.step(copy.state, action, copy.random);
    copy.steps++;
    terminated[i] = Number(copy.state.over);
    truncated[i] = Number(copy.steps >= this.#maxSteps);
    const at = i * this.#size;
    if (copy.state.over || copy.steps >= this.#maxSteps) {
      this.#rules.observe(copy.state, finalObservations, at);
      this.#startEpisode(copy);
    }
    this.#rules.observe(copy.state, observations, at);
  }

  state(): EnvironmentState {
    const copies = this.#copies.map(({ state, random, lastAction, steps }) => ({
      state: plain(state),
      random: random.state(),
      lastAction,
      steps,
    }));
    return { environment: this.id, copies };
  }

  /** @throws UserError when the state is not one of this environment with as many copies */
  restore(saved: EnvironmentState): Observations {
    checkState(saved, this.id, this.n);
    this.#copies = saved.copies.map((copy, i) => this.#revive(copy, i));
    return this.#observeAll();
  }

  close(): void {}

  #fresh(seed: number): Copy<State> {
    const random = new RandomStream(seed);
    return { state: this.#rules.start(random), random, lastAction: 0, steps: 0 };
  }

  /** The random stream and the last action live on from one episode to the next, as in the MinAtar reference. */
  #startEpisode(copy: Copy<State>): void {
    copy.state = this.#rules.start(copy.random);
    copy.steps = 0;
  }

  #observeAll(): Observations {
    const { observations } = this.#result;
    for (const [i, copy] of this.#copies.entries()) this.#rules.observe(copy.state, observations, i * this.#size);
    return observations;
  }

  #revive(saved: unknown, i: number): Copy<State> {
    const copy = this.#fresh(0);
    const { state, random, lastAction, steps } = (saved ?? {}) as Record<string, unknown>;
    try {
      copy.random.restore(random);
      copy.state = alike(copy.state, state) as State;
      copy.lastAction = alike(copy.lastAction, lastAction) as number;
      copy.steps = alike(copy.steps, steps) as number;
      return copy;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new UserError(`the saved state of ${this.id}, copy ${i}, cannot be used: ${why}`);
    }
  }
}

/** @throws UserError unless the state is of this environment with n copies */
export function checkState(saved: EnvironmentState, id: string, n: number): void {
  const copies = Array.isArray(saved?.copies) ? saved.copies.length : "no";
  if (saved?.environment === id && copies === n) return;
  throw new UserError(
    `the saved state is of ${saved?.environment} with ${copies} copies, this environment is ${id} with ${n}; resume with the run's own options`,
  );
}

/** A deep copy as JSON has it: typed arrays become arrays. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return [...value];
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}

/** The saved value in the form of a sample, deep copied. @throws RangeError when it has another form. */
function alike(sample: unknown, saved: unknown, name = "value"): unknown {
  if (sample instanceof Uint8Array) {
    if (Array.isArray(saved) && saved.length === sample.length) return Uint8Array.from(saved);
  } else if (Array.isArray(sample)) {
    if (Array.isArray(saved)) return structuredClone(saved);
  } else if (typeof sample === "object" && sample !== null) {
    if (typeof saved === "object" && saved !== null) {
      const values = saved as Record<string, unknown>;
      return Object.fromEntries(Object.entries(sample).map(([key, inner]) => [key, alike(inner, values[key], key)]));
    }
  } else if (typeof saved === typeof sample) return saved;
  throw new RangeError(`${name} is ${JSON.stringify(saved)?.slice(0, 60)}`);
}
