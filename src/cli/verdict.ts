/** What a finished run is worth, and what to do next. */
import { shown } from "../io/quoted.ts";
import { percent } from "../report/table.ts";
import { argmaxAt, type Evaluation, wilsonInterval } from "../train/index.ts";
import type { FitCourse } from "./train-progress.ts";

/** Classes that are named as the weakest, at most. */
const mostWeakest = 3;

export interface VerdictRequest {
  evaluation: Evaluation;
  classes: readonly string[];
  /** The run's fits in order; the last one is the model. */
  courses: readonly FitCourse[];
  keep: "best" | "last";
}

/** Accuracy with its interval, the weakest classes, and the best single model where the run trained some. */
export function verdictLines({ evaluation, classes, courses, keep }: VerdictRequest): string[] {
  const { labels, metrics } = evaluation;
  const right = Math.round(metrics.accuracy * labels.length);
  const [low, high] = wilsonInterval(right, labels.length);
  const course = courses.length === 1 ? courses[0] : undefined;
  const epoch =
    keep === "best" && course?.best ? `, by the weights of epoch ${course.best.epoch} of ${course.epochs}` : "";
  const range = `95 % interval ${(100 * low).toFixed(1)} to ${percent(high)}`;
  return [
    `validation accuracy ${percent(metrics.accuracy)} (${range}, ${right} of ${labels.length} images)${epoch}`,
    ...weakestLine(evaluation, classes),
    ...singleLine(courses),
  ];
}

function weakestLine({ labels, probabilities }: Evaluation, classes: readonly string[]): string[] {
  const counts = classes.map((name) => ({ name, right: 0, images: 0 }));
  for (const [i, label] of labels.entries()) {
    const own = counts[label];
    if (!own) continue;
    own.images += 1;
    if (argmaxAt(probabilities, i * classes.length, classes.length) === label) own.right += 1;
  }
  const weak = counts
    .filter(({ right, images }) => right < images)
    .sort((a, b) => a.right / a.images - b.right / b.images || b.images - a.images)
    .slice(0, mostWeakest);
  if (weak.length === 0) return [];
  const named = weak.map(
    ({ name, right, images }) => `${shown(name)} ${percent(right / images)} (${right} of ${images})`,
  );
  return [`weakest classes: ${named.join(", ")}`];
}

/** The best of several fits, where a run trained models one by one. */
function singleLine(courses: readonly FitCourse[]): string[] {
  const measured = courses.flatMap(({ fit, best }) => (best ? [{ fit, accuracy: best.accuracy }] : []));
  if (measured.length < 2) return [];
  const best = measured.reduce((first, other) => (other.accuracy > first.accuracy ? other : first));
  return [`best of its ${measured.length} trainings alone: ${shown(best.fit)}, ${percent(best.accuracy)}`];
}
