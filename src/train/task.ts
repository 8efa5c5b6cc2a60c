/** Task of learning: the loss of one row and the measure of a good answer. n rows, C outputs. */
import { z } from "zod";
import type { TaskKind } from "../data/index.ts";
import { distillationLoss } from "../nn/index.ts";
import { ConfigError, ops, scope, stack, type Tensor, tensor } from "../torch/index.ts";
import type { Targets, TaskData } from "./data.ts";
import { computeMetrics, type Metrics, type Quality, qualityOf, rightItems, type TaskMetrics } from "./metrics.ts";
import type { TrainOptions } from "./options.ts";
import {
  chooseThresholds,
  type MultiLabelMetrics,
  multiLabelMetrics,
  type RegressionMetrics,
  regressionMetrics,
} from "./target-metrics.ts";

/** Answers [N, C], and what was right: classes [N], or targets [N, C]. */
export interface Answers {
  probabilities: ArrayLike<number>;
  labels: readonly number[];
  targets?: Float64Array | undefined;
}

export interface Task<M extends TaskMetrics = TaskMetrics> {
  readonly kind: TaskKind;
  /** Width C of a head. */
  readonly outputs: number;
  /** Loss of each row, [n]. */
  rowLoss(logits: Tensor, targets: Targets): Tensor;
  /**
   * How far logits [n, C] are from the mean answer of teachers' logits, mean over rows, 0 where they agree: T² KL of probabilities at
   * temperature T (Hinton, Vinyals & Dean 2015), of each label where there are several; the squared error of numbers, without T.
   */
  imitationLoss(logits: Tensor, teachers: readonly Tensor[], temperature?: number): Tensor;
  /** Answers [n, C] from logits, as a user reads them: probabilities, or numbers in their own units. */
  probabilities(logits: Tensor): Tensor;
  /** Targets [n, C], float64, of a linear regression whose scores are logits up to a factor. */
  linearTargets(targets: Targets): Tensor;
  /** Figures of answers. @throws RangeError without any */
  measure(answers: Answers): M;
  /** Merit of each answer, [N], larger is better: 1 for a right class; minus the log loss of a label, nats; minus the squared error, variances. */
  merits(answers: Answers): number[];
}

const numbers = z.array(z.number()).min(1).readonly();

/** Numbers of a task that images gave, as runs keep them: thresholds of labels, or means and deviations of numbers. */
export const storedTaskSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("multi-label"), thresholds: z.array(z.number().min(0).max(1)).min(1).readonly() }),
  z.object({ kind: z.literal("regression"), means: numbers, deviations: z.array(z.number().gt(0)).min(1).readonly() }),
]);

export type StoredTask = z.output<typeof storedTaskSchema>;

/** The task that data and options make. @throws ConfigError for weights of classes where there are none */
export function taskOf(data: TaskSource, { labelSmoothing, classWeights }: TaskOptions): Task {
  const { kind, classes } = data;
  const isWeighted = classWeights === "balanced";
  if (kind === "classification") {
    return new ClassificationTask(classes.length, labelSmoothing, isWeighted ? balancedWeights(data) : undefined);
  }
  if (kind === "multi-label") {
    return new MultiLabelTask(classes.length, undefined, isWeighted ? presenceWeights(data) : undefined);
  }
  if (isWeighted)
    throw new ConfigError(
      `an image of ${data.name} has numbers and no class to be weighted: leave out --class-weights`,
    );
  const rows = trainingRows(data);
  const means = classes.map((_, c) => meanOf(rows.map((row) => row[c] ?? 0)));
  const deviations = means.map((mean, c) => Math.sqrt(meanOf(rows.map((row) => ((row[c] ?? 0) - mean) ** 2))) || 1);
  return new RegressionTask(means, deviations);
}

type TaskSource = Pick<TaskData, "name" | "kind" | "classes" | "labels" | "targets" | "items">;
type TaskOptions = Pick<TrainOptions, "labelSmoothing" | "classWeights">;

const trainingRows = ({ targets, items }: TaskSource) => items("train").map((i) => targets?.[i] ?? []);

/** n / (C n_c) for n_c training images of each class: all classes count alike, and an image 1 on average. */
function balancedWeights({ classes, labels, items }: TaskSource): number[] {
  const own = items("train");
  const counts = new Array<number>(classes.length).fill(0);
  for (const i of own) counts[labels[i] ?? -1] = (counts[labels[i] ?? -1] ?? 0) + 1;
  return counts.map((count) => own.length / (classes.length * Math.max(1, count)));
}

