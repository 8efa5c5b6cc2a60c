/** Returns and lengths of the episodes that a batch of environments plays. */
import type { StepResult } from "../environments/index.ts";

/** Returns are averaged over so many episodes. */
const windowSize = 100;

interface MeterState {
  returns: number[];
  lengths: number[];
  recent: { return: number; length: number }[];
  count: number;
}

export class EpisodeMeter {
  /** Episodes that ended so far. */
  count = 0;
  readonly #returns: number[];
  readonly #lengths: number[];
  #recent: { return: number; length: number }[] = [];
  #ended: { return: number; length: number }[] = [];

  constructor(copies: number) {
    this.#returns = new Array<number>(copies).fill(0);
    this.#lengths = new Array<number>(copies).fill(0);
  }

  add({ rewards, terminated, truncated }: StepResult): void {
    for (let i = 0; i < rewards.length; i++) {
      this.#returns[i] = (this.#returns[i] ?? 0) + (rewards[i] ?? 0);
      this.#lengths[i] = (this.#lengths[i] ?? 0) + 1;
      if (!terminated[i] && !truncated[i]) continue;
      const episode = { return: this.#returns[i] ?? 0, length: this.#lengths[i] ?? 0 };
      this.#ended.push(episode);
      this.#recent.push(episode);
      this.count += 1;
      this.#returns[i] = 0;
      this.#lengths[i] = 0;
    }
    if (this.#recent.length > windowSize) this.#recent = this.#recent.slice(-windowSize);
  }

  /** Episodes that ended since this was asked last. */
  take(): { return: number; length: number }[] {
    const ended = this.#ended;
    this.#ended = [];
    return ended;
  }

  /** Means over the last 100 episodes; undefined before the first one ends. */
  get means(): { return: number; length: number } | undefined {
    const n = this.#recent.length;
    if (n === 0) return undefined;
    const mean = (of: "return" | "length") => this.#recent.reduce((sum, episode) => sum + episode[of], 0) / n;
    return { return: mean("return"), length: mean("length") };
  }

  state(): MeterState {
    return { returns: [...this.#returns], lengths: [...this.#lengths], recent: [...this.#recent], count: this.count };
  }

  restore(state: MeterState): void {
    for (const [i, value] of state.returns.entries()) this.#returns[i] = value;
    for (const [i, value] of state.lengths.entries()) this.#lengths[i] = value;
    this.#recent = [...state.recent];
    this.#ended = [];
    this.count = state.count;
  }
}
