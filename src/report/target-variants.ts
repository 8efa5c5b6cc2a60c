/** A run on images with several labels or numbers with other choices of models than its own. m models. */
import {
  type BatchSource,
  type EvaluationOptions,
  evaluateVariants,
  type Predictor,
  qualityOf,
  type Task,
  type TaskEvaluation,
} from "../train/index.ts";
import { htmlTable } from "./page.ts";
import { fixedSets, type RoutingVerdict, verdictOf } from "./routing-verdict.ts";
import { amount } from "./table.ts";

/** Scores are mean average precision, or R2. */
export interface TargetVariants {
  /** With k activated models. */
  scoreByK: { k: number; score: number; inferenceFlops: number }[];
  /** Without one of the models. */
  leaveOneOut: { model: string; score: number; change: number }[];
  /** What routes by input are worth, for a run that has them. */
  verdict: RoutingVerdict | undefined;
}

/**
 * Measures a predictor with every k, without each model, and with the same models for every input, as far as it has these choices;
 * each model is computed once for all of them.
 * @param evaluation of the predictor on these batches
 */
export async function targetVariants(
  predictor: Predictor,
  batches: BatchSource,
  evaluation: TaskEvaluation,
  task: Task,
  options: EvaluationOptions = {},
): Promise<TargetVariants> {
  const { memberNames } = predictor;
  const m = memberNames.length;
  const ks = memberNames.map((_, i) => ({ k: i + 1 }));
  const without = m > 1 ? memberNames.map((_, i) => ({ without: i })) : [];
  const sets = fixedSets(predictor, evaluation);
  const measured = await evaluateVariants(predictor, batches, task, [...ks, ...without, ...sets], options);
  const own = qualityOf(evaluation.metrics).score;
  return {
    scoreByK: measured.slice(0, m).flatMap((one, i) => {
      return one ? [{ k: i + 1, score: qualityOf(one.metrics).score, inferenceFlops: one.inferenceFlops }] : [];
    }),
    leaveOneOut: measured.slice(m, m + without.length).flatMap((one, i) => {
      if (!one) return [];
      const { score } = qualityOf(one.metrics);
      return [{ model: memberNames[i] ?? "", score, change: score - own }];
    }),
    verdict: verdictOf(predictor, evaluation, task, sets, measured.slice(m + without.length)),
  };
}

/** The same as parts of a page. @param figure the score's name */
export function variantTables({ scoreByK, leaveOneOut }: TargetVariants, figure: string): string {
  const byK = scoreByK.map(({ k, score, inferenceFlops }) => [String(k), score.toFixed(3), amount(inferenceFlops)]);
  const without = [...leaveOneOut]
    .sort((a, b) => a.change - b.change)
    .map(({ model, score, change }) => [model, score.toFixed(3), `${change >= 0 ? "+" : ""}${change.toFixed(3)}`]);
  return [
    byK.length > 0 ? `<h3>Number k of activated models</h3>${htmlTable(["k", figure, "FLOPs an image"], byK)}` : "",
    without.length > 0 ? `<h3>Without one of the models</h3>${htmlTable(["left out", figure, "change"], without)}` : "",
  ].join("");
}
