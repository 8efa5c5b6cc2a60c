/**
 * Choices of models for every budget of one trained run. At a price for each GFLOP an input activates k models, or as many
 * as it takes until the answer is sure. Scores are nats of loss, so that a price has a unit (this project's choice).
 * m models.
 */
import { Asking, type BudgetChoice, logsOf, type ModelChoice, type Rule, softmaxRows } from "../runtime/index.ts";
import type { Tensor } from "../torch/index.ts";
import {
  argmaxAt,
  type BatchSource,
  type EvaluationOptions,
  forEachPrediction,
  type Prediction,
  type Predictor,
} from "../train/index.ts";
import { combinations } from "./ensemble-predictor.ts";

/** Nats that the dearest model must save over the cheapest. */
const spreads = [0, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
/** Probabilities of an answer at which models are asked no further. */
export const stops = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95];
const most = 4;
/** Nats by which no two scores differ: a price that is worth them puts cheaper models first. */
const largestDifference = 1000;
/** Present models up to which sets of three are tried, sets at most, and probabilities that are joined for them at most. */
const [mostForTriples, mostSets, mostJoined] = [12, 300, 4e8];

/**
 * Choices that are tried, for models of the given FLOPs: routes at several prices, k models for an input or as many as it takes
 * until the answer is sure; and cascades, the same two or three models for every input, the cheaper ones first, until it is
 * sure. Models that cost the same have no price, and no cascade.
 * @param present those that may be activated
 * @param answers probabilities of one pass over the validation images, which bounds the number of cascades
 */
export function budgetSettings(
  costs: readonly number[],
  present: readonly number[] = costs.map((_, i) => i),
  answers = 0,
): BudgetSetting[] {
  return [...routeSettings(costs), ...cascadeSettings(costs, present, answers)];
}

export type BudgetSetting = ModelChoice & Pick<BudgetChoice, "k" | "price">;

export function routeSettings(costs: readonly number[]): BudgetSetting[] {
  const m = costs.length;
  const spread = (Math.max(...costs) - Math.min(...costs)) / 1e9;
  const prices = spread > 0 ? spreads.map((nats) => nats / spread) : [0];
  const ks = Array.from({ length: Math.min(m, most) }, (_, i) => i + 1);
  return prices.flatMap((price) => [
    ...ks.map((k) => ({ k, price })),
    ...(m > 1 ? stops.map((confidence) => ({ k: m, price, confidence })) : []),
  ]);
}

/** Sets of two and three models of different cost; only as many as are measured within seconds. */
export function cascadeSettings(costs: readonly number[], present: readonly number[], answers = 0): BudgetSetting[] {
  const affordable = Math.min(mostSets, Math.floor(mostJoined / (stops.length * Math.max(1, answers))));
  const sizes = present.length <= mostForTriples ? [2, 3] : [2];
  const sets = sizes.flatMap((size) => combinations(present.length, size)).slice(0, affordable);
  return sets.flatMap((set): BudgetSetting[] => {
    const models = set.map((at) => present[at] ?? 0);
    const own = models.map((i) => costs[i] ?? 0).sort((a, b) => a - b);
    const gaps = own.slice(1).map((cost, i) => cost - (own[i] ?? 0));
    const gap = Math.min(...gaps.filter((one) => one > 0));
    if (!Number.isFinite(gap)) return [];
    const price = (largestDifference / gap) * 1e9;
    return stops.map((confidence) => ({ k: models.length, price, confidence, models }));
  });
}

/** What a choice came to: counts alone, since tables of all choices would not fit into memory. */
interface Tally {
  right: number;
  /** Activations of each model, [m]. */
  uses: number[];
}

/** What each model alone says about items, as logarithms of probabilities [N, C], and the generator's scores [N, m]. */
export interface Said {
  logProbabilities: readonly (Float32Array | undefined)[];
  scores: Float32Array;
  classes: number;
}

/** Class that a rule answers for an item, and the models that it activates. */
export function answerBy(rule: Rule, said: Said, item: number): { answer: number; used: number[] } {
  const m = said.logProbabilities.length;
  const asking = new Asking(rule, said.scores.subarray(item * m, (item + 1) * m));
  for (;;) {
    const joined = joinedAnswer(asking.weights, said, item);
    asking.take(joined);
    if (asking.isOpen) continue;
    return { answer: argmaxAt(joined, 0, said.classes), used: activated(asking.weights) };
  }
}

