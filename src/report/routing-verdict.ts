/**
 * What routes by input are worth in a trained run: its own routes against the same models for every input, through the same
 * heads, and against routes that belong to other inputs. N items, m models, k activated models (this project's choice).
 * Answers count as the task's merits do: right or not; the log loss of labels; the squared error of numbers.
 */
import type { TaskKind } from "../data/index.ts";
import { combinations } from "../methods/index.ts";
import {
  type BatchSource,
  costOf,
  type EvaluationOptions,
  evaluateVariants,
  type MeasuringTask,
  type Predictor,
  type TaskEvaluation,
  type TaskMetrics,
  type VariantEvaluation,
} from "../train/index.ts";
import { activeModels, useOf } from "./routing-statistics.ts";
import { percent, points } from "./table.ts";

export interface RoutingVerdict {
  /** What answers are, where they are not one class. */
  kind?: TaskKind;
  k: number;
  /** Mean merit by the run's own routes: accuracy, 0 … 1; minus the log loss, nats; minus the squared error, variances. */
  routed: number;
  /** FLOPs of an image by the run's own routes, in those of the same models. */
  relativeCost: number;
  /** The same by the same k models for every input, which were chosen on the other half of the items. */
  fixed: number;
  /** The best such models on all items. */
  fixedModels: string[];
  /** Routed less fixed, with its 95 % interval over the items (normal, paired). */
  gain: number;
  interval: [low: number, high: number];
  /** Expected mean merit when each input takes the routes of an input at random. */
  permuted: number;
  /** Routed less permuted, lower end of its 95 % interval: above 0 where routes belong to their inputs. */
  overPermuted: number;
  /** One model alone, chosen on the other half of the items, where the run activates several. */
  one?: Alternative | undefined;
  /** All models together, where the run activates some. */
  all?: Alternative | undefined;
}

/** Other models than the run activates. */
export interface Alternative {
  models: string[];
  /** Theirs less the run's own, with its 95 % interval. */
  gain: number;
  interval: [low: number, high: number];
  /** FLOPs of an image in those of the run's own routes. */
  relativeCost: number;
}

/** Sets of models that are tried at most: all of them, or those of the most activated models. */
const mostSets = 60;

/** A set of models for every input, and the merit of its answers. */
interface Tried {
  models: readonly number[];
  merits: readonly number[];
  flops: number;
}

/**
 * Measures it alone, each model computed once; undefined for a predictor that has nothing to choose.
 * @param evaluation of the predictor on these batches
 */
export async function routingVerdict(
  predictor: Predictor,
  batches: BatchSource,
  evaluation: TaskEvaluation,
  task: MeasuringTask,
  options: EvaluationOptions = {},
): Promise<RoutingVerdict | undefined> {
  const sets = fixedSets(predictor, evaluation);
  if (sets.length === 0) return undefined;
  const measured = await evaluateVariants(predictor, batches, task, sets, options);
  return verdictOf(predictor, evaluation, task, sets, measured);
}

type FixedSet = { models: readonly number[]; k: number };

/** The same models for every input, to be measured for a verdict: none where there is nothing to choose. */
export function fixedSets(predictor: Predictor, evaluation: TaskEvaluation): FixedSet[] {
  const { k, largestK = 0 } = predictor;
  const { labels, weights, scores, members: m } = evaluation;
  if (k === undefined || k >= largestK || scores.length === 0 || labels.length < 2) return [];
  const routes = routesOf(evaluation);
  if (routes.some((models) => models.length !== k)) return [];
  const use = useOf(weights, m, [...labels.keys()]);
  const alone = k > 1 ? use.map((_, i) => [i]) : [];
  const all = use.map((_, i) => i);
  return [...setsOf(use, k, routes), ...alone, all].map((models) => ({ models, k: models.length }));
}

const routesOf = ({ labels, weights, members: m }: TaskEvaluation): number[][] =>
  labels.map((_, item) => activeModels(weights, m, item));

