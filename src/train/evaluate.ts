/** Predictions over a split, and what they are worth. N items, C classes, m models. */
import { tempered } from "../runtime/index.ts";
import { Interrupted, type ProcessGroup, scope, type Tensor, tensor } from "../torch/index.ts";
import type { BatchSource } from "./data.ts";
import type { EvaluationOptions, Predictor, Variant } from "./learner.ts";
import type { Metrics, TaskMetrics } from "./metrics.ts";
import { forEachPrediction } from "./predict.ts";
import { onAnyRank } from "./ranks.ts";
import { ClassificationTask, type Task } from "./task.ts";

export interface Predictions {
  /** Row-major [N, C]: probabilities, or numbers in their own units. */
  probabilities: Float32Array;
  /** Classes, or strata where images have several labels or numbers. */
  labels: number[];
  /** Several labels or numbers, row-major [N, C]. */
  targets?: Float64Array | undefined;
  /** Positions of the items in their dataset. */
  indices: number[];
  classes: number;
  /** Weights of the activated models, row-major [N, m]; empty when the predictor does not route. */
  weights: Float32Array;
  /** The generator's scores, row-major [N, m]; empty without a generator. */
  scores: Float32Array;
  members: number;
  secondsPerImage: number;
}

export interface Evaluation<M extends TaskMetrics = Metrics> extends Predictions {
  metrics: M;
}

/** An evaluation, whatever the labels are. */
export type TaskEvaluation = Evaluation<TaskMetrics>;

/** True where each image has one class. */
export function isClassified(evaluation: TaskEvaluation): evaluation is Evaluation {
  return evaluation.targets === undefined;
}

/** What of a task an evaluation needs. */
export type MeasuringTask<M extends TaskMetrics = TaskMetrics> = Pick<
  Task<M>,
  "kind" | "outputs" | "measure" | "merits"
>;

/** Ranks that share the batches; they stop together. */
export type GroupOptions = EvaluationOptions & { group?: ProcessGroup | undefined };

/** `evaluateTask` where each image has one class. */
export function evaluate(
  predictor: Predictor,
  batches: BatchSource,
  classes: number,
  options: GroupOptions = {},
): Promise<Evaluation> {
  return evaluateTask(predictor, batches, new ClassificationTask(classes), options);
}

/**
 * Runs a predictor over all batches once; the ranks of a group share them, and each has all results.
 * @throws Interrupted after the signal
 */
export async function evaluateTask<M extends TaskMetrics>(
  predictor: Predictor,
  batches: BatchSource,
  task: Pick<Task<M>, "kind" | "outputs" | "measure">,
  { signal, onProgress, group }: GroupOptions = {},
): Promise<Evaluation<M>> {
  const { outputs: classes } = task;
  const probabilities: Float32Array[] = [];
  const weights: Float32Array[] = [];
  const scores: Float32Array[] = [];
  const labels: number[] = [];
  const targets: Float64Array[] = [];
  const indices: number[] = [];
  const members = predictor.memberNames.length;
  const work = "evaluation";
  const loop = group ? { work } : { work, signal };
  const stopTogether = () => {
    if (group && onAnyRank(signal?.aborted === true, group)) throw new Interrupted(work);
  };
  const seconds = await forEachPrediction(predictor, batches.epoch(0, 0), loop, (batch) => {
    // Each rank says some batches, and zeros stand for the others; the first one says what there is.
    const isOwn = !group || probabilities.length % group.worldSize === group.rank;
    const table = (values: Tensor | undefined, width: number) =>
      isOwn && values ? floats(values) : new Float32Array(batch.labels.length * width);
    const isFirst = probabilities.length === 0;
    const prediction =
      isOwn || isFirst || predictor.shards ? predictor.predict(batch.images, batch.features) : undefined;
    probabilities.push(table(prediction?.probabilities, classes));
    if (isFirst ? prediction?.weights : weights.length > 0) weights.push(table(prediction?.weights, members));
    if (isFirst ? prediction?.scores : scores.length > 0) scores.push(table(prediction?.scores, members));
    labels.push(...batch.labels);
    if (task.kind !== "classification") targets.push(batch.targets.toTypedArray() as Float64Array);
    indices.push(...batch.indices);
    onProgress?.(probabilities.length, batches.stepsPerEpoch);
    if (group && probabilities.length % group.worldSize === 0) stopTogether();
  });
  stopTogether();
  const whole = (parts: readonly Float32Array[]) => (group ? summed(joined(parts), group) : joined(parts));
  const table = whole(probabilities);
  const own = tableOf(task, labels, targets);
  return {
    probabilities: table,
    labels,
    ...own,
    indices,
    classes,
    weights: whole(weights),
    scores: whole(scores),
    members,
    secondsPerImage: seconds / labels.length,
    metrics: task.measure({ probabilities: table, labels, ...own }),
  };
}

/** Targets of all batches in one table, where there are any. */
function tableOf(
  { kind, outputs }: Pick<Task, "kind" | "outputs">,
  labels: readonly number[],
  targets: readonly Float64Array[],
): { targets?: Float64Array } {
  return kind === "classification" ? {} : { targets: filled(new Float64Array(labels.length * outputs), targets) };
}

function summed(table: Float32Array, group: ProcessGroup): Float32Array {
  return scope(() => group.allReduce(tensor(table)).toTypedArray() as Float32Array);
}

