/**
 * Selective prediction: answers below a threshold of their probability are "I don't know" (src/runtime/calibration.ts). The
 * risk-coverage curve has the share of wrong answers among those given, for each share that is given; AURC is the area under it (Geifman
 * and El-Yaniv, "Selective Classification for Deep Neural Networks", 2017; Geifman et al., 2019). N images.
 */
import { z } from "zod";
import { isRejected } from "../runtime/index.ts";
import { ConfigError } from "../torch/index.ts";

/** Steps that are kept of a curve at most: coverage is then known to a thousandth. */
const mostSteps = 1000;

const riskCoverageSchema = z.object({
  items: z.int().min(1),
  /** Area under the curve: mean over n = 1 … N of the share of wrong ones among the n surest answers. */
  area: z.number().min(0).max(1),
  /** Thresholds, the highest first, with the numbers of answers that are given and of wrong ones among them. */
  steps: z.array(z.tuple([z.number().min(0).max(1), z.int().min(1), z.int().min(0)])).min(1),
});

export type RiskCoverage = z.output<typeof riskCoverageSchema>;

/** What a run's validation images say about its answers: a temperature, and the curve of answers at that temperature. */
export const calibrationSchema = riskCoverageSchema.extend({
  /** T of all probabilities that the run gives: see `tempered`. */
  temperature: z.number().gt(0),
  /** Expected calibration error of these images at T = 1 and at T, 0 … 1. */
  calibrationErrors: z.tuple([z.number().min(0), z.number().min(0)]),
});

export type Calibration = z.output<typeof calibrationSchema>;

/** The wish that chooses a threshold: one of both. */
export interface RejectionRule {
  /** Share of images that are answered, above 0 and at most 1. */
  coverage?: number | undefined;
  /** Share of wrong answers among those given, between 0 and 1. */
  maxError?: number | undefined;
}

/** A threshold with what it came to on the images that chose it. */
export interface Selection {
  threshold: number;
  /** Share of the images that are answered. */
  coverage: number;
  /** Share of wrong answers among those given; 0 without any. */
  error: number;
  /** Upper limit of that share: see `upperLimit`. */
  errorLimit: number;
  items: number;
}

/**
 * The curve of answers with the given probabilities. Equal ones are given together; a threshold lies midway between two probabilities,
 * so that another runtime's rounding does not change sides, and the last one is 0.
 * @throws RangeError without items
 */
export function riskCoverage(confidences: ArrayLike<number>, right: readonly boolean[]): RiskCoverage {
  const items = right.length;
  if (items === 0) throw new RangeError("no items to measure");
  const order = [...right.keys()].sort((a, b) => (confidences[b] ?? 0) - (confidences[a] ?? 0));
  const at = (place: number): number => confidences[order[place] ?? -1] ?? 0;
  const steps: RiskCoverage["steps"] = [];
  let [area, wrong, start] = [0, 0, 0];
  for (let end = 1; end <= items; end++) {
    if (end < items && at(end) === at(start)) continue;
    const size = end - start;
    const own = order.slice(start, end).filter((item) => !right[item]).length;
    // Equal ones have no order: each has its part of their mistakes.
    for (let i = 1; i <= size; i++) area += (wrong + (own * i) / size) / (start + i);
    wrong += own;
    start = end;
    steps.push([end === items ? 0 : between(at(end - 1), at(end)), end, wrong]);
  }
  return { items, area: area / items, steps: thinned(steps, items) };
}

function between(upper: number, lower: number): number {
  const middle = (upper + lower) / 2;
  return middle > lower ? middle : upper;
}

/** The last step of each thousandth of the items. */
function thinned(steps: RiskCoverage["steps"], items: number): RiskCoverage["steps"] {
  const part = ([, answered]: RiskCoverage["steps"][number]): number => Math.ceil((answered * mostSteps) / items);
  return steps.filter((step, i) => {
    const next = steps[i + 1];
    return !next || part(next) !== part(step);
  });
}

