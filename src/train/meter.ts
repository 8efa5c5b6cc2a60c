/** Running means of an epoch, which a checkpoint keeps so that a resumed epoch logs what an uninterrupted one does. */
import { z } from "zod";
import type { RunEvent } from "./events.ts";
import type { TaskMetrics } from "./metrics.ts";

const count = z.int().nonnegative();

/** Sums over the steps of an epoch so far. */
export const meterState = z.strictObject({
  loss: z.number(),
  steps: count,
  images: count,
  seconds: z.number().nonnegative(),
  /** Rows that each model computed; null when the learner does not route. */
  rows: z.array(count).nullable(),
  /** Steps left out in a row, up to the last one. */
  skipped: count,
});

export type MeterState = z.infer<typeof meterState>;

const empty: MeterState = { loss: 0, steps: 0, images: 0, seconds: 0, rows: null, skipped: 0 };

/** Figures of one step. */
export interface MeteredStep {
  loss: number;
  images: number;
  seconds: number;
  rows?: readonly number[] | undefined;
}

export class Meter {
  readonly #sums: MeterState;

  constructor(state: MeterState = empty) {
    this.#sums = structuredClone(state);
  }

  /** A copy of the sums. */
  get state(): MeterState {
    return structuredClone(this.#sums);
  }

  /** True when no step was counted. */
  get isEmpty(): boolean {
    return this.#sums.steps === 0;
  }

  add({ loss, images, seconds, rows }: MeteredStep): void {
    const sums = this.#sums;
    sums.loss += loss;
    sums.steps += 1;
    sums.images += images;
    sums.seconds += seconds;
    sums.skipped = 0;
    if (!rows) return;
    sums.rows = rows.map((own, i) => own + (sums.rows?.[i] ?? 0));
  }

  /** Counts a step that was left out. @returns how many there were in a row */
  skip(seconds: number): number {
    this.#sums.seconds += seconds;
    this.#sums.skipped += 1;
    return this.#sums.skipped;
  }

  /** Sums of the next epoch: steps left out in a row go on counting. */
  next(): Meter {
    return new Meter({ ...empty, skipped: this.#sums.skipped });
  }

  event(fit: string, position: { epoch: number; step: number }, steps: number, logs: Record<string, number>): RunEvent {
    const { loss, steps: done, images, seconds } = this.#sums;
    return {
      type: "step",
      fit,
      epoch: position.epoch,
      step: position.step,
      steps,
      loss: loss / done,
      imagesPerSecond: images / Math.max(1e-9, seconds),
      ...this.#shares(),
      logs,
    };
  }

  epochEvent(fit: string, epoch: number, validation: TaskMetrics | undefined): RunEvent {
    const { loss, steps, seconds } = this.#sums;
    return { type: "epoch", fit, epoch, loss: loss / steps, validation, ...this.#shares(), seconds };
  }

  #shares(): { shares?: number[] } {
    const { rows } = this.#sums;
    const total = rows?.reduce((sum, own) => sum + own, 0) ?? 0;
    return rows && total > 0 ? { shares: rows.map((own) => own / total) } : {};
  }
}
