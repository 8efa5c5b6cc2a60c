/** Figures of merit from predicted probabilities. N items, C classes; probabilities are row-major [N, C]. */
import type { TaskKind } from "../data/index.ts";
import { counted } from "../io/index.ts";
import type { MultiLabelMetrics, RegressionMetrics } from "./target-metrics.ts";

export interface Metrics {
  /** Share of items whose most probable class is right, 0 … 1. */
  accuracy: number;
  /** Mean over classes of the F1 score, 0 … 1. */
  macroF1: number;
  /** Expected calibration error over 15 equal-width bins of confidence (Guo et al. 2017), 0 … 1. */
  calibrationError: number;
  /** Mean negative log-likelihood, nats. */
  logLoss: number;
}

/** Figures of a split, by the kind of task. */
export type TaskMetrics = Metrics | MultiLabelMetrics | RegressionMetrics;

/** Figures that decide between models on validation data. */
export interface Quality {
  /** Larger is better. */
  score: number;
  /** Decides among equal scores: smaller is better. */
  loss: number;
}

/** The kind of task that figures are of. */
export function kindOfMetrics(metrics: TaskMetrics): TaskKind {
  if ("r2" in metrics) return "regression";
  return "meanAveragePrecision" in metrics ? "multi-label" : "classification";
}

/** Of classes: accuracy, among equals log loss. Of several labels mean average precision, and of numbers R2 likewise. */
export function qualityOf(metrics: TaskMetrics): Quality {
  if ("meanAveragePrecision" in metrics) return { score: metrics.meanAveragePrecision, loss: metrics.logLoss };
  if ("r2" in metrics) return { score: metrics.r2, loss: metrics.squaredError };
  return { score: metrics.accuracy, loss: metrics.logLoss };
}

/** A score in words: "81.3 % right", "mean average precision 0.813", "R2 0.813". */
export function scoreText(kind: TaskKind | undefined, score: number): string {
  if (kind === undefined || kind === "classification") return `${(100 * score).toFixed(1)} % right`;
  return `${kind === "regression" ? "R2" : "mean average precision"} ${score.toFixed(3)}`;
}

/** "3 classes", "3 labels", "1 number". */
export function outputsText(kind: TaskKind | undefined, count: number): string {
  if (kind === "regression") return counted(count, "number");
  return kind === "multi-label" ? counted(count, "label") : counted(count, "class", "classes");
}

/** True when figures are better than the best so far. */
export function isBetter({ score, loss }: Quality, best: Quality | null | undefined): boolean {
  return !best || score > best.score || (score === best.score && loss < best.loss);
}

/** Index of the largest of C values starting at `offset`. */
export function argmaxAt(values: ArrayLike<number>, offset: number, count: number): number {
  let best = 0;
  for (let c = 1; c < count; c++) if ((values[offset + c] ?? 0) > (values[offset + best] ?? 0)) best = c;
  return best;
}

/** Correctness of each item: true where the most probable class is the right one. */
export function rightItems(probabilities: ArrayLike<number>, labels: readonly number[], classes: number): boolean[] {
  return labels.map((label, i) => argmaxAt(probabilities, i * classes, classes) === label);
}

/** True where a sum of gains is more than its standard deviation were there none to win; of right answers that is McNemar's test (1947). */
export function exceedsChance(gain: number, squares: number): boolean {
  return gain > Math.sqrt(squares);
}

/** 95 % interval of a share of `right` among `count` items (Wilson 1927); [0, 1] without items. */
export function wilsonInterval(right: number, count: number): [low: number, high: number] {
  if (count === 0) return [0, 1];
  const z = 1.959964;
  const share = right / count;
  const middle = share + z ** 2 / (2 * count);
  const half = z * Math.sqrt((share * (1 - share)) / count + (z / (2 * count)) ** 2);
  const scale = 1 + z ** 2 / count;
  return [Math.max(0, (middle - half) / scale), Math.min(1, (middle + half) / scale)];
}

/** Counts [C][C]: rows are true classes, columns predicted ones. */
export function confusionMatrix(
  probabilities: ArrayLike<number>,
  labels: readonly number[],
  classes: number,
): number[][] {
  const counts = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  for (const [i, label] of labels.entries()) {
    const row = counts[label];
    const predicted = argmaxAt(probabilities, i * classes, classes);
    if (row) row[predicted] = (row[predicted] ?? 0) + 1;
  }
  return counts;
}

/** All metrics. @throws RangeError without items. */
export function computeMetrics(probabilities: ArrayLike<number>, labels: readonly number[], classes: number): Metrics {
  const n = labels.length;
  if (n === 0) throw new RangeError("no items to measure");
  const predicted = labels.map((_, i) => argmaxAt(probabilities, i * classes, classes));
  let right = 0;
  let logLoss = 0;
  for (const [i, label] of labels.entries()) {
    if (predicted[i] === label) right += 1;
    logLoss -= Math.log(Math.max(1e-12, probabilities[i * classes + label] ?? 0));
  }
  return {
    accuracy: right / n,
    macroF1: macroF1(labels, predicted, classes),
    calibrationError: calibrationError(probabilities, labels, classes),
    logLoss: logLoss / n,
  };
}

/** Over the classes that occur among labels or predictions. */
function macroF1(labels: readonly number[], predicted: readonly number[], classes: number): number {
  const [hits, occurrences] = [new Float64Array(classes), new Float64Array(classes)];
  const count = (table: Float64Array, c: number) => {
    table[c] = (table[c] ?? 0) + 1;
  };
  for (const [i, label] of labels.entries()) {
    const other = predicted[i] ?? -1;
    if (other === label) count(hits, label);
    count(occurrences, label);
    count(occurrences, other);
  }
  let [total, present] = [0, 0];
  for (let c = 0; c < classes; c++) {
    if (occurrences[c] === 0) continue;
    total += (2 * (hits[c] ?? 0)) / (occurrences[c] ?? 1);
    present += 1;
  }
  return total / present;
}

function calibrationError(probabilities: ArrayLike<number>, labels: readonly number[], classes: number): number {
  const bins = Array.from({ length: 15 }, () => ({ confidence: 0, right: 0, count: 0 }));
  for (const [i, label] of labels.entries()) {
    const predicted = argmaxAt(probabilities, i * classes, classes);
    const confidence = probabilities[i * classes + predicted] ?? 0;
    const bin = bins[Math.min(14, Math.floor(confidence * 15))];
    if (!bin) continue;
    bin.confidence += confidence;
    bin.right += predicted === label ? 1 : 0;
    bin.count += 1;
  }
  return sum(bins.map((bin) => Math.abs(bin.confidence - bin.right))) / labels.length;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