/** Images without a label over those with it: both sides count alike. */
function presenceWeights(data: TaskSource): number[] {
  const rows = trainingRows(data);
  return data.classes.map((_, c) => {
    const count = rows.filter((row) => (row[c] ?? 0) > 0).length;
    return count === 0 ? 1 : (rows.length - count) / count || 1;
  });
}

const meanOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** What of a task a run keeps; nothing for one class of each image. */
export function storedTask(task: Task): StoredTask | undefined {
  if (task instanceof MultiLabelTask) return { kind: task.kind, thresholds: task.thresholds };
  if (task instanceof RegressionTask) return { kind: task.kind, means: task.means, deviations: task.deviations };
  return undefined;
}

/** The task of a run that is kept; one class of each image when nothing is stored. */
export function restoredTask(stored: StoredTask | undefined, outputs: number): Task {
  if (!stored) return new ClassificationTask(outputs);
  if (stored.kind === "multi-label") return new MultiLabelTask(outputs, stored.thresholds);
  return new RegressionTask(stored.means, stored.deviations);
}

/** The task with thresholds that are chosen on answers, where it has any. */
export function withThresholds(task: Task, { probabilities, labels, targets }: Answers): Task {
  if (!(task instanceof MultiLabelTask) || !targets) return task;
  const { outputs } = task;
  return new MultiLabelTask(outputs, chooseThresholds(probabilities, targets, labels.length, outputs));
}

/** What decides between models that answer the same images, from their answers [N, C]. */
export function qualityBy(
  task: Pick<Task, "measure">,
  known: Omit<Answers, "probabilities">,
): (probabilities: ArrayLike<number>) => Quality {
  return (probabilities) => qualityOf(task.measure({ ...known, probabilities }));
}

/** Single-label classification by cross-entropy. */
export class ClassificationTask implements Task<Metrics> {
  readonly kind = "classification";
  readonly outputs: number;
  readonly labelSmoothing: number;
  readonly #weights: readonly number[] | undefined;

  /** @param weights of the classes' losses, [C]; 1 when left out */
  constructor(classes: number, labelSmoothing = 0.1, weights?: readonly number[]) {
    this.outputs = classes;
    this.labelSmoothing = labelSmoothing;
    this.#weights = weights;
  }

  /** Cross-entropy in float32, or wider, whatever the logits' type. */
  rowLoss(logits: Tensor, targets: Targets): Tensor {
    const wide = widened(logits);
    const weights = this.#weights && rowOf(this.#weights, wide).squeeze(0);
    return ops.cross_entropy_loss(wide, targets, weights, reduction.none, -100, this.labelSmoothing);
  }

  /** The teachers' mean in logarithms, so that no probability is rounded to nothing. */
  imitationLoss(logits: Tensor, teachers: readonly Tensor[], temperature = 1): Tensor {
    const mean = scope(() => {
      const logs = teachers.map((teacher) => widened(teacher).div(temperature).log_softmax(1));
      return ops.logsumexp(stack(logs), 0).sub(Math.log(teachers.length)).mul(temperature);
    });
    return distillationLoss(widened(logits), mean, temperature);
  }

  probabilities(logits: Tensor): Tensor {
    return logits.to({ dtype: "float32" }).softmax(1);
  }

  linearTargets(targets: Targets): Tensor {
    return (targets.dim() === 2 ? targets : targets.one_hot(this.outputs)).to({ dtype: "float64" });
  }

  measure({ probabilities, labels }: Answers): Metrics {
    return computeMetrics(probabilities, labels, this.outputs);
  }

  merits({ probabilities, labels }: Answers): number[] {
    return rightItems(probabilities, labels, this.outputs).map(Number);
  }
}

/** Any number of labels of each image, by the mean of the labels' binary cross-entropies. */
export class MultiLabelTask implements Task<MultiLabelMetrics> {
  readonly kind = "multi-label";
  readonly outputs: number;
  /** Probability of each label from which on an image has it, [C]. */
  readonly thresholds: readonly number[];
  readonly #weights: readonly number[] | undefined;

  /** @param weights of the losses of images that have a label, [C]; 1 when left out */
  constructor(classes: number, thresholds?: readonly number[], weights?: readonly number[]) {
    this.outputs = classes;
    this.thresholds = thresholds ?? new Array<number>(classes).fill(0.5);
    this.#weights = weights;
  }

