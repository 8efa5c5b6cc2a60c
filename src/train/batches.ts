/** Loops over batches: each batch is released, the event loop gets its turn, and an AbortSignal ends the loop. */
import type { Steps } from "../ranking/index.ts";
import { Interrupted, type ProcessGroup } from "../torch/index.ts";
import type { Batch } from "./data.ts";
import { onAnyRank } from "./ranks.ts";

/** Lets loaders, signals and progress bars have their turn on the event loop. */
export function eventLoopTurn(): Promise<void> {
  // The first may come before the loop looks for signals.
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}

/** @throws Interrupted naming the work, after the signal */
export function throwIfAborted(signal: AbortSignal | undefined, work: string): void {
  if (signal?.aborted) throw new Interrupted(work);
}

/** A loop that a signal may end. */
export interface LoopOptions {
  /** Name of the work, for `Interrupted`. */
  work: string;
  signal?: AbortSignal | undefined;
  /** Ranks that do the work together, in as many batches or steps each: all stop after the same one. */
  group?: ProcessGroup | undefined;
}

/**
 * Uses every batch once, and releases it whatever happens.
 * @throws Interrupted after the signal
 */
export async function forEachBatch(
  batches: AsyncIterable<Batch>,
  { work, signal, group }: LoopOptions,
  use: (batch: Batch) => void,
): Promise<void> {
  if (!group) throwIfAborted(signal, work);
  for await (const batch of batches) {
    try {
      use(batch);
    } finally {
      batch.dispose();
    }
    await eventLoopTurn();
    if (onAnyRank(signal?.aborted === true, group)) throw new Interrupted(work);
  }
}

/**
 * Result of work in steps: after each of them the event loop gets its turn.
 * @throws Interrupted after the signal
 */
export async function inTurns<T>(steps: Steps<T>, { work, signal, group }: LoopOptions): Promise<T> {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    await eventLoopTurn();
    // Through the work itself, which releases what it holds.
    if (onAnyRank(signal?.aborted === true, group)) steps.throw(new Interrupted(work));
  }
}
