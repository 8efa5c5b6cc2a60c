/** The loop over batches that are predicted, and the check of a k for it. */
import { ConfigError, inferenceMode, scope } from "../torch/index.ts";
import { forEachBatch, type LoopOptions } from "./batches.ts";
import type { Batch } from "./data.ts";
import type { Predictor } from "./learner.ts";

/**
 * Predicts each batch in evaluation mode and hands it on.
 * @param use copies what it keeps of the prediction
 * @returns seconds that the predictions took
 * @throws Interrupted after the signal
 */
export async function forEachPrediction(
  predictor: Predictor,
  batches: AsyncIterable<Batch>,
  options: LoopOptions,
  use: (batch: Batch) => void,
): Promise<number> {
  let seconds = 0;
  predictor.eval();
  await forEachBatch(batches, options, (batch) => {
    const began = performance.now();
    scope(() => inferenceMode(() => use(batch)));
    seconds += (performance.now() - began) / 1000;
  });
  return seconds;
}

/** @throws ConfigError for a k that the predictor cannot have */
export function requireK({ largestK, memberNames }: Predictor, k: number): void {
  if (largestK === undefined) throw new ConfigError("the method of this run has no k to choose");
  if (Number.isInteger(k) && k >= 1 && k <= largestK) return;
  const dropped = memberNames.length - largestK;
  const why = dropped > 0 ? ` (the run kept ${largestK} members: ${dropped} were never activated)` : "";
  throw new ConfigError(`k is ${k}: it must be a whole number from 1 to ${largestK}${why}`);
}