const activated = (weights: Float32Array): number[] =>
  Array.from(weights.keys()).filter((index) => (weights[index] ?? 0) > 0);

/** Logits that are joined by weights give the same probabilities as their logarithms do: each row's constant goes. */
function joinedAnswer(weights: Float32Array, { logProbabilities, classes }: Said, item: number): Float32Array {
  const sum = new Float32Array(classes);
  for (const [index, weight] of weights.entries()) {
    const own = logProbabilities[index];
    if (weight === 0 || !own) continue;
    for (let c = 0; c < classes; c++) sum[c] = (sum[c] ?? 0) + weight * (own[item * classes + c] ?? 0);
  }
  return softmaxRows(sum, classes);
}

/** A predictor whose choices of models follow a rule. */
type ByRule = Predictor & { ruleBy(choice: ModelChoice): Rule };

/** Choices that none is cheaper than and as accurate as, the cheapest first, and the models that each of them activates. */
export async function measureChoices(
  predictor: ByRule,
  settings: readonly BudgetSetting[],
  batches: BatchSource,
  { signal, onProgress }: EvaluationOptions,
): Promise<{ choice: BudgetChoice; models: number[] }[]> {
  const m = predictor.memberNames.length;
  const rules = settings.map((setting) => predictor.ruleBy(setting));
  const singles = predictor.memberNames.map((_, i) => ({ k: 1, models: [i] }));
  const tallies = settings.map((): Tally => ({ right: 0, uses: new Array<number>(m).fill(0) }));
  let [items, done] = [0, 0];
  const loop = { work: "choices for budgets", signal };
  await forEachPrediction(predictor, batches.epoch(0, 0), loop, ({ images, labels, features }) => {
    const said = saidBy(predictor.predictVariants?.(images, singles, features) ?? [], labels.length);
    for (const [i, rule] of rules.entries()) {
      for (const [row, label] of labels.entries()) count(tallies[i] as Tally, answerBy(rule, said, row), label);
    }
    items += labels.length;
    onProgress?.(++done, batches.stepsPerEpoch);
  });
  return front(settings.map((setting, i) => measured(predictor, setting, tallies[i] as Tally, items)));
}

function saidBy(predictions: readonly (Prediction | undefined)[], items: number): Said {
  const floats = (values: Tensor | undefined) =>
    values?.to({ dtype: "float32" }).toTypedArray() as Float32Array | undefined;
  const tables = predictions.map((prediction) => floats(prediction?.probabilities));
  const scores = floats(predictions.find((prediction) => prediction?.scores)?.scores) ?? new Float32Array();
  const classes = (tables.find((table) => table)?.length ?? 0) / items;
  return { logProbabilities: tables.map((table) => table && logsOf(table)), scores, classes };
}

function count(tally: Tally, { answer, used }: ReturnType<typeof answerBy>, label: number): void {
  if (answer === label) tally.right += 1;
  for (const index of used) tally.uses[index] = (tally.uses[index] ?? 0) + 1;
}

function measured(
  predictor: Predictor,
  setting: BudgetSetting,
  { right, uses }: Tally,
  items: number,
): { choice: BudgetChoice; models: number[] } {
  const activations = uses.reduce((sum, count) => sum + count, 0);
  const shares = uses.map((count) => count / activations);
  const flops = predictor.pathwayFlops?.(shares, activations / items) ?? predictor.inferenceFlops;
  return {
    choice: { ...setting, accuracy: right / items, flops, uses: uses.map((count) => count / items) },
    models: uses.flatMap((count, i) => (count > 0 ? [i] : [])),
  };
}

/** Those that are more accurate than all cheaper ones, the cheapest first. */
export function front<T extends { choice: BudgetChoice }>(all: readonly T[]): T[] {
  const sorted = [...all].sort((a, b) => a.choice.flops - b.choice.flops || b.choice.accuracy - a.choice.accuracy);
  let best = -1;
  return sorted.filter(({ choice: { accuracy } }) => {
    if (accuracy <= best) return false;
    best = accuracy;
    return true;
  });
}
