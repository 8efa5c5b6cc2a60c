/**
 * Ensemble selection (Caruana, Niculescu-Mizil, Crew & Ksikes, "Ensemble Selection from Libraries of Models", ICML 2004,
 * sections 2.1 and 2.2): members are added to the ensemble one after another, with replacement, each time the one that
 * is best for the ensemble on validation data; how often a member was added is its weight.
 *
 * This project's choices: accuracy decides and the lower log loss among equals; of all sizes up to `rounds` the best is
 * kept; no bagging of the library (section 2.3).
 */
import { z } from "zod";
import { isBetter, type Predictor, type Quality } from "../train/index.ts";
import { methodOf } from "./choices.ts";
import { type Judge, validationTables } from "./ensemble.ts";
import { EnsemblePredictor, meanProbabilities } from "./ensemble-predictor.ts";
import { fineTune } from "./fine-tune.ts";

/**
 * Weights of the members, summing to one, from their predictions [N, C] on validation data.
 * @param rounds additions at most
 */
export function greedyWeights(tables: readonly Float32Array[], judge: Judge, rounds: number): number[] {
  const counts = tables.map(() => 0);
  let best: { score: Quality; counts: number[] } | undefined;
  for (let size = 1; size <= rounds; size++) {
    let step: { score: Quality; index: number } | undefined;
    for (const index of tables.keys()) {
      const weights = counts.map((count, i) => (count + (i === index ? 1 : 0)) / size);
      const score = judge(meanProbabilities(tables, weights));
      if (isBetter(score, step?.score)) step = { score, index };
    }
    if (!step) break;
    counts[step.index] = (counts[step.index] ?? 0) + 1;
    if (isBetter(step.score, best?.score)) best = { score: step.score, counts: [...counts] };
  }
  const chosen = best?.counts ?? counts;
  const total = chosen.reduce((sum, count) => sum + count, 0);
  return chosen.map((count) => count / total);
}

const choices = z.object({ rounds: z.int().min(1).max(1000).default(20) });

export const greedyEnsemble = methodOf(
  { name: "greedy-ensemble", freezesMembers: true, tunesMembers: true },
  choices,
  ({ rounds }) =>
    async (context) => {
      const learners = await fineTune(context);
      const weights = await context.decide("weights", async () => {
        const { tables, quality } = await validationTables(context, learners);
        return greedyWeights(tables, quality, rounds);
      });
      const used = [...weights.keys()].filter((i) => (weights[i] ?? 0) > 0);
      for (const [i, learner] of learners.entries()) if (!used.includes(i)) learner.dispose();
      return new EnsemblePredictor(
        used.map((i) => learners[i] as Predictor),
        used.map((i) => weights[i] ?? 0),
      );
    },
);
