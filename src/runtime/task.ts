/** Answers by what they are: one class of an image, several labels, or numbers. n images, m models, C classes, labels or numbers. */
import { softmaxRows } from "./choice.ts";

/** Labels with their thresholds, or numbers with their means and deviations; nothing for one class of each image. */
export type AnswerTask =
  | { readonly kind: "multi-label"; readonly thresholds: readonly number[] }
  | { readonly kind: "regression"; readonly means: readonly number[]; readonly deviations: readonly number[] }
  | undefined;
export type AnswerKind = "classification" | NonNullable<AnswerTask>["kind"];

/** What an image has, for messages. */
export const answerWords: Readonly<Record<AnswerKind, string>> = {
  classification: "one class",
  "multi-label": "several labels",
  regression: "numbers",
};

export interface ClassProbability {
  label: string;
  /** 0 … 1. */
  probability: number;
}

/** A model that ran on an image, and how much its answer counted (weights sum to 1). */
export interface PathwayPart {
  member: string;
  weight: number;
}

export interface ClassAnswer extends ClassProbability {
  /** The most probable classes, first the most probable. */
  top: ClassProbability[];
}

export interface LabelsAnswer {
  /** Labels whose probability is at least their threshold, first the most probable. */
  labels: ClassProbability[];
  /** The most probable labels, whether an image has them or not. */
  top: ClassProbability[];
}

export interface NumbersAnswer {
  /** By name, each in its unit. */
  values: Record<string, number>;
}

export type AnyAnswer = ClassAnswer | LabelsAnswer | NumbersAnswer;

/** What a user reads, [n, C], of logits: probabilities, or numbers in their own units. */
export function answersFrom(task: AnswerTask, logits: Float32Array, width: number): Float32Array {
  if (!task) return softmaxRows(logits, width);
  if (task.kind === "multi-label") return logits.map((x) => 1 / (1 + Math.exp(-x)));
  const { means, deviations } = task;
  return logits.map((x, i) => x * (deviations[i % width] ?? 1) + (means[i % width] ?? 0));
}

/** The answer of one image. @param values [C] @param count entries of `top` */
export function readAnswer(
  task: AnswerTask,
  names: readonly string[],
  values: ArrayLike<number>,
  count: number,
): AnyAnswer {
  if (task?.kind === "regression")
    return { values: Object.fromEntries(names.map((name, c) => [name, values[c] ?? Number.NaN])) };
  // Sorting keeps the order of equal ones.
  const sorted = names
    .map((label, index) => ({ index, label, probability: values[index] ?? 0 }))
    .sort((a, b) => b.probability - a.probability);
  const named = ({ label, probability }: ClassProbability) => ({ label, probability });
  const top = sorted.slice(0, Math.max(1, count)).map(named);
  if (!task) return { ...(top[0] as ClassProbability), top };
  const { thresholds } = task;
  return {
    labels: sorted.filter(({ index, probability }) => isPresent(thresholds, index, probability)).map(named),
    top,
  };
}

/** True where an image has a label, by its place. */
export const isPresent = (thresholds: readonly number[], label: number, probability: number): boolean =>
  probability >= (thresholds[label] ?? 1);

/** Models that answered, first the one that counts most. @param names by their places among weights [m] */
export function pathwayOf(names: readonly string[], weights: ArrayLike<number>): PathwayPart[] {
  return names
    .map((member, i) => ({ member, weight: weights[i] ?? 0 }))
    .filter(({ weight }) => weight > 0)
    .sort((a, b) => b.weight - a.weight);
}
