/** Mistakes of a run: confused classes and the images it is surest about. N items, C classes. */
import { argmaxAt, type Evaluation } from "../train/index.ts";
import type { ReportData } from "./report-data.ts";

/** An image of the measured split and what was said of it. */
export interface JudgedImage {
  id: string;
  /** Position in the data set. */
  index: number;
  truth: string;
  predicted: string;
  /** Probability of the predicted class. */
  probability: number;
}

/** A class and what it is taken for. */
export interface ConfusedPair {
  truth: string;
  predicted: string;
  items: number;
  /** Part of the true class's images. */
  share: number;
}

export interface MistakeAnalysis {
  items: number;
  /** The most frequent first. */
  confused: ConfusedPair[];
  /** Wrong images, those with the most probable wrong class first. */
  images: JudgedImage[];
}

/** Pairs and images that an overview holds. */
const most = { pairs: 12, images: 24 };

export function analyseMistakes(evaluation: Evaluation, data: ReportData): MistakeAnalysis {
  const { labels } = evaluation;
  const judged = labels.map((_, item) => judge(item, evaluation, data));
  const wrong = judged.filter(({ truth, predicted }) => truth !== predicted);
  const ofClass = countBy(judged, ({ truth }) => truth);
  const pairs = new Map<string, Omit<ConfusedPair, "share">>();
  for (const { truth, predicted } of wrong) {
    const key = JSON.stringify([truth, predicted]);
    const pair = pairs.get(key) ?? { truth, predicted, items: 0 };
    pairs.set(key, { ...pair, items: pair.items + 1 });
  }
  const confused = [...pairs.values()].sort((a, b) => b.items - a.items).slice(0, most.pairs);
  return {
    items: wrong.length,
    confused: confused.map((pair) => ({ ...pair, share: pair.items / (ofClass.get(pair.truth) ?? 1) })),
    images: wrong.sort((a, b) => b.probability - a.probability).slice(0, most.images),
  };
}

/** Judgement of one item of an evaluation. */
export function judge(item: number, evaluation: Evaluation, data: ReportData): JudgedImage {
  const { probabilities, classes, labels, indices } = evaluation;
  const index = indices[item] ?? -1;
  const best = argmaxAt(probabilities, item * classes, classes);
  return {
    id: data.ids[index] ?? "",
    index,
    truth: data.classes[labels[item] ?? -1] ?? "",
    predicted: data.classes[best] ?? "",
    probability: probabilities[item * classes + best] ?? 0,
  };
}

/** The most frequent class and its share: what an answer without looking reaches. */
export function frequentClass(labels: readonly number[], classes: readonly string[]): { name: string; share: number } {
  let top = { name: "", count: 0 };
  for (const [label, count] of countBy(labels, (label) => label)) {
    if (count > top.count) top = { name: classes[label] ?? "", count };
  }
  return { name: top.name, share: top.count / Math.max(1, labels.length) };
}

function countBy<T, K>(values: readonly T[], key: (value: T) => K): Map<K, number> {
  const counts = new Map<K, number>();
  for (const value of values) counts.set(key(value), (counts.get(key(value)) ?? 0) + 1);
  return counts;
}