/** Metrics and cost with another choice of models. */
export interface VariantEvaluation<M extends TaskMetrics = Metrics> {
  metrics: M;
  inferenceFlops: number;
  /** Activated models of an image, on average; 0 when the predictor does not route. */
  activatedModels: number;
  /** As the task counts them, [N]: of classes 1 for a right answer and else 0. */
  merits: number[];
  /** Row-major [N, C]. */
  probabilities: Float32Array;
  /** Weights of the activated models, row-major [N, m]; empty when the predictor does not route. */
  weights: Float32Array;
  labels: number[];
  /** Positions of the items in their dataset. */
  indices: number[];
}

export interface VariantOptions extends EvaluationOptions {
  /** Temperature of the probabilities (default 1). */
  temperature?: number | undefined;
}

/**
 * A predictor under other choices of models, each model computed once for all of them; undefined for a choice that it does
 * not have.
 */
export async function evaluateVariants<M extends TaskMetrics>(
  predictor: Predictor,
  batches: BatchSource,
  task: MeasuringTask<M>,
  variants: readonly Variant[],
  { signal, onProgress, temperature }: VariantOptions = {},
): Promise<(VariantEvaluation<M> | undefined)[]> {
  const tables = variants.map((): Float32Array[] => []);
  const weights = variants.map((): Float32Array[] => []);
  const labels: number[] = [];
  const targets: Float64Array[] = [];
  const indices: number[] = [];
  let done = 0;
  if (!predictor.predictVariants) return variants.map(() => undefined);
  const loop = { work: "evaluation of other choices", signal };
  await forEachPrediction(predictor, batches.epoch(0, 0), loop, (batch) => {
    const predictions = predictor.predictVariants?.(batch.images, variants, batch.features) ?? [];
    for (const [i, prediction] of predictions.entries()) {
      if (prediction) tables[i]?.push(floats(prediction.probabilities));
      if (prediction?.weights) weights[i]?.push(floats(prediction.weights));
    }
    labels.push(...batch.labels);
    if (task.kind !== "classification") targets.push(batch.targets.toTypedArray() as Float64Array);
    indices.push(...batch.indices);
    done += 1;
    onProgress?.(done, batches.stepsPerEpoch);
  });
  const known = { labels, ...tableOf(task, labels, targets) };
  return tables.map((parts, i) => {
    if (parts.length === 0) return undefined;
    const probabilities = tempered(joined(parts), task.outputs, temperature);
    const answers = { probabilities, ...known };
    const [metrics, merits] = [task.measure(answers), task.merits(answers)];
    const routed = joined(weights[i] ?? []);
    return { metrics, merits, probabilities, weights: routed, labels, indices, ...costOf(predictor, routed) };
  });
}

/** Cost of an image, on average, by the weights [N, m] of the activated models. */
export function costOf(
  predictor: Pick<Predictor, "memberNames" | "inferenceFlops" | "pathwayFlops">,
  weights: Float32Array,
): Pick<VariantEvaluation, "inferenceFlops" | "activatedModels"> {
  const { inferenceFlops, memberNames } = predictor;
  if (weights.length === 0) return { inferenceFlops, activatedModels: 0 };
  const m = memberNames.length;
  const activatedModels = (weights.filter((weight) => weight > 0).length * m) / weights.length;
  const routed = predictor.pathwayFlops?.(pathwayShares(weights, m), activatedModels);
  return { inferenceFlops: routed ?? inferenceFlops, activatedModels };
}

function floats(tensor: Tensor): Float32Array {
  return tensor.to({ dtype: "float32" }).toTypedArray() as Float32Array;
}

/** Share of all activations that each of m models got, from weights [N, m]. */
export function pathwayShares(weights: Float32Array, m: number): number[] {
  const counts = new Array<number>(m).fill(0);
  for (let i = 0; i < weights.length; i++) if ((weights[i] ?? 0) > 0) counts[i % m] = (counts[i % m] ?? 0) + 1;
  const total = counts.reduce((sum, count) => sum + count, 0);
  return counts.map((count) => (total > 0 ? count / total : 0));
}

/**
 * Mutual information between input and activated model, in nats: 0 when every input takes the same route, at most the
 * entropy of the shares.
 */
export function routeInformation(weights: Float32Array, m: number): number {
  const shares = pathwayShares(weights, m);
  const entropy = (values: readonly number[]) => values.reduce((sum, p) => sum - (p > 0 ? p * Math.log(p) : 0), 0);
  let conditional = 0;
  const rows = weights.length / m;
  for (let row = 0; row < rows; row++) {
    let active = 0;
    for (let i = 0; i < m; i++) if ((weights[row * m + i] ?? 0) > 0) active += 1;
    conditional += Math.log(active);
  }
  return rows === 0 ? 0 : entropy(shares) - conditional / rows;
}

/** Tables one after the other. */
export function joined(parts: readonly Float32Array[]): Float32Array {
  return filled(new Float32Array(parts.reduce((sum, part) => sum + part.length, 0)), parts);
}

function filled<T extends Float32Array | Float64Array>(all: T, parts: readonly T[]): T {
  let offset = 0;
  for (const part of parts) {
    all.set(part, offset);
    offset += part.length;
  }
  return all;
}
