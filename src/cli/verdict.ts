/** Verdict on a finished run, and what to do next. */

import type { TaskKind } from "../data/index.ts";
import { shown } from "../io/quoted.ts";
import { type RoutingVerdict, verdictSentence } from "../report/routing-verdict.ts";
import { figure, intervalText, percent } from "../report/table.ts";
import { type EvaluationSummary, scoreText, type TargetSummary, worstClasses } from "../train/index.ts";
import type { FitCourse } from "./train-progress.ts";

/** Classes that are named as the weakest, at most. */
const mostWeakest = 3;

interface Course {
  /** The run's fits in order; the last one is the model. */
  courses: readonly FitCourse[];
  keep: "best" | "last";
  /** What routes by input are worth, for a run that has them. */
  routing?: RoutingVerdict | undefined;
}

export type TargetVerdictRequest = Course & { summary: TargetSummary };

export interface VerdictRequest extends Course {
  summary: EvaluationSummary;
}

/** The same where images have several labels or numbers. */
export function targetVerdictLines({ summary, courses, keep, routing }: TargetVerdictRequest): string[] {
  const [first = "", ...rest] = targetLines(summary, mostWeakest);
  return [
    `${first}${epochText(courses, keep)}`,
    ...rest,
    ...singleLine(courses, "r2" in summary ? "regression" : "multi-label"),
    ...(routing ? [verdictSentence(routing)] : []),
  ];
}

/** Figures of several labels or of numbers as a terminal shows them. @param most labels that are named as the weakest */
export function targetLines(summary: TargetSummary, most: number): string[] {
  const { split, items } = summary;
  if ("r2" in summary) {
    const lines = summary.numbers.map(
      ({ name, r2, meanAbsoluteError, meanAbsoluteErrorInterval: range, rootMeanSquaredError }) =>
        `${shown(name)}: off by ${figure(meanAbsoluteError)} on average (${intervalText(range, figure)}; ` +
        `root mean square ${figure(rootMeanSquaredError)}), R2 ${r2.toFixed(3)}`,
    );
    return [`${split} R2 ${summary.r2.toFixed(3)} (${intervalText(summary.r2Interval)}) on ${items} images`, ...lines];
  }
  const { meanAveragePrecision, meanAveragePrecisionInterval: range, microF1, macroF1, labels } = summary;
  const weakest = labels
    .filter(({ averagePrecision }) => averagePrecision !== undefined && averagePrecision < 1)
    .sort((a, b) => (a.averagePrecision ?? 0) - (b.averagePrecision ?? 0))
    .slice(0, most)
    .map(({ name, averagePrecision = 0, f1, items: own }) => {
      return `${shown(name)} ${averagePrecision.toFixed(3)} (F1 ${f1.toFixed(3)}, ${own} of ${items} images)`;
    });
  return [
    `${split} mean average precision ${meanAveragePrecision.toFixed(3)} (${intervalText(range)}) on ${items} images; F1 ${microF1.toFixed(3)} (micro), ${macroF1.toFixed(3)} (macro)`,
    ...(weakest.length === 0 ? [] : [`weakest labels by average precision: ${weakest.join(", ")}`]),
  ];
}

/** Which epoch's weights were kept, where one training has a best one. */
function epochText(courses: VerdictRequest["courses"], keep: VerdictRequest["keep"]): string {
  const course = courses.length === 1 && keep === "best" ? courses[0] : undefined;
  return course?.best ? `, by the weights of epoch ${course.best.epoch} of ${course.epochs}` : "";
}

/** Accuracy with its interval, the weakest classes, and the best single model where the run trained some. */
export function verdictLines({ summary, courses, keep, routing }: VerdictRequest): string[] {
  const { accuracy, items, accuracyInterval } = summary;
  const [low, high] = accuracyInterval;
  const range = `95 % interval ${(100 * low).toFixed(1)} to ${percent(high)}`;
  return [
    `validation accuracy ${percent(accuracy)} (${range}, ${Math.round(accuracy * items)} of ${items} images)${epochText(courses, keep)}`,
    ...weakestLine(summary),
    ...singleLine(courses),
    ...(routing ? [verdictSentence(routing)] : []),
  ];
}

function weakestLine(summary: EvaluationSummary): string[] {
  const weak = worstClasses(summary, mostWeakest).map(
    ({ name, accuracy, items }) => `${shown(name)} ${percent(accuracy)} (${Math.round(accuracy * items)} of ${items})`,
  );
  return weak.length === 0 ? [] : [`weakest classes: ${weak.join(", ")}`];
}

/** The best of several fits, where a run trained models one by one. */
function singleLine(courses: readonly FitCourse[], kind?: TaskKind): string[] {
  const measured = courses.flatMap(({ fit, best }) => (best ? [{ fit, score: best.score }] : []));
  if (measured.length < 2) return [];
  const best = measured.reduce((first, other) => (other.score > first.score ? other : first));
  return [`best of its ${measured.length} trainings alone: ${shown(best.fit)}, ${scoreText(kind, best.score)}`];
}
