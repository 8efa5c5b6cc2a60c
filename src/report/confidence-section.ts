/** The part of a run's page about how sure it is: calibration, the risk-coverage curve, and thresholds of "I don't know". */
import {
  atThreshold,
  type Calibration,
  chooseThreshold,
  confidencesOf,
  curveOf,
  type Evaluation,
  rightItems,
  type Selection,
  wilsonInterval,
} from "../train/index.ts";
import { lineChart } from "./line-chart.ts";
import { htmlTable } from "./page.ts";
import { percent } from "./table.ts";

/** What a run's folder or its validation images say, and the split's own calibration error without a temperature. */
export interface ConfidenceRequest {
  calibration: Calibration;
  /** The threshold that was asked for. */
  rejection?: Selection | undefined;
  /** Expected calibration error of the measured split at T = 1, 0 … 1. */
  rawError: number;
}

/** A threshold that was chosen on validation images, on the measured split. */
export interface ThresholdAnalysis {
  name: string;
  threshold: number;
  /** Share of the images that are answered. */
  coverage: number;
  /** Share of wrong answers among those given; 0 without any. */
  error: number;
  /** 95 % interval of that share (Wilson). */
  interval: [low: number, high: number];
}

export interface ConfidenceAnalysis {
  temperature: number;
  /** Expected calibration error at T = 1 and at the temperature, 0 … 1. */
  calibrationErrors: [before: number, after: number];
  /** Area under the risk-coverage curve. */
  area: number;
  /** Shares of the images that are answered, the surest first, with the share of wrong answers among them. */
  curve: [coverage: number, error: number][];
  thresholds: ThresholdAnalysis[];
}

/** Shares of images that a page names. */
const coverages = [1, 0.9, 0.8, 0.5];

/** @param evaluation at the temperature */
export function analyseConfidence(evaluation: Evaluation, request: ConfidenceRequest): ConfidenceAnalysis {
  const { calibration, rejection, rawError } = request;
  const { items, area, steps } = curveOf(evaluation);
  const chosen = coverages.map((coverage) => {
    const { threshold } = chooseThreshold(calibration, { coverage }) as Selection;
    return measured(evaluation, `${100 * coverage} %`, threshold);
  });
  return {
    temperature: calibration.temperature,
    calibrationErrors: [rawError, evaluation.metrics.calibrationError],
    area,
    curve: steps.map(([, answered, wrong]) => [answered / items, wrong / answered]),
    thresholds: rejection ? [...chosen, measured(evaluation, "as asked for", rejection.threshold)] : chosen,
  };
}

function measured(evaluation: Evaluation, name: string, threshold: number): ThresholdAnalysis {
  const { probabilities, labels, classes } = evaluation;
  const right = rightItems(probabilities, labels, classes);
  const { answered, wrong } = atThreshold(threshold, confidencesOf(evaluation), right);
  const [coverage, error] = [answered / labels.length, answered === 0 ? 0 : wrong / answered];
  return { name, threshold, coverage, error, interval: wilsonInterval(wrong, answered) };
}

/** Answers without which a share of wrong ones is noise. */
const fewest = 20;

export function confidenceSection(analysis: ConfidenceAnalysis, items: number): string {
  const { temperature, calibrationErrors, area, curve, thresholds } = analysis;
  const [before, after] = calibrationErrors.map(percent);
  const shown = curve.filter(([coverage]) => coverage * items >= Math.min(fewest, items / 2));
  const points = shown.map(([coverage, error]) => [100 * coverage, error] as const);
  const band = shown.map(([coverage, error]) => {
    const answered = Math.round(coverage * items);
    const [low, high] = wilsonInterval(Math.round(error * answered), answered);
    return [100 * coverage, low, high] as const;
  });
  const rows = thresholds.map(({ name, threshold, coverage, error, interval: [low, high] }) => [
    name,
    threshold.toPrecision(3),
    percent(coverage),
    percent(error),
    `${percent(low)} to ${percent(high)}`,
  ]);
  return [
    "<h2>How sure it is</h2>",
    `<p>Expected calibration error: ${before} as the models answer, ${after} at the temperature ${temperature.toFixed(2)}, which was fitted on the validation images and is part of all probabilities here.</p>`,
    "<p>Answers below a threshold of their probability can be rejected: “I don’t know”. Thresholds are chosen on the validation images: " +
      "<code>hub-pathway predict RUN IMAGES --coverage 0.9</code>, or <code>--max-error 0.05</code>; <code>eval</code>, <code>export</code> and <code>serve</code> take them too.</p>",
    htmlTable(["images to answer", "threshold", "answered", "wrong answers", "95 % interval"], rows),
    lineChart("Wrong among the surest answers", [{ name: `area under the curve ${percent(area)}`, points, band }], {
      x: "images that are answered, %",
      y: "wrong answers",
      percent: true,
    }),
    points.length > 0 ? '<p class="note">Shaded: 95 % intervals (Wilson).</p>' : "",
  ].join("\n");
}
