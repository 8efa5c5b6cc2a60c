/** Figures of merit where images have several labels, or numbers. N images, C labels or numbers; tables are row-major [N, C]. */

/** Figures of several labels. Labels that no image has are left out of means over labels. */
export interface MultiLabelMetrics {
  /** Mean over the labels of the average precision, 0 … 1. */
  meanAveragePrecision: number;
  /** F1 of all decisions together, at the labels' thresholds, 0 … 1. */
  microF1: number;
  /** Mean over the labels that occur, in images or answers, of their F1, 0 … 1. */
  macroF1: number;
  /** Mean binary cross-entropy of a label, nats. */
  logLoss: number;
}

/** Figures of one label. */
export interface LabelFigures {
  /** Images that have it. */
  items: number;
  /** 0 … 1; undefined where no image has it. */
  averagePrecision: number | undefined;
  /** At its threshold, 0 … 1; 0 where nothing could be right. */
  precision: number;
  recall: number;
  f1: number;
}

export interface RegressionMetrics {
  /** Mean over the numbers of the coefficient of determination, at most 1; 0 says no better than the mean. */
  r2: number;
  /** Mean absolute error of each number, in its unit, [C]. */
  meanAbsoluteErrors: number[];
  /** Mean squared error in units of the variance on the training images, mean over the numbers. */
  squaredError: number;
}

/** Figures of one number. */
export interface NumberFigures {
  r2: number;
  /** In its unit. */
  meanAbsoluteError: number;
  /** Square root of the mean squared error, in its unit. */
  rootMeanSquaredError: number;
}

export type Table = ArrayLike<number>;

export function columnOf(table: Table, items: number, width: number, c: number): Float64Array {
  return Float64Array.from({ length: items }, (_, i) => table[i * width + c] ?? 0);
}

/**
 * Average precision: sum over the thresholds of precision times the growth of recall, equal probabilities being one threshold;
 * undefined without an image that has the label.
 */
export function averagePrecision(probabilities: Table, truths: Table): number | undefined {
  return averagePrecisionBy(byProbability(probabilities), probabilities, truths);
}

/** Places of probabilities, first the most probable. */
export function byProbability(probabilities: Table): number[] {
  return Array.from(probabilities, (_, i) => i).sort((a, b) => (probabilities[b] ?? 0) - (probabilities[a] ?? 0));
}

/** The same in a known order. @param counts how often each image counts; once when left out */
export function averagePrecisionBy(
  order: readonly number[],
  probabilities: Table,
  truths: Table,
  counts?: Table,
): number | undefined {
  let [seen, hits, before, sum] = [0, 0, 0, 0];
  for (const [place, i] of order.entries()) {
    const count = counts ? (counts[i] ?? 0) : 1;
    seen += count;
    if ((truths[i] ?? 0) > 0) hits += count;
    const next = order[place + 1];
    if (seen === 0 || (next !== undefined && probabilities[next] === probabilities[i])) continue;
    sum += ((hits - before) * hits) / seen;
    before = hits;
  }
  return hits === 0 ? undefined : sum / hits;
}

/** Figures of each label, [C]. */
export function labelFigures(
  probabilities: Table,
  targets: Table,
  items: number,
  thresholds: readonly number[],
): LabelFigures[] {
  const width = thresholds.length;
  return thresholds.map((threshold, c) => {
    const [own, truths] = [columnOf(probabilities, items, width, c), columnOf(targets, items, width, c)];
    const { right, given, there } = decisions(own, truths, threshold);
    return {
      items: there,
      averagePrecision: averagePrecision(own, truths),
      precision: right / Math.max(1, given),
      recall: right / Math.max(1, there),
      f1: (2 * right) / Math.max(1, given + there),
    };
  });
}

/** Right answers, answers that an image has the label, and images that have it. */
function decisions(probabilities: Float64Array, truths: Float64Array, threshold: number) {
  let [right, given, there] = [0, 0, 0];
  for (const [i, probability] of probabilities.entries()) {
    const [isGiven, isThere] = [probability >= threshold, (truths[i] ?? 0) > 0];
    if (isGiven && isThere) right += 1;
    if (isGiven) given += 1;
    if (isThere) there += 1;
  }
  return { right, given, there };
}

