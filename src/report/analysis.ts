/**
 * Analysis of a run's predictions on one split: the numbers behind the report, as `report --json` prints
 * them. Information and entropies are in nats. m models.
 */
import {
  type BatchSource,
  ClassificationTask,
  type Evaluation,
  type EvaluationSummary,
  evaluateVariants,
  type Predictor,
  type RunEvent,
  rightItems,
  type VariantEvaluation,
  type VariantOptions,
  wilsonInterval,
} from "../train/index.ts";
import { analyseConfidence, type ConfidenceAnalysis, type ConfidenceRequest } from "./confidence-section.ts";
import { analyseMistakes, frequentClass, type JudgedImage, judge, type MistakeAnalysis } from "./mistakes.ts";
import type { ReportData } from "./report-data.ts";
import {
  chanceInformation,
  entropy,
  labelEntropy,
  meanScoreEntropy,
  meanWeightEntropy,
  mutualInformation,
  overlapMatrix,
  type Path,
  pathsOf,
  softmax,
  totalVariation,
  useOf,
} from "./routing-statistics.ts";
import { fixedSets, type RoutingVerdict, verdictOf } from "./routing-verdict.ts";
import { slicings } from "./slices.ts";

/** Some of the items: how well they are predicted, and by which models. */
export interface GroupAnalysis {
  name: string;
  items: number;
  accuracy: number;
  /** 95 % interval of the accuracy. */
  interval: [low: number, high: number];
  /** Share of the items that activate each model; absent without routes. */
  use?: number[];
}

export interface PathAnalysis {
  models: string[];
  items: number;
  share: number;
  accuracy: number;
  /** Images that the generator sends here with most of its probability. */
  typical: JudgedImage[];
}

export interface RoutingAnalysis {
  /** Entropy of an input's weights, mean over the inputs. */
  weightEntropy: number;
  /** Entropy of softmax over an input's scores, likewise; null without a generator. */
  scoreEntropy: number | null;
  /** Entropy of the shares of activations; at most log m. */
  shareEntropy: number;
  /** Mutual information of the route (the set of activated models) and the class. */
  routeClassInformation: {
    value: number;
    /** The same of as many inputs with shuffled classes. */
    chance: number;
    routeEntropy: number;
    classEntropy: number;
  };
  /** Share of the images that activate each model. */
  use: number[];
  /** Share of all activations that each model got. */
  shares: number[];
  /** Models that no input activates. */
  dead: string[];
  /** Models with a share below a tenth of an equal one. */
  rare: string[];
  /** Part of the inputs that activate both of two models, among those that activate one or both, [m][m]. */
  overlap: number[][];
  /** The most frequent first. */
  paths: PathAnalysis[];
}

export interface VariantAnalysis {
  /** With k activated models. */
  accuracyByK: { k: number; accuracy: number; logLoss: number; inferenceFlops: number }[];
  /** With models that are asked until the answer is that sure. */
  accuracyByConfidence: { confidence: number; activatedModels: number; accuracy: number; inferenceFlops: number }[];
  /** With the choice that the run has for a budget of mean FLOPs. */
  accuracyByBudget: { budget: number; activatedModels: number; accuracy: number; inferenceFlops: number }[];
  /** Without one of the models. */
  leaveOneOut: { model: string; accuracy: number; change: number; logLoss: number }[];
}

export interface RunAnalysis {
  summary: EvaluationSummary;
  /** 95 % interval of the accuracy. */
  interval: [low: number, high: number];
  /** Accuracy of the same answer to every image: the most frequent class. */
  baseline: { name: string; share: number };
  mistakes: MistakeAnalysis;
  /** Absent for a run without a calibration. */
  confidence?: ConfidenceAnalysis;
  models: string[];
  classes: GroupAnalysis[];
  slices: { name: string; parts: GroupAnalysis[] }[];
  /** Absent where every input takes the same models. */
  routing?: RoutingAnalysis;
  /** Shares of activations while training, and how far each epoch moved from the one before (total variation). */
  drift: { fit: string; epoch: number; shares: number[]; change: number }[];
  /** Absent where they were not asked for. */
  variants?: VariantAnalysis;
  /** What routes by input are worth; absent where it was not measured. */
  verdict?: RoutingVerdict;
}