/** @throws ConfigError for both wishes at once, and for numbers outside their ranges */
export function checkRule({ coverage, maxError }: RejectionRule): void {
  if (coverage !== undefined && maxError !== undefined)
    throw new ConfigError("--coverage and --max-error both choose the threshold: leave one of them out");
  if (coverage !== undefined && !(coverage > 0 && coverage <= 1))
    throw new ConfigError(`the coverage is ${coverage}: it must be above 0 and at most 1`);
  if (maxError !== undefined && !(maxError > 0 && maxError < 1))
    throw new ConfigError(`the largest error is ${maxError}: it must be above 0 and below 1`);
}

/** True when a threshold is wished for. */
export function isAsked({ coverage, maxError }: RejectionRule): boolean {
  return coverage !== undefined || maxError !== undefined;
}

/**
 * The threshold of a wish; undefined without one. For a coverage it is the highest that answers at least that share of the images. For an
 * error it is the lowest whose upper limit (`upperLimit`) is at most that error. The observed share itself would not do: the
 * lowest threshold that just has it on these images has more on new ones about every second time. The limit is taken at each
 * threshold without a correction for their number, since that would cost much coverage. In simulations (100 to 3,000
 * calibrated answers, 80 to 90 % right) the true error was above the wish in at most 6 % of the trials. All this is for images
 * like those of validation, which have also chosen the weights.
 * @throws ConfigError as `checkRule`, and where no threshold has so small an error
 */
export function chooseThreshold(curve: RiskCoverage, rule: RejectionRule): Selection | undefined {
  checkRule(rule);
  const { coverage, maxError } = rule;
  const { items, steps } = curve;
  if (coverage !== undefined) {
    const step = steps.find(([, answered]) => answered >= coverage * items - 1e-9);
    return selectionOf(step ?? (steps.at(-1) as (typeof steps)[number]), items);
  }
  if (maxError === undefined) return undefined;
  const step = steps.findLast(([, answered, wrong]) => isWithin(wrong, answered, maxError));
  if (step) return selectionOf(step, items);
  const least = steps.reduce((best, [, answered, wrong]) => {
    return isWithin(wrong, answered, best) ? upperLimit(wrong, answered) : best;
  }, 1);
  const reachable = Math.ceil(least * 1000) / 1000;
  throw new ConfigError(
    `--max-error is ${maxError}: the ${items} validation images can show no error below ${reachable} with 95 % confidence; ` +
      `give at least --max-error ${reachable}, choose by --coverage, or train with more validation images`,
  );
}

function selectionOf([threshold, answered, wrong]: RiskCoverage["steps"][number], items: number): Selection {
  const error = wrong / answered;
  return { threshold, coverage: answered / items, error, errorLimit: upperLimit(wrong, answered), items };
}

/** What a threshold comes to on answers, whoever chose it. */
export function atThreshold(
  threshold: number,
  confidences: ArrayLike<number>,
  right: readonly boolean[],
): { answered: number; wrong: number } {
  const given = [...right.keys()].filter((i) => !isRejected(confidences[i] ?? 0, threshold));
  return { answered: given.length, wrong: given.filter((i) => !right[i]).length };
}

const level = 0.05;

/** Upper end of the exact one-sided 95 % interval of a share of `wrong` among `count` (Clopper and Pearson 1934). */
export function upperLimit(wrong: number, count: number): number {
  if (wrong >= count) return 1;
  let [low, high] = [wrong / count, 1];
  for (let i = 0; i < 50; i++) {
    const middle = (low + high) / 2;
    if (isWithin(wrong, count, middle)) high = middle;
    else low = middle;
  }
  return high;
}

/** True when so few wrong ones would be seen in at most 5 % of samples if their share were `share`: P(X <= wrong) <= 0.05. */
function isWithin(wrong: number, count: number, share: number): boolean {
  if (wrong >= count) return share >= 1;
  if (share >= 1) return true;
  const odds = Math.log(share) - Math.log1p(-share);
  let term = count * Math.log1p(-share);
  let sum = Math.exp(term);
  for (let i = 0; i < wrong && sum <= level; i++) {
    term += Math.log((count - i) / (i + 1)) + odds;
    sum += Math.exp(term);
  }
  return sum <= level;
}