/** The verdict from what was measured of the sets, in their order; undefined without any. */
export function verdictOf(
  predictor: Predictor,
  evaluation: TaskEvaluation,
  task: MeasuringTask,
  sets: readonly FixedSet[],
  measured: readonly (VariantEvaluation<TaskMetrics> | undefined)[],
): RoutingVerdict | undefined {
  const { memberNames, k, largestK = 0 } = predictor;
  if (k === undefined || sets.length === 0) return undefined;
  // A set with a model that the run did not keep has fewer models than it names.
  const having = (count: number, of: (set: FixedSet) => boolean) =>
    sets.flatMap((set, i): Tried[] => {
      const one = measured[i];
      return one && of(set) && Math.round(one.activatedModels) === count
        ? [{ models: set.models, merits: one.merits, flops: one.inferenceFlops }]
        : [];
    });
  const tried = having(k, (set) => set.k === k);
  const own = task.merits(evaluation);
  const chosen = bestOfHalves(tried);
  const fixed = own.map((_, i) => chosen[i % 2]?.merits[i] ?? 0);
  const { inferenceFlops } = costOf(predictor, evaluation.weights);
  const alternative = (sets: readonly Tried[]): Alternative | undefined => {
    if (sets.length === 0) return undefined;
    const halves = bestOfHalves(sets);
    const best = sets.reduce((first, other) => (meanOf(other.merits) > meanOf(first.merits) ? other : first));
    return {
      models: best.models.map((i) => memberNames[i] ?? ""),
      ...paired(
        own.map((_, i) => halves[i % 2]?.merits[i] ?? 0),
        own,
      ),
      relativeCost: meanOf(halves.map(({ flops }) => flops)) / inferenceFlops,
    };
  };
  const permuted = alongOthers(tried, routesOf(evaluation));
  const best = tried.reduce((first, other) => (meanOf(other.merits) > meanOf(first.merits) ? other : first));
  return {
    ...(task.kind === "classification" ? {} : { kind: task.kind }),
    k,
    routed: meanOf(own),
    relativeCost: inferenceFlops / meanOf(chosen.map(({ flops }) => flops)),
    fixed: meanOf(fixed),
    fixedModels: best.models.map((i) => memberNames[i] ?? ""),
    ...paired(own, fixed),
    permuted: meanOf(permuted),
    overPermuted: paired(own, permuted).interval[0],
    ...(k > 1 ? { one: alternative(having(1, (set) => set.k === 1)) } : {}),
    all: alternative(having(largestK, (set) => set.k === memberNames.length)),
  };
}

/** Routes by input are better than the same models for every input, and because they belong to their inputs. */
export const routesPay = ({ interval, overPermuted }: RoutingVerdict): boolean => interval[0] > 0 && overPermuted > 0;

/** Whether routing by input pays, and by how much; and whether one model is enough, or all together are better. */
export const verdictSentence = (verdict: RoutingVerdict): string =>
  [routesSentence(verdict), ...alternativesOf(verdict)].join("; ");

function alternativesOf({ kind = "classification", one, all }: RoutingVerdict): string[] {
  const { difference, of } = words[kind];
  const figures = ({ gain, interval: [low, high], relativeCost }: Alternative) =>
    `${difference(gain)} ${of} (${difference(low)} to ${difference(high)}) at ${percent(relativeCost)} of the cost`;
  const alone = one && one.interval[1] >= 0 ? [one] : [];
  const together = all && all.interval[0] > 0 ? [all] : [];
  return [
    ...alone.map(
      (own) => `${own.models[0]} alone ${own.interval[0] > 0 ? "is better" : "may be enough"}: ${figures(own)}`,
    ),
    ...together.map((own) => `all ${own.models.length} models together are better: ${figures(own)}`),
  ];
}