export interface AnalysisRequest {
  summary: EvaluationSummary;
  evaluation: Evaluation;
  data: ReportData;
  memberNames: readonly string[];
  events: readonly RunEvent[];
  variants?: VariantAnalysis | undefined;
  verdict?: RoutingVerdict | undefined;
  confidence?: ConfidenceRequest | undefined;
}

export async function analyseRun(request: AnalysisRequest): Promise<RunAnalysis> {
  const { summary, evaluation, data, memberNames, events, variants, verdict, confidence } = request;
  const right = rightItems(evaluation.probabilities, evaluation.labels, evaluation.classes);
  const group = (name: string, items: readonly number[]) => groupAnalysis(evaluation, right, name, items);
  const ofClass = itemsByClass(evaluation.labels, data.classes.length);
  const slices = await slicings(data, evaluation.indices);
  return {
    summary,
    interval: wilsonInterval(right.filter(Boolean).length, right.length),
    baseline: frequentClass(evaluation.labels, data.classes),
    mistakes: analyseMistakes(evaluation, data),
    ...(confidence ? { confidence: analyseConfidence(evaluation, confidence) } : {}),
    models: [...memberNames],
    classes: data.classes.map((name, c) => group(name, ofClass[c] ?? [])),
    slices: slices.map(({ name, parts }) => ({ name, parts: parts.map((part) => group(part.name, part.items)) })),
    ...(evaluation.weights.length > 0 ? { routing: routingAnalysis(evaluation, right, memberNames, data) } : {}),
    drift: driftOf(events),
    ...(variants ? { variants } : {}),
    ...(verdict ? { verdict } : {}),
  };
}

/** Confidences that a report tries. */
const confidences = [0.5, 0.7, 0.8, 0.9, 0.95, 0.99];

/**
 * Measures a predictor with every k, until it is sure, without each model, and with the same models for every input, as far
 * as it has these choices; each model is computed once for all of them.
 * @param evaluation of the predictor on these batches
 */
export async function analyseVariants(
  predictor: Predictor,
  batches: BatchSource,
  evaluation: Evaluation,
  options: VariantOptions = {},
): Promise<{ variants: VariantAnalysis; verdict: RoutingVerdict | undefined }> {
  const { accuracy } = evaluation.metrics;
  const m = predictor.memberNames.length;
  const all = predictor.memberNames.map((_, i) => i);
  const k = predictor.largestK;
  const sure =
    predictor.answerBy && k !== undefined && k > 1 ? confidences.map((confidence) => ({ k, confidence })) : [];
  const { budgets = [] } = predictor;
  const spent = budgets.map(({ accuracy: _, flops: __, ...choice }) => choice);
  const without = m > 1 ? all.map((i) => ({ without: i })) : [];
  const sets = fixedSets(predictor, evaluation);
  const choices = [...all.map((i) => ({ k: i + 1 })), ...sure, ...without, ...spent, ...sets];
  const task = new ClassificationTask(evaluation.classes);
  const measured = await evaluateVariants(predictor, batches, task, choices, options);
  const left = m + sure.length + without.length;
  const single = left + spent.length;
  const known = <T>(from: number, to: number, make: (one: VariantEvaluation, i: number) => T): T[] =>
    measured.slice(from, to).flatMap((one, i) => (one ? [make(one, i)] : []));
  const variants = {
    accuracyByK: known(0, m, ({ metrics: { accuracy, logLoss }, inferenceFlops }, i) => {
      return { k: i + 1, accuracy, logLoss, inferenceFlops };
    }),
    accuracyByConfidence: known(m, m + sure.length, ({ metrics: { accuracy }, inferenceFlops, activatedModels }, i) => {
      return { confidence: confidences[i] ?? 1, activatedModels, accuracy, inferenceFlops };
    }),
    accuracyByBudget: known(left, single, ({ metrics: { accuracy }, inferenceFlops, activatedModels }, i) => {
      return { budget: budgets[i]?.flops ?? 0, activatedModels, accuracy, inferenceFlops };
    }),
    leaveOneOut: known(m + sure.length, left, ({ metrics }, i) => {
      const model = predictor.memberNames[i] ?? "";
      return { model, accuracy: metrics.accuracy, change: metrics.accuracy - accuracy, logLoss: metrics.logLoss };
    }),
  };
  return { variants, verdict: verdictOf(predictor, evaluation, task, sets, measured.slice(single)) };
}

