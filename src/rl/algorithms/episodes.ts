/** Returns, scores and lengths of the episodes that a batch of environments plays. */
import type { StepResult } from "../environments/index.ts";

/** Returns are averaged over so many episodes. */
const windowSize = 100;

export interface Episode {
  /** Sum of the rewards that are learned from. */
  return: number;
  /** Sum of the game's own rewards, where those that are learned from are clipped. */
  score?: number;
  length: number;
}

interface MeterState {
  running: Episode[];
  recent: Episode[];
  count: number;
}

export class EpisodeMeter {
  /** Episodes that ended so far. */
  count = 0;
  #running: Episode[];
  #recent: Episode[] = [];
  #ended: Episode[] = [];

  constructor(copies: number) {
    this.#running = Array.from({ length: copies }, () => ({ return: 0, length: 0 }));
  }

  add({ rewards, wholeRewards, terminated, truncated }: StepResult): void {
    for (const [i, episode] of this.#running.entries()) {
      episode.return += rewards[i] ?? 0;
      if (wholeRewards) episode.score = (episode.score ?? 0) + (wholeRewards[i] ?? 0);
      episode.length += 1;
      if (!terminated[i] && !truncated[i]) continue;
      this.#ended.push(episode);
      this.#recent.push(episode);
      this.count += 1;
      this.#running[i] = { return: 0, length: 0 };
    }
    if (this.#recent.length > windowSize) this.#recent = this.#recent.slice(-windowSize);
  }

  /** Episodes that ended since this was asked last. */
  take(): Episode[] {
    const ended = this.#ended;
    this.#ended = [];
    return ended;
  }

  /** Means over the last 100 episodes; undefined before the first one ends. */
  get means(): Episode | undefined {
    const n = this.#recent.length;
    if (n === 0) return undefined;
    const mean = (of: (episode: Episode) => number) => this.#recent.reduce((sum, episode) => sum + of(episode), 0) / n;
    const means = { return: mean((episode) => episode.return), length: mean((episode) => episode.length) };
    if (this.#recent[0]?.score === undefined) return means;
    return { ...means, score: mean((episode) => episode.score ?? 0) };
  }

  state(): MeterState {
    return structuredClone({ running: this.#running, recent: this.#recent, count: this.count });
  }

  restore(state: MeterState): void {
    this.#running = structuredClone(state.running);
    this.#recent = structuredClone(state.recent);
    this.#ended = [];
    this.count = state.count;
  }
}
