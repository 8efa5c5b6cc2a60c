/**
 * Choices of models for every budget of one trained run. At a price for each GFLOP an input activates k models, or as many
 * as it takes until the answer is sure. Scores are nats of loss, so that a price has a unit (this project's choice).
 * m models.
 */
import type { BudgetChoice, ModelChoice } from "../runtime/index.ts";
import {
  argmaxAt,
  type BatchSource,
  type EvaluationOptions,
  forEachPrediction,
  type Predictor,
} from "../train/index.ts";

/** Nats that the dearest model must save over the cheapest. */
const spreads = [0, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
/** Probabilities of an answer at which models are asked no further. */
export const stops = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95];
const most = 4;

/** Choices that are tried, for models of the given FLOPs; models that cost the same have no price. */
export function budgetSettings(costs: readonly number[]): (ModelChoice & Pick<BudgetChoice, "k" | "price">)[] {
  const m = costs.length;
  const spread = (Math.max(...costs) - Math.min(...costs)) / 1e9;
  const prices = spread > 0 ? spreads.map((nats) => nats / spread) : [0];
  const ks = Array.from({ length: Math.min(m, most) }, (_, i) => i + 1);
  return prices.flatMap((price) => [
    ...ks.map((k) => ({ k, price })),
    ...(m > 1 ? stops.map((confidence) => ({ k: m, price, confidence })) : []),
  ]);
}

/** What a choice came to: counts alone, since tables of all choices would not fit into memory. */
interface Tally {
  right: number;
  /** Activations of each model, [m]. */
  uses: number[];
}

/** Choices that none is cheaper than and as accurate as, the cheapest first, and the models that each of them activates. */
export async function measureChoices(
  predictor: Predictor,
  settings: ReturnType<typeof budgetSettings>,
  batches: BatchSource,
  { signal, onProgress }: EvaluationOptions,
): Promise<{ choice: BudgetChoice; models: number[] }[]> {
  const m = predictor.memberNames.length;
  const tallies = settings.map((): Tally => ({ right: 0, uses: new Array<number>(m).fill(0) }));
  let [items, done] = [0, 0];
  const loop = { work: "choices for budgets", signal };
  await forEachPrediction(predictor, batches.epoch(0, 0), loop, ({ images, labels, features }) => {
    const predictions = predictor.predictVariants?.(images, settings, features) ?? [];
    for (const [i, prediction] of predictions.entries()) {
      const tally = tallies[i];
      if (!prediction?.weights || !tally) continue;
      const probabilities = prediction.probabilities.toNumbers();
      const classes = probabilities.length / labels.length;
      tally.right += labels.filter((label, row) => argmaxAt(probabilities, row * classes, classes) === label).length;
      const uses = prediction.weights.gt(0).sum(0).toNumbers();
      tally.uses = tally.uses.map((count, j) => count + (uses[j] ?? 0));
    }
    items += labels.length;
    onProgress?.(++done, batches.stepsPerEpoch);
  });
  return front(settings.map((setting, i) => measured(predictor, setting, tallies[i] as Tally, items)));
}

function measured(
  predictor: Predictor,
  setting: ReturnType<typeof budgetSettings>[number],
  { right, uses }: Tally,
  items: number,
): { choice: BudgetChoice; models: number[] } {
  const activations = uses.reduce((sum, count) => sum + count, 0);
  const shares = uses.map((count) => count / activations);
  const flops = predictor.pathwayFlops?.(shares, activations / items) ?? predictor.inferenceFlops;
  return {
    choice: { ...setting, accuracy: right / items, flops },
    models: uses.flatMap((count, i) => (count > 0 ? [i] : [])),
  };
}

/** Those that are more accurate than all cheaper ones, the cheapest first. */
export function front<T extends { choice: BudgetChoice }>(all: readonly T[]): T[] {
  const sorted = [...all].sort((a, b) => a.choice.flops - b.choice.flops || b.choice.accuracy - a.choice.accuracy);
  let best = -1;
  return sorted.filter(({ choice: { accuracy } }) => {
    if (accuracy <= best) return false;
    best = accuracy;
    return true;
  });
}
