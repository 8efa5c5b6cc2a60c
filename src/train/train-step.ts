/** One step: forward and backward of a batch, at once or in parts, then the optimizer. B rows of the batch. */
import { GradientSums } from "../distributed/index.ts";
import { type Module, type Recomputation, rowsOfRank } from "../nn/index.ts";
import { clipGradNorm, type Optimizer } from "../optim/index.ts";
import { autocast, FlopMeter, type ProcessGroup, scope, type Tensor } from "../torch/index.ts";
import type { Batch } from "./data.ts";
import type { Backward, Learner, PartedStep, RowRange, TrainBatch } from "./learner.ts";
import type { TrainOptions } from "./options.ts";
import { reduceStep } from "./ranks.ts";
import { clipShared } from "./shards.ts";

/** A backward pass computes gradients for inputs and for weights: twice a forward pass. */
const trainingFactor = 3;

export interface StepRequest {
  learner: Learner;
  options: TrainOptions;
  optimizer: Optimizer;
  /** Blocks that forget their activations. */
  recomputation: Recomputation | undefined;
  group: ProcessGroup | undefined;
  signal: AbortSignal | undefined;
}

export interface StepOutcome extends PartedStep {
  /** Forward, and backward where a gradient passes. */
  flops: number;
  /** True when the step was left out, because its loss or its gradient is not finite. */
  skipped: boolean;
  /** Name of the first member whose gradient is not finite, in a step that was left out. */
  broken: string | undefined;
  /** True when a signal came before the step's end, to some rank. */
  stops: boolean;
}

/** A step of training. @param progress done part of training, 0 … 1 */
export function trainStep(request: StepRequest, batch: Batch, progress: number): StepOutcome {
  const { learner, options, optimizer, group, signal } = request;
  const meter = new FlopMeter(trainingFactor);
  const shared = group && batch.part && { group, ...batch.part };
  const gradients = shared && new GradientSums(shared.group);
  const backward = backwardOf(request, batch.images.device, gradients);
  const count = options.accumulate ?? 1;
  const given = shared ? { ...batch, shared } : batch;
  const { isWhole, ...own } = meter.count(() =>
    count === 1 && !learner.prefersParts
      ? inOne(learner, given, progress, backward)
      : inParts(learner, given, progress, rangesOf(batch.images.size(0), count), backward),
  );
  return scope(() => {
    const parameters = learner.module.parameters();
    const counted = { ...own, flops: meter.total, stops: signal?.aborted === true };
    const { shards } = learner;
    const sums = gradients ? reduceStep(gradients, shards?.common ?? parameters, counted) : counted;
    const limit = options.clipNorm > 0 ? options.clipNorm : Number.POSITIVE_INFINITY;
    const norm = shards ? clipShared(shards, limit) : clipGradNorm(parameters, limit);
    const loss = isWhole ? own.loss : sums.loss;
    const skipped = !Number.isFinite(norm) || !Number.isFinite(loss);
    const broken = skipped ? brokenMember(learner) : undefined;
    if (!skipped) optimizer.step();
    optimizer.zeroGrad();
    return { ...counted, ...sums, loss, skipped, broken };
  });
}

/** Forward in a scope of its own, so that no handle keeps activations alive during backward. */
function backwardOf(
  { options, recomputation, group }: StepRequest,
  device: string,
  gradients: GradientSums | undefined,
): Backward {
  const isLow = options.precision === "bfloat16";
  const within = <T>(fn: () => T): T => (isLow ? autocast({ device, dtype: "bfloat16" }, fn) : fn());
  return (forward, complete) => {
    recomputation?.clear();
    using loss = scope(() => within(forward));
    const backward = (): void => loss.backward();
    if (loss.requires_grad) group ? group.during("a backward pass", backward) : backward();
    recomputation?.finish(within);
    if (complete) gradients?.start(complete);
    return loss.item();
  };
}

function inOne(learner: Learner, batch: TrainBatch, progress: number, backward: Backward): PartedStep {
  let made: Omit<PartedStep, "loss"> = { logs: {} };
  const loss = backward(() => {
    const { loss, ...rest } = learner.step(batch, progress);
    made = rest;
    const { shared } = batch;
    return shared && !rest.isWhole ? loss.mul(batch.images.size(0) / shared.rows) : loss;
  });
  return { ...made, loss };
}

/** The loss of a learner is a mean over rows, unless it knows how its parts join. */
function inParts(
  learner: Learner,
  batch: TrainBatch,
  progress: number,
  ranges: readonly RowRange[],
  backward: Backward,
): PartedStep {
  if (learner.stepInParts) return learner.stepInParts(batch, progress, ranges, backward);
  const all = batch.images.size(0);
  const logs: Record<string, number> = {};
  let loss = 0;
  for (const range of ranges) {
    const share = range.rows / all;
    loss += backward(() => {
      const made = learner.step(rowsOf(batch, range), progress);
      for (const [name, value] of Object.entries(made.logs)) logs[name] = (logs[name] ?? 0) + share * value;
      return made.loss.mul(share);
    });
  }
  return { loss, logs };
}

/** Ranges of about the same size, at most `count`. */
function rangesOf(rows: number, count: number): RowRange[] {
  const parts = Math.min(rows, count);
  return Array.from({ length: parts }, (_, rank) => {
    const [first, end] = rowsOfRank(rows, { rank, worldSize: parts });
    return { first, rows: end - first };
  });
}

/** Rows of a batch as a batch. */
export function rowsOf(
  { images, targets, isMixed, indices, features, shared }: TrainBatch,
  { first, rows }: RowRange,
): TrainBatch {
  const part = (x: Tensor) => x.narrow(0, first, rows);
  const all = Array.from({ length: rows }, (_, i) => first + i);
  return {
    images: part(images),
    targets: part(targets),
    isMixed,
    shared,
    ...(indices && { indices: indices.slice(first, first + rows) }),
    features: features && ((member, own) => features(member, own ? own.map((row) => first + row) : all)),
  };
}

/** First member whose gradient is not finite. */
function brokenMember({ backbones, memberNames }: Learner): string | undefined {
  const isBroken = (backbone: Module) =>
    !Number.isFinite(clipGradNorm(backbone.parameters(), Number.POSITIVE_INFINITY));
  return memberNames[backbones.findIndex(isBroken)];
}
