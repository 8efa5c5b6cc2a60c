/**
 * Any Gymnasium environment of Python, as `gym:ID`: n copies in one Python process behind the common interface, restarted within
 * the same step as everywhere. ID is a name that Gymnasium knows (`gym:CartPole-v1`, `gym:ALE/Breakout-v5`,
 * `gym:some_module:Name-v0`) or a class of a file (`gym:folder/file.py:Class`), which need not import Gymnasium.
 *
 * Atari games come as in Mnih et al. 2015 with Machado et al. 2018: 84x84 grey, the last 4 frames [4, 84, 84], frame skip 4 with
 * the maximum of two frames, 1 to 30 no-ops at the start, rewards clipped to their sign. Observations that are no Box are
 * flattened by Gymnasium; numbers other than 8-bit ones become float32.
 *
 * Each episode is seeded by the copy's seed and the episode's number. A state is those two and the actions since, and restoring
 * plays them again: exact for every environment that draws from Gymnasium's seeded generator alone.
 */
import { UserError } from "../../torch/index.ts";
import { checkState } from "../environments/local-environment.ts";
import type { Observations, StepResult, VectorEnvironment } from "../environments/types.ts";
import { type Actions, type Box, boxElements, type Discrete, type EnvironmentState } from "../environments/types.ts";
import { GymProcess } from "./gym-process.ts";

export interface AtariOptions {
  /** Rewards become -1, 0 or 1; by default those of Atari games do. Evaluation wants false. */
  clipRewards?: boolean;
  /** Up to so many no-ops begin an episode; 30 by default. */
  noopMax?: number;
  /** True when a lost life ends the episode; false by default (Machado et al. 2018). */
  terminalOnLifeLoss?: boolean;
  /** Probability that a frame repeats the last action; the environment's own by default, 0.25 in v5. */
  stickyActions?: number;
}

export interface GymOptions {
  /** The Python interpreter; by default HUB_PATHWAY_PYTHON, else python3. */
  python?: string;
  /** For games of ale-py. */
  atari?: AtariOptions;
}

/** Position of a copy: episode 0 is seeded with `seed`, later ones with a mix of both. */
interface Position {
  seed: number;
  episode: number;
  /** A number each, or for a Box a list. */
  actions: (number | number[])[];
}

interface Spaces {
  observation: Box;
  action: Discrete | Box;
  clipped: boolean;
}

const idPrefix = "gym:";
// Gymnasium takes any seed, the Arcade Learning Environment 31 bits.
const seedRange = 2 ** 31;

/**
 * Starts the Python process and the first episodes.
 * @throws ConfigError without Python or one of its packages; UserError for an unknown or unplayable environment
 */
export async function openGymEnvironment(
  id: string,
  options: GymOptions & { n?: number | undefined; seed?: number | undefined; maxSteps?: number | undefined } = {},
): Promise<GymEnvironment> {
  const { n = 1, seed = 0, maxSteps, atari = {} } = options;
  if (!Number.isSafeInteger(n) || n < 1) throw new RangeError(`${n} copies of an environment; at least 1`);
  const child = new GymProcess(options.python ?? process.env["HUB_PATHWAY_PYTHON"] ?? "python3", id);
  try {
    const { clipRewards = null, noopMax = 30, terminalOnLifeLoss = false, stickyActions = null } = atari;
    const request = { id: id.slice(idPrefix.length), n, maxSteps: maxSteps ?? null };
    const answer = await child.request(
      "O",
      json({ ...request, atari: { clipRewards, noopMax, terminalOnLifeLoss, stickyActions } }),
      "o",
    );
    const spaces = JSON.parse(answer.toString("utf8")) as Spaces;
    const environment = new GymEnvironment(id, n, child, spaces);
    await environment.reset(seed);
    return environment;
  } catch (error) {
    await child.close();
    throw error;
  }
}

export class GymEnvironment implements VectorEnvironment {
  readonly id: string;
  readonly n: number;
  readonly observationSpace: Box;
  readonly actionSpace: Discrete | Box;
  readonly #child: GymProcess;
  readonly #size: number;
  /** Numbers in one copy's action. */
  readonly #actionSize: number;
  readonly #result: StepResult;
  #positions: Position[] = [];

  constructor(id: string, n: number, child: GymProcess, { observation, action, clipped }: Spaces) {
    this.id = id;
    this.n = n;
    this.#child = child;
    this.observationSpace = withInfinities(observation);
    this.actionSpace = action.kind === "box" ? withInfinities(action) : action;
    this.#size = boxElements(observation);
    this.#actionSize = action.kind === "box" ? boxElements(action) : 1;
    const values = () =>
      observation.dtype === "uint8" ? new Uint8Array(n * this.#size) : new Float32Array(n * this.#size);
    this.#result = {
      observations: values(),
      rewards: new Float32Array(n),
      terminated: new Uint8Array(n),
      truncated: new Uint8Array(n),
      ...(clipped ? { wholeRewards: new Float32Array(n) } : {}),
      finalObservations: values(),
    };
  }

