/** Summary of an evaluation of a run, in one flat object. C classes, m models. */
import { createHash } from "node:crypto";
import { costOf, type Evaluation, pathwayShares, routeInformation, type TaskEvaluation } from "./evaluate.ts";
import type { Predictor } from "./learner.ts";
import { argmaxAt, type Metrics, wilsonInterval } from "./metrics.ts";
import { type Interval, meanInterval, precisionInterval, r2Interval } from "./target-intervals.ts";
import {
  type LabelFigures,
  labelFigures,
  type MultiLabelMetrics,
  type NumberFigures,
  numberFigures,
  type RegressionMetrics,
} from "./target-metrics.ts";
import { MultiLabelTask, type Task } from "./task.ts";

export interface ClassAccuracy {
  name: string;
  items: number;
  /** Share of the class's images that are predicted right, 0 … 1. */
  accuracy: number;
}

/** What a run on a split took, whatever its labels are. */
export interface Usage {
  split: string;
  items: number;
  /** Share of all activations that each model got; sums to 1. */
  pathwayShare: Record<string, number>;
  /** Part of the images that each model runs on; sums to the number of activated models. */
  runsOn: Record<string, number>;
  /** Activated models of an image, on average. */
  activatedModels: number;
  /** Mutual information of input and activated model, nats. */
  routeInformation: number;
  secondsPerImage: number;
  parameters: number;
  inferenceFlops: number;
}

/** Results of a run on a split, as `eval --json` prints them. */
export interface EvaluationSummary extends Usage, Metrics {
  /** 95 % interval of the accuracy (Wilson 1927). */
  accuracyInterval: [low: number, high: number];
  /** Accuracy of each class with images, in the order of the run's classes. */
  classes: ClassAccuracy[];
}

/** The same where images have several labels. */
export interface MultiLabelSummary extends Usage, MultiLabelMetrics {
  /** 95 % interval of the mean average precision, by a bootstrap over the images; null where they say nothing of others. */
  meanAveragePrecisionInterval: Interval | null;
  /** In the order of the run's labels. */
  labels: (LabelFigures & { name: string; threshold: number })[];
}

/** The same where images have numbers. */
export interface RegressionSummary extends Usage, RegressionMetrics {
  /** 95 % interval of R2, likewise. */
  r2Interval: Interval | null;
  /** In the order of the run's numbers, with 95 % intervals of the mean absolute errors (Student's t), likewise. */
  numbers: (NumberFigures & { name: string; meanAbsoluteErrorInterval: Interval | null })[];
}

export type TargetSummary = MultiLabelSummary | RegressionSummary;

/** What a summary needs of a predictor. */
type Costed = Pick<Predictor, "memberNames" | "parameters" | "inferenceFlops" | "pathwayFlops">;

/** The figures of an evaluation in one object; without the classes' names, without figures of classes. */
export function summarise(
  split: string,
  evaluation: Evaluation,
  predictor: Costed,
  classes: readonly string[] = [],
): EvaluationSummary {
  const { labels, metrics } = evaluation;
  return {
    ...usageOf(split, evaluation, predictor),
    ...metrics,
    accuracyInterval: wilsonInterval(Math.round(metrics.accuracy * labels.length), labels.length),
    classes: classAccuracies(evaluation, classes),
  };
}

