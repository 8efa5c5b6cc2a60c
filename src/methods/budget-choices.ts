/**
 * Choices of models for every budget of one trained run: at a price for each GFLOP, an input activates k models, or as many
 * as it takes until the answer is sure. Scores are nats of loss, so that a price has a unit (this project's choice).
 * m models.
 */
import {
  type BatchSource,
  type BudgetChoice,
  type EvaluationOptions,
  evaluateVariants,
  type ModelChoice,
  type Predictor,
  pathwayShares,
  type VariantEvaluation,
} from "../train/index.ts";

/** Nats that the dearest model must save over the cheapest. */
const spreads = [0, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
const confidences = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95];
const most = 4;

type Setting = ModelChoice & Pick<BudgetChoice, "k" | "price">;

/** Choices that are tried, for models of the given FLOPs; models that cost the same have no price. */
export function budgetSettings(costs: readonly number[], m = costs.length): Setting[] {
  const spread = (Math.max(...costs) - Math.min(...costs)) / 1e9;
  const prices = spread > 0 ? spreads.map((nats) => nats / spread) : [0];
  const ks = Array.from({ length: Math.min(m, most) }, (_, i) => i + 1);
  return prices.flatMap((price) => [
    ...ks.map((k) => ({ k, price })),
    ...(m > 1 ? confidences.map((confidence) => ({ k: m, price, confidence })) : []),
  ]);
}

/** Choices that none is cheaper and as accurate as, the cheapest first, and the models that each of them activates. */
export async function measureChoices(
  predictor: Predictor,
  settings: readonly Setting[],
  batches: BatchSource,
  classes: number,
  options: EvaluationOptions,
): Promise<{ choice: BudgetChoice; models: number[] }[]> {
  const measured = await evaluateVariants(predictor, batches, classes, settings, options);
  const all = settings.flatMap((setting, i) => {
    const one = measured[i];
    return one ? [{ choice: { ...setting, ...figuresOf(one) }, models: modelsOf(one, predictor) }] : [];
  });
  all.sort((a, b) => a.choice.flops - b.choice.flops || b.choice.accuracy - a.choice.accuracy);
  let best = -1;
  return all.filter(({ choice: { accuracy } }) => {
    if (accuracy <= best) return false;
    best = accuracy;
    return true;
  });
}

const figuresOf = ({ metrics, inferenceFlops }: VariantEvaluation) => {
  return { accuracy: metrics.accuracy, flops: inferenceFlops };
};

function modelsOf({ weights }: VariantEvaluation, { memberNames }: Predictor): number[] {
  return pathwayShares(weights, memberNames.length).flatMap((share, i) => (share > 0 ? [i] : []));
}