/** @throws RangeError without items */
export function multiLabelMetrics(
  probabilities: Table,
  targets: Table,
  items: number,
  thresholds: readonly number[],
): MultiLabelMetrics {
  if (items === 0) throw new RangeError("no items to measure");
  const width = thresholds.length;
  let [logLoss, right, given, there] = [0, 0, 0, 0];
  const precisions: number[] = [];
  const f1s: number[] = [];
  for (const [c, threshold] of thresholds.entries()) {
    const [own, truths] = [columnOf(probabilities, items, width, c), columnOf(targets, items, width, c)];
    for (const [i, p] of own.entries()) {
      const held = (truths[i] ?? 0) > 0 ? p : 1 - p;
      logLoss -= Math.log(Math.max(1e-12, held));
    }
    const precision = averagePrecision(own, truths);
    if (precision !== undefined) precisions.push(precision);
    const counts = decisions(own, truths, threshold);
    if (counts.given + counts.there > 0) f1s.push((2 * counts.right) / (counts.given + counts.there));
    [right, given, there] = [right + counts.right, given + counts.given, there + counts.there];
  }
  return {
    meanAveragePrecision: meanOf(precisions),
    microF1: (2 * right) / Math.max(1, given + there),
    macroF1: meanOf(f1s),
    logLoss: logLoss / (items * width),
  };
}

/**
 * The threshold of each label with the highest F1 on these answers, [C]: in the middle between two probabilities, the nearest to one
 * half among equals. One half for a label that no image has.
 */
export function chooseThresholds(probabilities: Table, targets: Table, items: number, width: number): number[] {
  return Array.from({ length: width }, (_, c) => {
    return bestThreshold(columnOf(probabilities, items, width, c), columnOf(targets, items, width, c));
  });
}

function bestThreshold(probabilities: Float64Array, truths: Float64Array): number {
  const order = [...probabilities.keys()].sort((a, b) => (probabilities[b] ?? 0) - (probabilities[a] ?? 0));
  const there = truths.reduce((sum, truth) => sum + (truth > 0 ? 1 : 0), 0);
  let [right, best] = [0, { f1: 0, threshold: 0.5 }];
  for (const [place, i] of order.entries()) {
    if ((truths[i] ?? 0) > 0) right += 1;
    const own = probabilities[i] ?? 0;
    const next = probabilities[order[place + 1] ?? -1] ?? 0;
    if (next === own) continue;
    const f1 = (2 * right) / (place + 1 + there);
    // One half itself where it lies between the two.
    const threshold = next < 0.5 && own >= 0.5 ? 0.5 : (own + next) / 2;
    const isNearer = Math.abs(threshold - 0.5) < Math.abs(best.threshold - 0.5);
    if (f1 > best.f1 || (f1 === best.f1 && f1 > 0 && isNearer)) best = { f1, threshold };
  }
  return best.threshold;
}

/** Figures of each number, [C]. */
export function numberFigures(answers: Table, targets: Table, items: number, width: number): NumberFigures[] {
  return Array.from({ length: width }, (_, c) => {
    const [own, truths] = [columnOf(answers, items, width, c), columnOf(targets, items, width, c)];
    const mean = meanOf([...truths]);
    let [absolute, squared, total] = [0, 0, 0];
    for (const [i, truth] of truths.entries()) {
      const error = (own[i] ?? 0) - truth;
      absolute += Math.abs(error);
      squared += error ** 2;
      total += (truth - mean) ** 2;
    }
    // Where all are the same there is no variance to explain.
    const r2 = total > 0 ? 1 - squared / total : squared === 0 ? 1 : 0;
    return { r2, meanAbsoluteError: absolute / items, rootMeanSquaredError: Math.sqrt(squared / items) };
  });
}

/** @throws RangeError without items */
export function regressionMetrics(
  answers: Table,
  targets: Table,
  items: number,
  deviations: readonly number[],
): RegressionMetrics {
  if (items === 0) throw new RangeError("no items to measure");
  const figures = numberFigures(answers, targets, items, deviations.length);
  return {
    r2: meanOf(figures.map(({ r2 }) => r2)),
    meanAbsoluteErrors: figures.map(({ meanAbsoluteError }) => meanAbsoluteError),
    squaredError: meanOf(
      figures.map(({ rootMeanSquaredError }, c) => (rootMeanSquaredError / (deviations[c] ?? 1)) ** 2),
    ),
  };
}

function meanOf(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