/** The same of several labels or numbers, by their names. */
export function summariseTargets(
  split: string,
  evaluation: TaskEvaluation,
  predictor: Costed,
  { task, classes }: { task: Task; classes: readonly string[] },
): TargetSummary {
  const { probabilities, targets = new Float64Array(), labels, metrics } = evaluation;
  const usage = usageOf(split, evaluation, predictor);
  const items = labels.length;
  if ("r2" in metrics) {
    const width = task.outputs;
    const errorsOf = (c: number): number[] =>
      labels.map((_, i) => Math.abs((probabilities[i * width + c] ?? 0) - (targets[i * width + c] ?? 0)));
    const numbers = numberFigures(probabilities, targets, items, width).map((one, c) => {
      return { name: classes[c] ?? "", ...one, meanAbsoluteErrorInterval: meanInterval(errorsOf(c)) };
    });
    return { ...usage, ...metrics, r2Interval: r2Interval(metrics.r2, probabilities, targets, items, width), numbers };
  }
  if (!(task instanceof MultiLabelTask) || !("microF1" in metrics))
    throw new RangeError("no figures of several labels");
  const { thresholds } = task;
  const figures = labelFigures(probabilities, targets, items, thresholds);
  const named = figures.map((one, c) => ({ name: classes[c] ?? "", threshold: thresholds[c] ?? 0, ...one }));
  const interval = precisionInterval(metrics.meanAveragePrecision, probabilities, targets, items, task.outputs);
  return { ...usage, ...metrics, meanAveragePrecisionInterval: interval, labels: named };
}

function usageOf(split: string, evaluation: TaskEvaluation, predictor: Costed): Usage {
  const { weights, labels, secondsPerImage } = evaluation;
  const { memberNames, parameters } = predictor;
  const m = memberNames.length;
  const routed = weights.length > 0;
  const shares = routed ? pathwayShares(weights, m) : new Array<number>(m).fill(1 / m);
  const runs = routed ? runsOn(weights, m) : new Array<number>(m).fill(1);
  const { inferenceFlops, activatedModels } = costOf(predictor, weights);
  const byMember = (values: readonly number[]) =>
    Object.fromEntries(memberNames.map((name, i) => [name, values[i] ?? 0]));
  return {
    split,
    items: labels.length,
    pathwayShare: byMember(shares),
    runsOn: byMember(runs),
    activatedModels: routed ? activatedModels : m,
    routeInformation: routed ? routeInformation(weights, m) : 0,
    secondsPerImage,
    parameters,
    inferenceFlops,
  };
}

/** Part of the images that activate each of m models, from weights [N, m]. */
export function runsOn(weights: Float32Array, m: number): number[] {
  const counts = new Array<number>(m).fill(0);
  for (let i = 0; i < weights.length; i++) if ((weights[i] ?? 0) > 0) counts[i % m] = (counts[i % m] ?? 0) + 1;
  const items = weights.length / m;
  return counts.map((count) => (items > 0 ? count / items : 0));
}

/** Members that no image of an evaluation activates. */
export function unusedMembers({ weights }: TaskEvaluation, { memberNames }: Predictor): Set<string> {
  if (weights.length === 0) return new Set();
  const runs = runsOn(weights, memberNames.length);
  return new Set(memberNames.filter((_, i) => runs[i] === 0));
}

function classAccuracies({ probabilities, labels }: Evaluation, classes: readonly string[]): ClassAccuracy[] {
  if (classes.length === 0) return [];
  const counts = classes.map(() => ({ items: 0, right: 0 }));
  for (const [item, label] of labels.entries()) {
    const own = counts[label];
    if (!own) continue;
    own.items += 1;
    if (argmaxAt(probabilities, item * classes.length, classes.length) === label) own.right += 1;
  }
  return counts.flatMap(({ items, right }, i) =>
    items === 0 ? [] : [{ name: classes[i] ?? "", items, accuracy: right / items }],
  );
}

/** Classes with the lowest accuracy, the worst first; larger ones first among equals. */
export function worstClasses(summary: EvaluationSummary, count: number): ClassAccuracy[] {
  return summary.classes
    .filter(({ accuracy }) => accuracy < 1)
    .sort((a, b) => a.accuracy - b.accuracy || b.items - a.items)
    .slice(0, count);
}

/** A hash of which items were in the split that a reading used. */
export function itemsHash(indices: readonly number[]): string {
  return createHash("sha256").update(indices.join(",")).digest("hex").slice(0, 16);
}