  reset(seed?: number): Promise<Observations> {
    const next = (i: number): Position =>
      seed === undefined
        ? { ...(this.#positions[i] as Position), episode: (this.#positions[i] as Position).episode + 1, actions: [] }
        : { seed: (seed + i) % seedRange, episode: 0, actions: [] };
    return this.#goTo(Array.from({ length: this.n }, (_, i) => next(i)));
  }

  /** @throws RangeError for actions outside the space, UserError when the environment fails or Python ends */
  async step(actions: Actions): Promise<StepResult> {
    this.#checkActions(actions);
    const bytes = new Uint8Array(actions.buffer, actions.byteOffset, actions.byteLength);
    // A copy, since the caller may change the array before it is written.
    const answer = await this.#child.request("S", bytes.slice(), "s");
    this.#unpack(answer);
    for (const [i, position] of this.#positions.entries()) this.#advance(position, i, actions);
    return this.#result;
  }

  state(): EnvironmentState {
    return { environment: this.id, copies: structuredClone(this.#positions) };
  }

  /** @throws UserError when the state is not one of this environment with as many copies */
  async restore(saved: EnvironmentState): Promise<Observations> {
    checkState(saved, this.id, this.n);
    return await this.#goTo(saved.copies.map((copy, i) => this.#checkPosition(copy, i)));
  }

  close(): Promise<void> {
    return this.#child.close();
  }

  async #goTo(positions: Position[]): Promise<Observations> {
    const answer = await this.#child.request("R", json({ copies: positions }), "b");
    copyBytes(answer, this.#result.observations);
    this.#positions = structuredClone(positions);
    return this.#result.observations;
  }

  #checkActions(actions: Actions): void {
    const { kind } = this.actionSpace;
    const [Wanted, name] = kind === "discrete" ? [Int32Array, "Int32Array"] : [Float32Array, "Float32Array"];
    if (!(actions instanceof Wanted) || actions.length !== this.n * this.#actionSize)
      throw new RangeError(`${this.id} takes an ${name} of ${this.n} x ${this.#actionSize} numbers`);
    if (this.actionSpace.kind === "box") return;
    const { n } = this.actionSpace;
    const wrong = (actions as Int32Array).findIndex((action) => action < 0 || action >= n);
    if (wrong >= 0) throw new RangeError(`action ${actions[wrong]} of copy ${wrong}; ${this.id} has 0 … ${n - 1}`);
  }

  #unpack(answer: Buffer): void {
    const { observations, rewards, terminated, truncated, wholeRewards, finalObservations } = this.#result;
    let at = 0;
    for (const part of [observations, rewards, terminated, truncated, ...(wholeRewards ? [wholeRewards] : [])]) {
      copyBytes(answer.subarray(at, at + part.byteLength), part);
      at += part.byteLength;
    }
    for (let i = 0; i < this.n; i++) {
      if (terminated[i] === 0 && truncated[i] === 0) continue;
      const row = finalObservations.subarray(i * this.#size, (i + 1) * this.#size);
      copyBytes(answer.subarray(at, at + row.byteLength), row);
      at += row.byteLength;
    }
  }

  #advance(position: Position, i: number, actions: Actions): void {
    if (this.#result.terminated[i] === 1 || this.#result.truncated[i] === 1) {
      position.episode++;
      position.actions = [];
    } else if (this.actionSpace.kind === "discrete") position.actions.push(actions[i] as number);
    else position.actions.push([...actions.subarray(i * this.#actionSize, (i + 1) * this.#actionSize)]);
  }

  #checkPosition(copy: unknown, i: number): Position {
    const { seed, episode, actions } = (copy ?? {}) as Partial<Position>;
    const numbers = Array.isArray(actions) && actions.flat().every((value) => typeof value === "number");
    if (Number.isSafeInteger(seed) && Number.isSafeInteger(episode) && numbers) return copy as Position;
    throw new UserError(`the saved state of ${this.id}, copy ${i}, cannot be used: it lacks seed, episode and actions`);
  }
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value), "utf8");
}

function copyBytes(from: Uint8Array, to: Uint8Array | Float32Array): void {
  new Uint8Array(to.buffer, to.byteOffset, to.byteLength).set(from);
}

/** JSON has no infinity: null stands for it. */
function withInfinities(box: Box): Box {
  const fill = (bound: Box["low"] | null, infinity: number): Box["low"] =>
    typeof bound === "number" ? bound : (bound?.map((value: number | null) => value ?? infinity) ?? infinity);
  return { ...box, low: fill(box.low, Number.NEGATIVE_INFINITY), high: fill(box.high, Number.POSITIVE_INFINITY) };
}
