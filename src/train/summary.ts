/** Summary of an evaluation of a run, in one flat object. C classes, m models. */
import { createHash } from "node:crypto";
import { costOf, type Evaluation, pathwayShares, routeInformation } from "./evaluate.ts";
import type { Predictor } from "./learner.ts";
import { argmaxAt, wilsonInterval } from "./metrics.ts";

export interface ClassAccuracy {
  name: string;
  items: number;
  /** Share of the class's images that are predicted right, 0 … 1. */
  accuracy: number;
}

/** Results of a run on a split, as `eval --json` prints them. */
export interface EvaluationSummary {
  split: string;
  items: number;
  accuracy: number;
  /** 95 % interval of the accuracy (Wilson 1927). */
  accuracyInterval: [low: number, high: number];
  macroF1: number;
  calibrationError: number;
  logLoss: number;
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
  /** Accuracy of each class with images, in the order of the run's classes. */
  classes: ClassAccuracy[];
}

/** What a summary needs of a predictor. */
type Costed = Pick<Predictor, "memberNames" | "parameters" | "inferenceFlops" | "pathwayFlops">;

/** The figures of an evaluation in one object; without the classes' names, without figures of classes. */
export function summarise(
  split: string,
  evaluation: Evaluation,
  predictor: Costed,
  classes: readonly string[] = [],
): EvaluationSummary {
  const { weights, labels, metrics, secondsPerImage } = evaluation;
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
    ...metrics,
    accuracyInterval: wilsonInterval(Math.round(metrics.accuracy * labels.length), labels.length),
    pathwayShare: byMember(shares),
    runsOn: byMember(runs),
    activatedModels: routed ? activatedModels : m,
    routeInformation: routed ? routeInformation(weights, m) : 0,
    secondsPerImage,
    parameters,
    inferenceFlops,
    classes: classAccuracies(evaluation, classes),
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
export function unusedMembers({ weights }: Evaluation, { memberNames }: Predictor): Set<string> {
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
