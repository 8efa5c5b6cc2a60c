/** Ensembles of fine-tuned members: all of them, and the best k by validation. */
import { ConfigError } from "../torch/index.ts";
import { computeMetrics, type Method, type Predictor } from "../train/index.ts";
import { combinations, EnsemblePredictor, meanProbabilities } from "./ensemble-predictor.ts";
import { fineTune } from "./fine-tune.ts";

export const ensemble: Method = {
  name: "ensemble",
  summary: "fine-tune every member and average all their probabilities",
  async train(context): Promise<Predictor> {
    return new EnsemblePredictor(await fineTune(context));
  },
};

export const staticK: Method = {
  name: "static-k",
  summary: "fine-tune every member, keep the ensemble of k that is best on validation data",
  async train(context): Promise<Predictor> {
    const m = context.hub.manifest.members.length;
    const k = typeof context.choices["k"] === "number" ? context.choices["k"] : 2;
    if (!Number.isInteger(k) || k < 1 || k > m) {
      throw new ConfigError(`k is ${k}: it must be a whole number from 1 to ${m}, the number of models in the hub`);
    }
    const learners = await fineTune(context);
    const chosen = await context.decide("set", async () => {
      const tables: Float32Array[] = [];
      let labels: number[] = [];
      for (const learner of learners) {
        const evaluation = await context.validate(learner);
        tables.push(evaluation.probabilities);
        labels = evaluation.labels;
      }
      return bestSet(tables, labels, context.task.outputs, k);
    });
    for (const [i, learner] of learners.entries()) if (!chosen.includes(i)) learner.dispose();
    return new EnsemblePredictor(learners.filter((_, i) => chosen.includes(i)));
  },
};

/** The k members whose mean probabilities are most accurate; the lower log loss decides among equals. */
export function bestSet(
  tables: readonly Float32Array[],
  labels: readonly number[],
  classes: number,
  k: number,
): number[] {
  let best: { set: number[]; accuracy: number; logLoss: number } | undefined;
  for (const set of combinations(tables.length, k)) {
    const mean = meanProbabilities(set.map((i) => tables[i] ?? new Float32Array()));
    const { accuracy, logLoss } = computeMetrics(mean, labels, classes);
    const better = !best || accuracy > best.accuracy || (accuracy === best.accuracy && logLoss < best.logLoss);
    if (better) best = { set, accuracy, logLoss };
  }
  return best?.set ?? [];
}