function groupAnalysis(
  evaluation: Evaluation,
  right: readonly boolean[],
  name: string,
  items: readonly number[],
): GroupAnalysis {
  const { weights, members } = evaluation;
  const use = weights.length > 0 ? { use: useOf(weights, members, items) } : {};
  const count = items.filter((i) => right[i]).length;
  const accuracy = count / Math.max(1, items.length);
  return { name, items: items.length, accuracy, interval: wilsonInterval(count, items.length), ...use };
}

/** Positions of the items of each class. */
export function itemsByClass(labels: readonly number[], classes: number): number[][] {
  const items = Array.from({ length: classes }, (): number[] => []);
  for (const [i, label] of labels.entries()) items[label]?.push(i);
  return items;
}

function shareRight(right: readonly boolean[], items: readonly number[]): number {
  return items.filter((i) => right[i]).length / Math.max(1, items.length);
}

function routingAnalysis(
  evaluation: Evaluation,
  right: readonly boolean[],
  memberNames: readonly string[],
  data: ReportData,
): RoutingAnalysis {
  const { weights, scores, members: m, labels } = evaluation;
  const paths = pathsOf(weights, m);
  const routes = routeOfItem(paths, labels.length);
  const use = useOf(weights, m, [...labels.keys()]);
  const total = use.reduce((sum, share) => sum + share, 0);
  const shares = use.map((share) => share / total);
  const named = (keep: (share: number) => boolean) => memberNames.filter((_, j) => keep(shares[j] ?? 0));
  return {
    weightEntropy: meanWeightEntropy(weights, m),
    scoreEntropy: scores.length > 0 ? meanScoreEntropy(scores, m) : null,
    shareEntropy: entropy(shares),
    routeClassInformation: {
      value: mutualInformation(routes, labels),
      chance: chanceInformation(routes, labels),
      routeEntropy: labelEntropy(routes),
      classEntropy: labelEntropy(labels),
    },
    use,
    shares,
    dead: named((share) => share === 0),
    rare: named((share) => share > 0 && share < 0.1 / m),
    overlap: overlapMatrix(weights, m),
    paths: paths.map((path) => ({
      models: path.models.map((j) => memberNames[j] ?? ""),
      items: path.items.length,
      share: path.items.length / labels.length,
      accuracy: shareRight(right, path.items),
      typical: typicalOf(path, evaluation).map((item) => judge(item, evaluation, data)),
    })),
  };
}

function routeOfItem(paths: readonly Path[], count: number): number[] {
  const routes = new Array<number>(count).fill(-1);
  for (const [route, { items }] of paths.entries()) for (const item of items) routes[item] = route;
  return routes;
}

const typicalCount = 8;

/** Items of a path: by the probability that the generator gives to the path's models, in order without one. */
function typicalOf(path: Path, evaluation: Evaluation): number[] {
  const { scores, members: m } = evaluation;
  const certainty = (item: number): number => {
    const probabilities = softmax([...scores.subarray(item * m, (item + 1) * m)]);
    return path.models.reduce((sum, j) => sum + (probabilities[j] ?? 0), 0);
  };
  const ranked =
    scores.length === 0
      ? path.items
      : path.items
          .map((item) => [item, certainty(item)] as const)
          .sort((a, b) => b[1] - a[1])
          .map(([item]) => item);
  return ranked.slice(0, typicalCount);
}

/** A run that went on after an interruption may tell of an epoch twice: the last word counts. */
function driftOf(events: readonly RunEvent[]): RunAnalysis["drift"] {
  const last = new Map<string, { fit: string; epoch: number; shares: number[] }>();
  for (const event of events) {
    if (event.type !== "epoch" || !event.shares) continue;
    const { fit, epoch, shares } = event;
    last.set(`${fit} ${epoch}`, { fit, epoch, shares });
  }
  const epochs = [...last.values()];
  return epochs.map((one) => {
    const before = epochs.find((other) => other.fit === one.fit && other.epoch === one.epoch - 1);
    return { ...one, change: before ? totalVariation(one.shares, before.shares) : 0 };
  });
}