  rowLoss(logits: Tensor, targets: Targets): Tensor {
    const wide = widened(logits);
    const weights = this.#weights && rowOf(this.#weights, wide);
    const own = targets.to({ dtype: wide.dtype });
    return ops.binary_cross_entropy_with_logits(wide, own, undefined, weights, reduction.none).mean(1);
  }

  imitationLoss(logits: Tensor, teachers: readonly Tensor[], temperature = 1): Tensor {
    const mean = meanOver(teachers.map((teacher) => ops.sigmoid(widened(teacher).div(temperature))));
    const entropy = entropyTerm(mean).add(entropyTerm(mean.neg().add(1)));
    const own = widened(logits).div(temperature);
    const loss = ops.binary_cross_entropy_with_logits(own, mean, undefined, undefined, reduction.none);
    return loss
      .sub(entropy)
      .mean()
      .mul(temperature ** 2);
  }

  probabilities(logits: Tensor): Tensor {
    return ops.sigmoid(logits.to({ dtype: "float32" }));
  }

  /** Around zero, where a label is as probable as not. */
  linearTargets(targets: Targets): Tensor {
    return targets.to({ dtype: "float64" }).mul(2).sub(1);
  }

  measure({ probabilities, labels, targets }: Answers): MultiLabelMetrics {
    return multiLabelMetrics(probabilities, targets ?? new Float64Array(), labels.length, this.thresholds);
  }

  merits(answers: Answers): number[] {
    return rowMeans(answers, this.outputs, (p, truth) => Math.log(Math.max(1e-12, truth > 0 ? p : 1 - p)));
  }
}

/** Numbers, by the mean of their squared errors in units of their variances on the training images. */
export class RegressionTask implements Task<RegressionMetrics> {
  readonly kind = "regression";
  readonly outputs: number;
  /** On the training images, [C]. */
  readonly means: readonly number[];
  readonly deviations: readonly number[];

  constructor(means: readonly number[], deviations: readonly number[]) {
    this.outputs = means.length;
    this.means = means;
    this.deviations = deviations;
  }

  rowLoss(logits: Tensor, targets: Targets): Tensor {
    const wide = widened(logits);
    return wide
      .sub(this.linearTargets(targets).to({ dtype: wide.dtype }))
      .square()
      .mean(1);
  }

  imitationLoss(logits: Tensor, teachers: readonly Tensor[]): Tensor {
    return widened(logits)
      .sub(meanOver(teachers.map(widened)))
      .square()
      .mean();
  }

  probabilities(logits: Tensor): Tensor {
    const wide = logits.to({ dtype: "float64" });
    return wide.mul(rowOf(this.deviations, wide)).add(rowOf(this.means, wide));
  }

  /** In float64, since a mean may be large beside a deviation. */
  linearTargets(targets: Targets): Tensor {
    const wide = targets.to({ dtype: "float64" });
    return wide.sub(rowOf(this.means, wide)).div(rowOf(this.deviations, wide));
  }

  measure({ probabilities, labels, targets }: Answers): RegressionMetrics {
    return regressionMetrics(probabilities, targets ?? new Float64Array(), labels.length, this.deviations);
  }

  merits(answers: Answers): number[] {
    return rowMeans(answers, this.outputs, (y, truth, c) => -(((y - truth) / (this.deviations[c] ?? 1)) ** 2));
  }
}

/** Mean over the outputs of what a function says of an answer and its target, [N]. */
function rowMeans(
  { probabilities, labels, targets }: Answers,
  outputs: number,
  of: (answer: number, truth: number, c: number) => number,
): number[] {
  return labels.map((_, i) => {
    let sum = 0;
    for (let c = 0, at = i * outputs; c < outputs; c++, at++) sum += of(probabilities[at] ?? 0, targets?.[at] ?? 0, c);
    return sum / outputs;
  });
}

function widened(logits: Tensor): Tensor {
  return logits.dtype === "float64" ? logits : logits.to({ dtype: "float32" });
}

/** Mean of tables of one shape. */
function meanOver(tables: readonly Tensor[]): Tensor {
  return stack(tables).mean(0);
}

/** -p log p, 0 at 0. */
function entropyTerm(p: Tensor): Tensor {
  return p.mul(p.clamp(1e-30).log()).neg();
}

/** [1, C]. */
function rowOf(values: readonly number[], { dtype, device }: Tensor): Tensor {
  return tensor([[...values]], { dtype, device });
}

/** ATen's numbers for the reductions of a loss. */
const reduction = { none: 0 };