function routesSentence(verdict: RoutingVerdict): string {
  const { kind = "classification", k, fixedModels, gain, interval, routed, permuted, relativeCost } = verdict;
  const { difference, of, level } = words[kind];
  const same = k === 1 ? "the same model" : `the same ${k} models`;
  const [low, high] = interval.map(difference);
  const figures = `${difference(gain)} ${of} (${low} to ${high})`;
  const others = `with routes of other images ${level(permuted)}`;
  if (routesPay(verdict))
    return `routing by input pays here: ${figures} over ${same} for every image ${atCost(relativeCost)}; ${others}`;
  const relation = interval[1] < 0 ? (k === 1 ? "is better" : "are better") : k === 1 ? "is enough" : "are enough";
  // Above the models that half of the images choose, but not by routes that belong to the images.
  const why =
    interval[0] > 0
      ? `${kind === "classification" ? "accuracy is " : ""}${level(routed)}, and ${others}`
      : `routing by input gives ${figures}`;
  return `${same} for every image ${relation} (${fixedModels.join(", ")}): ${why}`;
}

const signed = (value: number): string => `${value > 0 ? "+" : ""}${value.toFixed(4)}`;

/** How merits of a kind are said: a difference of two, its unit, and one alone. */
const words: Record<TaskKind, { difference: (v: number) => string; of: string; level: (v: number) => string }> = {
  classification: { difference: points, of: "points", level: percent },
  "multi-label": { difference: signed, of: "nats of log loss", level: (v) => `a log loss of ${(-v).toFixed(4)}` },
  regression: {
    ...{ difference: signed, of: "variances of squared error" },
    level: (v) => `a squared error of ${(-v).toFixed(4)} variances`,
  },
};

/** Costs within a twentieth are the same. */
function atCost(relative: number): string {
  if (Math.abs(relative - 1) <= 0.05) return "at the same cost";
  return `at ${percent(relative)} of that cost`;
}

/** Sets of k models, among them the routes that are taken where they are few. */
function setsOf(use: readonly number[], k: number, routes: readonly (readonly number[])[]): number[][] {
  const byUse = use.map((_, i) => i).sort((a, b) => (use[b] ?? 0) - (use[a] ?? 0));
  let count = use.length;
  while (count > k && combinations(count, k).length > mostSets) count -= 1;
  const common = combinations(count, k).map((set) => set.map((i) => byUse[i] ?? 0).sort((a, b) => a - b));
  const all = new Map([...common, ...routes].map((set) => [set.join(","), [...set]]));
  return [...all.values()];
}

/** For the items of each half, the set that was best on the other one. */
function bestOfHalves(tried: readonly Tried[]): Tried[] {
  return [0, 1].map((half) => {
    const score = ({ merits }: Tried) => merits.reduce((sum, one, i) => sum + (i % 2 === half ? 0 : one), 0);
    return tried.reduce((first, other) => (score(other) > score(first) ? other : first));
  });
}

/** Expected merit of each item along the routes of an item at random. */
function alongOthers(tried: readonly Tried[], routes: readonly (readonly number[])[]): number[] {
  const count = new Map<string, number>();
  for (const set of routes) count.set(set.join(","), (count.get(set.join(",")) ?? 0) + 1);
  const shares = tried.map(({ models, merits }) => ({
    merits,
    part: (count.get(models.join(",")) ?? 0) / routes.length,
  }));
  return routes.map((_, item) => shares.reduce((sum, { merits, part }) => sum + part * (merits[item] ?? 0), 0));
}

function paired(own: readonly number[], other: readonly number[]): Pick<RoutingVerdict, "gain" | "interval"> {
  const differences = own.map((merit, i) => merit - (other[i] ?? 0));
  const count = differences.length;
  const gain = meanOf(differences);
  const variance = differences.reduce((sum, one) => sum + (one - gain) ** 2, 0) / (count - 1);
  const half = 1.959964 * Math.sqrt(variance / count);
  return { gain, interval: [gain - half, gain + half] };
}

const meanOf = (values: readonly number[]): number => values.reduce((sum, one) => sum + one, 0) / values.length;
