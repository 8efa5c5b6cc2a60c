/** Ensembles of fine-tuned members: all of them, and the best k by validation. */
import { z } from "zod";
import { ConfigError } from "../torch/index.ts";
import {
  isBetter,
  type MethodContext,
  type Predictor,
  type Quality,
  qualityBy,
  type TaskEvaluation,
} from "../train/index.ts";
import { methodOf } from "./choices.ts";
import { combinations, EnsemblePredictor, meanProbabilities } from "./ensemble-predictor.ts";
import { fineTune } from "./fine-tune.ts";

export const ensemble = methodOf(
  { name: "ensemble", freezesMembers: true, tunesMembers: true },
  z.object({}),
  () => async (context) => new EnsemblePredictor(await fineTune(context)),
);

const staticChoices = z.object({ k: z.int().default(2) });

export const staticK = methodOf(
  { name: "static-k", freezesMembers: true, tunesMembers: true },
  staticChoices,
  ({ k }, hub) => {
    const m = hub.members.length;
    if (!(k >= 1 && k <= m))
      throw new ConfigError(`k is ${k}: it must be a whole number from 1 to ${m}, the number of models in the hub`);
    return async (context) => {
      const learners = await fineTune(context);
      const chosen = await context.decide("set", async () => {
        const { tables, quality } = await validationTables(context, learners);
        return bestSet(tables, quality, k);
      });
      for (const [i, learner] of learners.entries()) if (!chosen.includes(i)) learner.dispose();
      return new EnsemblePredictor(learners.filter((_, i) => chosen.includes(i)));
    };
  },
);

/** Decides between answers [N, C] on the validation split. */
export type Judge = (answers: ArrayLike<number>) => Quality;

/** Answers [N, C] of each on the validation split, and what they are worth. */
export async function validationTables(
  context: MethodContext,
  predictors: readonly Predictor[],
): Promise<{ tables: Float32Array[]; quality: Judge }> {
  const evaluations: TaskEvaluation[] = [];
  for (const predictor of predictors) evaluations.push(await context.validate(predictor));
  const { labels = [], targets } = evaluations[0] ?? {};
  return {
    tables: evaluations.map(({ probabilities }) => probabilities),
    quality: qualityBy(context.task, { labels, targets }),
  };
}

/** The k members whose mean answers are best. */
export function bestSet(tables: readonly Float32Array[], judge: Judge, k: number): number[] {
  let best: { set: number[]; quality: Quality } | undefined;
  for (const set of combinations(tables.length, k)) {
    const mean = meanProbabilities(set.map((i) => tables[i] ?? new Float32Array()));
    const quality = judge(mean);
    if (isBetter(quality, best?.quality)) best = { set, quality };
  }
  return best?.set ?? [];
}
