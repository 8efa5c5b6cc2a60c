/** Experience replay: what happened, in a ring of typed arrays, and the n-step transitions that go into it. */
import { type Tensor, tensor, UserError } from "../../torch/index.ts";
import type { Observations } from "../environments/index.ts";

/** One step of learning: from an observation by an action to what came N steps later. */
export interface Transition {
  observation: Observations;
  action: number;
  /** Σ γ^l r over the steps between. */
  reward: number;
  next: Observations;
  /** γ^N, or 0 where the episode terminated on the way: there is no value beyond. */
  discount: number;
}

interface Pending {
  observation: Observations;
  action: number;
  reward: number;
}

/** Gathers N steps of each copy into transitions; shorter ones at an episode's end. */
export class StepQueue {
  #pending: Pending[][];
  readonly #length: number;
  readonly #gamma: number;
  readonly #bytes: boolean;

  constructor(copies: number, length: number, gamma: number, bytes: boolean) {
    this.#pending = Array.from({ length: copies }, () => []);
    this.#length = length;
    this.#gamma = gamma;
    this.#bytes = bytes;
  }

  /**
   * Adds one step of a copy and returns the transitions that it completes, in the order of their starts.
   * @param next what the step led to: at an episode's end its final observation
   * @param ended undefined while the episode goes on
   */
  add(
    copy: number,
    step: { observation: Observations; action: number; reward: number; next: Observations },
    ended: "terminated" | "truncated" | undefined,
  ): Transition[] {
    const queue = this.#pending[copy] ?? [];
    queue.push({ observation: step.observation.slice(), action: step.action, reward: step.reward });
    const complete = ended ? queue.length : Math.max(0, queue.length - this.#length + 1);
    const done = Array.from({ length: complete }, (_, i) => this.#transition(queue, i, step.next, ended));
    queue.splice(0, complete);
    return done;
  }

  #transition(queue: readonly Pending[], from: number, next: Observations, ended: string | undefined): Transition {
    const { observation, action } = queue[from] as Pending;
    let reward = 0;
    for (let i = queue.length - 1; i >= from; i--) reward = (queue[i] as Pending).reward + this.#gamma * reward;
    const discount = ended === "terminated" ? 0 : this.#gamma ** (queue.length - from);
    return { observation, action, reward, next, discount };
  }

  /** As plain JSON. */
  state(): unknown {
    return this.#pending.map((queue) => queue.map((step) => ({ ...step, observation: [...step.observation] })));
  }

  restore(state: unknown): void {
    const saved = state as (Omit<Pending, "observation"> & { observation: number[] })[][];
    const of = (values: readonly number[]) => (this.#bytes ? Uint8Array.from(values) : Float32Array.from(values));
    this.#pending = saved.map((queue) => queue.map((step) => ({ ...step, observation: of(step.observation) })));
  }
}

/** The last `capacity` transitions, each equally likely to be drawn. */
export class Replay {
  /** Transitions held. */
  size = 0;
  readonly capacity: number;
  readonly #elements: number;
  readonly #observations: Observations;
  readonly #next: Observations;
  readonly #actions: Int32Array;
  readonly #rewards: Float32Array;
  readonly #discounts: Float32Array;
  /** Position of the next transition: over the oldest once the ring is full. */
  #at = 0;

  constructor(capacity: number, elements: number, bytes: boolean) {
    const room = () => (bytes ? new Uint8Array(capacity * elements) : new Float32Array(capacity * elements));
    this.capacity = capacity;
    this.#elements = elements;
    this.#observations = room();
    this.#next = room();
    this.#actions = new Int32Array(capacity);
    this.#rewards = new Float32Array(capacity);
    this.#discounts = new Float32Array(capacity);
  }

  add({ observation, action, reward, next, discount }: Transition): void {
    const at = this.#at;
    this.#observations.set(observation, at * this.#elements);
    this.#next.set(next, at * this.#elements);
    this.#actions[at] = action;
    this.#rewards[at] = reward;
    this.#discounts[at] = discount;
    this.#at = (at + 1) % this.capacity;
    this.size = Math.min(this.capacity, this.size + 1);
  }

  /** The transitions at the given places of the ring. */
  gather(places: readonly number[]): {
    observations: Observations;
    next: Observations;
    actions: Int32Array;
    rewards: Float32Array;
    discounts: Float32Array;
  } {
    const rows = (from: Observations): Observations => {
      const d = this.#elements;
      const out = from instanceof Uint8Array ? new Uint8Array(places.length * d) : new Float32Array(places.length * d);
      for (const [i, place] of places.entries()) out.set(from.subarray(place * d, (place + 1) * d), i * d);
      return out;
    };
    return {
      observations: rows(this.#observations),
      next: rows(this.#next),
      actions: Int32Array.from(places, (place) => this.#actions[place] as number),
      rewards: Float32Array.from(places, (place) => this.#rewards[place] as number),
      discounts: Float32Array.from(places, (place) => this.#discounts[place] as number),
    };
  }

  /** Content as tensors that the caller disposes. */
  arrays(): Map<string, Tensor> {
    const { size } = this;
    return new Map([
      ["observations", tensor(this.#observations.subarray(0, size * this.#elements))],
      ["next", tensor(this.#next.subarray(0, size * this.#elements))],
      ["actions", tensor(this.#actions.subarray(0, size))],
      ["rewards", tensor(this.#rewards.subarray(0, size))],
      ["discounts", tensor(this.#discounts.subarray(0, size))],
    ]);
  }

  get at(): number {
    return this.#at;
  }

  /** @throws UserError when the arrays are not those of such a replay */
  restore(arrays: ReadonlyMap<string, Tensor>, at: number): void {
    const copy = (name: string, into: Observations | Int32Array): number => {
      const values = arrays.get(name)?.toTypedArray() as typeof into | undefined;
      if (!values || values.length > into.length) throw new UserError(`the saved replay's ${name} do not fit`);
      into.set(values);
      return values.length;
    };
    copy("observations", this.#observations);
    copy("next", this.#next);
    copy("rewards", this.#rewards);
    copy("discounts", this.#discounts);
    this.size = copy("actions", this.#actions);
    this.#at = at;
  }
}
