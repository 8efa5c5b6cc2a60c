/** Verdict on a finished run, and what to do next. */
import { shown } from "../io/quoted.ts";
import { type RoutingVerdict, verdictSentence } from "../report/routing-verdict.ts";
import { percent } from "../report/table.ts";
import { type EvaluationSummary, worstClasses } from "../train/index.ts";
import type { FitCourse } from "./train-progress.ts";

/** Classes that are named as the weakest, at most. */
const mostWeakest = 3;

export interface VerdictRequest {
  summary: EvaluationSummary;
  /** The run's fits in order; the last one is the model. */
  courses: readonly FitCourse[];
  keep: "best" | "last";
  /** What routes by input are worth, for a run that has them. */
  routing?: RoutingVerdict | undefined;
}

/** Accuracy with its interval, the weakest classes, and the best single model where the run trained some. */
export function verdictLines({ summary, courses, keep, routing }: VerdictRequest): string[] {
  const { accuracy, items, accuracyInterval } = summary;
  const [low, high] = accuracyInterval;
  const course = courses.length === 1 ? courses[0] : undefined;
  const epoch =
    keep === "best" && course?.best ? `, by the weights of epoch ${course.best.epoch} of ${course.epochs}` : "";
  const range = `95 % interval ${(100 * low).toFixed(1)} to ${percent(high)}`;
  return [
    `validation accuracy ${percent(accuracy)} (${range}, ${Math.round(accuracy * items)} of ${items} images)${epoch}`,
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
function singleLine(courses: readonly FitCourse[]): string[] {
  const measured = courses.flatMap(({ fit, best }) => (best ? [{ fit, accuracy: best.accuracy }] : []));
  if (measured.length < 2) return [];
  const best = measured.reduce((first, other) => (other.accuracy > first.accuracy ? other : first));
  return [`best of its ${measured.length} trainings alone: ${shown(best.fit)}, ${percent(best.accuracy)}`];
}
