/** Progress of a training, gathered into one event about every thousand steps. */
import type { EpisodeMeter } from "../algorithms/episodes.ts";
import type { EmitAgent } from "./events.ts";

export class Reporter {
  readonly #totalSteps: number;
  readonly #episodes: EpisodeMeter;
  readonly #emit: EmitAgent;
  #steps = 0;
  #played = 0;
  #seconds = 0;
  #logs: Record<string, number> = {};
  #rows: number[] = [];

  constructor(totalSteps: number, episodes: EpisodeMeter, emit: EmitAgent) {
    this.#totalSteps = totalSteps;
    this.#episodes = episodes;
    this.#emit = emit;
  }

  add(steps: number, played: number, seconds: number, logs: Record<string, number>, rows: readonly number[]): void {
    this.#steps = steps;
    this.#played += played;
    this.#seconds += seconds;
    this.#logs = logs;
    for (const [i, count] of rows.entries()) this.#rows[i] = (this.#rows[i] ?? 0) + count;
    if (this.#played >= 1000) this.flush();
  }

  flush(): void {
    if (this.#played === 0) return;
    const ended = this.#episodes.take();
    const { means } = this.#episodes;
    const total = this.#rows.reduce((sum, count) => sum + count, 0);
    this.#emit({
      type: "progress",
      steps: this.#steps,
      totalSteps: this.#totalSteps,
      returns: ended.map((episode) => episode.return),
      ...(means?.score === undefined ? {} : { scores: ended.map((episode) => episode.score ?? 0) }),
      lengths: ended.map((episode) => episode.length),
      ...(means ? { meanReturn: means.return, meanLength: means.length } : {}),
      ...(means?.score === undefined ? {} : { meanScore: means.score }),
      stepsPerSecond: this.#played / Math.max(1e-9, this.#seconds),
      ...(total > 0 ? { shares: this.#rows.map((count) => count / total) } : {}),
      logs: this.#logs,
    });
    this.#played = 0;
    this.#seconds = 0;
    this.#rows = [];
  }
}
