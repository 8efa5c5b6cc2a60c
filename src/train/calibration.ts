/** Calibration of a trained run on its validation images: a temperature, and the curve that thresholds are chosen from. N images, C classes. */
import { logsOf, tempered } from "../runtime/index.ts";
import type { Evaluation, Predictions } from "./evaluate.ts";
import { argmaxAt, computeMetrics, rightItems } from "./metrics.ts";
import { type Calibration, type RiskCoverage, riskCoverage } from "./selective.ts";

type Answers = Pick<Predictions, "probabilities" | "labels" | "classes">;

/** Measures answers as the models gave them. @throws RangeError without items */
export function calibrate(raw: Answers): Calibration {
  const { probabilities, labels, classes } = raw;
  const temperature = fitTemperature(raw);
  const table = tempered(probabilities, classes, temperature);
  const errorOf = (values: Float32Array): number => computeMetrics(values, labels, classes).calibrationError;
  return {
    temperature,
    calibrationErrors: [errorOf(probabilities), errorOf(table)],
    ...curveOf({ probabilities: table, labels, classes }),
  };
}

/** The risk-coverage curve of answers, whose confidence is the probability of the answer. */
export function curveOf(answers: Answers): RiskCoverage {
  return riskCoverage(confidencesOf(answers), rightItems(answers.probabilities, answers.labels, answers.classes));
}

/** Probability of each image's most probable class, [N]. */
export function confidencesOf({ probabilities, labels, classes }: Answers): number[] {
  return labels.map((_, i) => probabilities[i * classes + argmaxAt(probabilities, i * classes, classes)] ?? 0);
}

/** The same evaluation at a temperature. */
export function withTemperature(evaluation: Evaluation, temperature = 1): Evaluation {
  if (temperature === 1) return evaluation;
  const { labels, classes } = evaluation;
  const probabilities = tempered(evaluation.probabilities, classes, temperature);
  return { ...evaluation, probabilities, metrics: computeMetrics(probabilities, labels, classes) };
}

/** Logarithms of temperatures: where the search ends, and its first steps. */
const [widest, coarse, precision] = [3, 0.5, 1e-6];

/**
 * The temperature of the least log loss (Guo et al. 2017). A normal prior on ln T (mean 0, deviation 1) has the weight of one image: it
 * decides only where few images, or none with a mistake, leave T open. Without it T goes to 0 where all answers are right.
 */
export function fitTemperature({ probabilities, labels, classes }: Answers): number {
  const logs = logsOf(probabilities);
  const loss = (s: number): number => logLossAt(logs, labels, classes, Math.exp(-s)) + s ** 2 / 2;
  const grid = Array.from({ length: 2 * (widest / coarse) + 1 }, (_, i) => i * coarse - widest);
  const losses = grid.map(loss);
  const start = grid[losses.indexOf(Math.min(...losses))] ?? 0;
  return Math.exp(goldenSection(loss, start - coarse, start + coarse));
}

/** Sum over the images of -ln softmax(beta ln p) at the label, nats. */
function logLossAt(logs: Float32Array, labels: readonly number[], classes: number, beta: number): number {
  let total = 0;
  for (const [i, label] of labels.entries()) {
    const row = i * classes;
    const top = logs[row + argmaxAt(logs, row, classes)] ?? 0;
    let sum = 0;
    for (let c = 0; c < classes; c++) sum += Math.exp(beta * ((logs[row + c] ?? 0) - top));
    total += Math.log(sum) - beta * ((logs[row + label] ?? 0) - top);
  }
  return total;
}

/** The least point of a function that first falls and then rises (Kiefer 1953). */
function goldenSection(of: (x: number) => number, from: number, to: number): number {
  const part = (Math.sqrt(5) - 1) / 2;
  let [low, high] = [from, to];
  let [a, b] = [high - part * (high - low), low + part * (high - low)];
  let [atA, atB] = [of(a), of(b)];
  while (high - low > precision) {
    if (atA <= atB) {
      [high, b, atB] = [b, a, atA];
      a = high - part * (high - low);
      atA = of(a);
    } else {
      [low, a, atA] = [a, b, atB];
      b = low + part * (high - low);
      atB = of(b);
    }
  }
  return (low + high) / 2;
}
