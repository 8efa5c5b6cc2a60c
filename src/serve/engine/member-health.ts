/** Members that fail or are too slow rest for a while, so that not every batch waits for them. */

export interface HealthOptions {
  /** Milliseconds that a member may take for its part of a batch. */
  readonly slowMs: number;
  /** Milliseconds that it rests after a failure; doubled at each further one, to 32 times as long. */
  readonly restMs?: number | undefined;
  readonly onFailure?: ((member: number, reason: string) => void) | undefined;
  readonly now?: (() => number) | undefined;
}

const longest = 32;

export class MemberHealth {
  readonly #options: HealthOptions;
  readonly #resting = new Map<number, { until: number; ms: number }>();

  constructor(options: HealthOptions) {
    this.#options = options;
  }

  /** Members that are not to be asked now. */
  resting(): number[] {
    return [...this.#resting].filter(([, { until }]) => until > this.#now()).map(([member]) => member);
  }

  /**
   * Runs a member's work. False when it threw or did not end in time: then it rests. What a synchronous runtime brings late is
   * still taken, since it is there, but the member rests.
   */
  async watch(member: number, work: () => Promise<void>): Promise<boolean> {
    const { slowMs, onFailure } = this.#options;
    const began = this.#now();
    const late = alarm(slowMs);
    try {
      const running = work();
      const inTime = await Promise.race([running.then(() => true), late.rung]);
      if (!inTime) running.catch(() => {});
      const isSlow = this.#now() - began > slowMs;
      if (isSlow || !inTime) this.#rest(member);
      else this.#resting.delete(member);
      if (isSlow || !inTime) onFailure?.(member, `it took longer than ${slowMs} ms`);
      return inTime;
    } catch (error) {
      this.#rest(member);
      onFailure?.(member, error instanceof Error ? error.message : String(error));
      return false;
    } finally {
      late.stop();
    }
  }

  #rest(member: number): void {
    const { restMs = 1000 } = this.#options;
    const ms = Math.min(restMs * longest, (this.#resting.get(member)?.ms ?? restMs / 2) * 2);
    this.#resting.set(member, { until: this.#now() + ms, ms });
  }

  #now(): number {
    return (this.#options.now ?? performance.now.bind(performance))();
  }
}

function alarm(ms: number): { rung: Promise<false>; stop: () => void } {
  let timer: NodeJS.Timeout | undefined;
  const rung = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  return { rung, stop: () => clearTimeout(timer) };
}
