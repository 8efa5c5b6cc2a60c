/** The loop: one learner, one optimizer, batches in order; checkpoints, events and resumption. */
import { type Residency, setMemberBatchNorm } from "../hub/index.ts";
import { BatchNormRecalibration } from "../nn/index.ts";
import { AdamW, clipGradNorm, type Optimizer, SGD } from "../optim/index.ts";
import { autocast, scope, type Tensor } from "../torch/index.ts";
import { loadCheckpoint, type Position, saveCheckpoint } from "./checkpoint.ts";
import type { Batch, BatchSource } from "./data.ts";
import type { Emit } from "./events.ts";
import type { Learner, StepResult } from "./learner.ts";
import type { Metrics } from "./metrics.ts";
import type { TrainOptions } from "./options.ts";

/** Thrown after an interruption; the checkpoint is written. */
export class Interrupted extends Error {}

export interface FitRequest {
  /** Name of this fit inside its run. */
  fit: string;
  learner: Learner;
  batches: BatchSource;
  options: TrainOptions;
  /** Checkpoint file, or undefined to keep nothing. */
  checkpoint: string | undefined;
  /** What the checkpoint belongs to. */
  identity: string;
  emit: Emit;
  /** Measures the learner on validation data after an epoch. */
  validate?: ((epoch: number) => Promise<Metrics>) | undefined;
  signal?: AbortSignal | undefined;
  /** What keeps the hub's weights in bounded memory. */
  residency?: Residency | undefined;
}

export interface FitResult {
  seconds: number;
  /** Forward and backward FLOPs of the whole fit, where backward counts twice a forward. */
  trainingFlops: number;
}

/** A backward pass computes gradients for inputs and for weights: twice a forward pass. */
const trainingFactor = 3;

/**
 * Trains a learner to the end, from its checkpoint if there is one; leaves it in evaluation mode.
 * @throws Interrupted after the signal, with the checkpoint written.
 */
export async function fit(request: FitRequest): Promise<FitResult> {
  const { learner, batches, options, residency } = request;
  if (options.frozenViews !== undefined) freeze(learner);
  const optimizer = createOptimizer(learner, options);
  residency?.attach(optimizer);
  try {
    const start = resume(request, optimizer);
    const steps = batches.stepsPerEpoch;
    request.emit({
      type: "fit",
      fit: request.fit,
      epochs: options.epochs,
      steps,
      resumedAt: start.epoch * steps + start.step,
    });
    if (options.batchNorm === "recalibrated" && start.epoch === 0 && start.step === 0)
      await recalibrateOn(learner, batches);
    const position = await epochs(request, optimizer, start);
    learner.eval();
    if (request.checkpoint) saveCheckpoint(request.checkpoint, learner, undefined, request.identity, position);
    const { seconds, trainingFlops } = position;
    request.emit({ type: "fitted", fit: request.fit, seconds, trainingFlops });
    return { seconds, trainingFlops };
  } finally {
    residency?.settle();
    residency?.detach(optimizer);
    optimizer.dispose();
  }
}

function freeze(learner: Learner): void {
  for (const backbone of learner.backbones) backbone.requiresGrad_(false);
}

const momentum = 0.9;

/** A learning rate for each kind of parameter; vectors (biases, norms) do not decay. */
function createOptimizer(learner: Learner, options: TrainOptions): Optimizer {
  const groups = learner.parameterGroups();
  const { lr, weightDecay } = options;
  const rated: [Tensor[], number, number][] = [
    [options.frozenViews === undefined ? groups.backbone : [], lr, learner.backboneDecay ?? weightDecay],
    [groups.newLayers, lr * options.newLayerFactor, weightDecay],
    [groups.generator, lr * options.generatorFactor, weightDecay],
  ];
  const all = rated.flatMap(([parameters, lr, weight_decay]) => [
    { params: parameters.filter((p) => p.dim() > 1), lr, weight_decay },
    { params: parameters.filter((p) => p.dim() <= 1), lr, weight_decay: 0 },
  ]);
  if (options.optimizer !== "sgd") return new AdamW(all);
  return new SGD(all.map((group) => ({ ...group, momentum, nesterov: true })));
}

function resume(request: FitRequest, optimizer: Optimizer): Position {
  const fresh = { epoch: 0, step: 0, seconds: 0, trainingFlops: 0 };
  if (!request.checkpoint) return fresh;
  return loadCheckpoint(request.checkpoint, request.learner, optimizer, request.identity) ?? fresh;
}

/** Rising linearly to 1 over the warm-up, then falling by a half cosine. */
export function learningRateFactor(progress: number, warmup: number): number {
  if (progress < warmup) return Math.max(0.02, progress / warmup);
  return 0.5 * (1 + Math.cos((Math.PI * (progress - warmup)) / (1 - warmup)));
}

async function epochs(request: FitRequest, optimizer: Optimizer, start: Position): Promise<Position> {
  const { learner, batches, options } = request;
  const baseRates = optimizer.groups.map((group) => group.lr);
  const total = Math.min(options.epochs * batches.stepsPerEpoch, options.iterations ?? Number.POSITIVE_INFINITY);
  const position = { ...start };
  if (position.epoch < options.epochs) await prepare(learner, position);
  setMemberBatchNorm(learner.backbones, options.batchNorm);
  let lastSaved = performance.now();
  while (position.epoch < options.epochs) {
    learner.module.train();
    // Frozen members compute as in evaluation: no dropout, and BatchNorm with its own statistics.
    if (options.frozenViews !== undefined) for (const backbone of learner.backbones) backbone.eval();
    const meter = new Meter();
    for await (const batch of upTo(total, batches, position)) {
      const began = performance.now();
      const progress = (position.epoch * batches.stepsPerEpoch + position.step) / total;
      const factor = learningRateFactor(progress, options.warmup);
      for (const [i, group] of optimizer.groups.entries()) group.lr = (baseRates[i] ?? 0) * factor;
      const result = trainStep(learner, optimizer, batch, progress, options);
      request.residency?.settle();
      position.step += 1;
      position.seconds += (performance.now() - began) / 1000;
      position.trainingFlops += trainingFactor * result.flops + (result.forwardFlops ?? 0);
      // No gradient passes frozen members.
      if (options.frozenViews !== undefined) position.trainingFlops -= (trainingFactor - 1) * result.memberFlops;
      meter.add(result, batch.images.size(0), (performance.now() - began) / 1000);
      batch.dispose();
      request.emit(meter.event(request.fit, position, batches.stepsPerEpoch));
      // The loaders, signals and the progress bar live on the event loop.
      await new Promise((resolve) => setImmediate(resolve));
      const due = performance.now() - lastSaved > options.checkpointSeconds * 1000;
      if (request.checkpoint && (due || request.signal?.aborted)) {
        saveCheckpoint(request.checkpoint, learner, optimizer, request.identity, position);
        lastSaved = performance.now();
      }
      if (request.signal?.aborted) throw new Interrupted(request.fit);
    }
    position.epoch += 1;
    position.step = 0;
    const validation = await request.validate?.(position.epoch);
    request.emit(meter.epochEvent(request.fit, position.epoch, validation));
  }
  return position;
}

/** The batches of an epoch from a position on, as far as the steps of all epochs go. */
async function* upTo(total: number, batches: BatchSource, { epoch, step }: Position): AsyncGenerator<Batch> {
  let left = total - (epoch * batches.stepsPerEpoch + step);
  if (left <= 0) return;
  for await (const batch of batches.epoch(epoch, step)) {
    yield batch;
    left -= 1;
    if (left <= 0) return;
  }
}

/** What a continued fit prepares again was counted before. */
async function prepare(learner: Learner, position: Position): Promise<void> {
  const began = performance.now();
  const flops = (await learner.prepare?.()) ?? 0;
  if (position.epoch > 0 || position.step > 0) return;
  position.trainingFlops += flops;
  position.seconds += (performance.now() - began) / 1000;
}

interface StepOutcome extends Omit<StepResult, "loss"> {
  loss: number;
}

/** Forward in a scope of its own, so that no handle keeps activations alive during backward. */
function trainStep(
  learner: Learner,
  optimizer: Optimizer,
  batch: Batch,
  progress: number,
  options: TrainOptions,
): StepOutcome {
  const enabled = options.precision === "bfloat16";
  const device = batch.images.device.split(":")[0] ?? "cpu";
  const forward = () => learner.step(batch, progress);
  const { loss, ...rest } = scope(() => (enabled ? autocast({ device, dtype: "bfloat16" }, forward) : forward()));
  using owned = loss;
  return scope(() => {
    owned.backward();
    if (options.clipNorm > 0) clipGradNorm(learner.module.parameters(), options.clipNorm);
    optimizer.step();
    optimizer.zeroGrad();
    const value = owned.item();
    if (!Number.isFinite(value)) throw new Error(`the loss became ${value}: lower the learning rate (--lr)`);
    return { ...rest, loss: value };
  });
}

/** Each member sees every image of one epoch, whatever its routes. */
async function recalibrateOn(learner: Learner, batches: BatchSource): Promise<void> {
  const recalibrations = learner.backbones.map((backbone) => new BatchNormRecalibration(backbone));
  for await (const batch of batches.epoch(0, 0)) {
    for (const [i, recalibration] of recalibrations.entries()) {
      recalibration.observe(() => learner.features(i, batch.images));
    }
    batch.dispose();
  }
  for (const recalibration of recalibrations) recalibration.finish();
}

/** Running means of an epoch. */
class Meter {
  #loss = 0;
  #steps = 0;
  #images = 0;
  #seconds = 0;
  #logs: Record<string, number> = {};
  #rows: number[] | undefined;

  add(result: StepOutcome, images: number, seconds: number): void {
    this.#loss += result.loss;
    this.#steps += 1;
    this.#images += images;
    this.#seconds += seconds;
    this.#logs = result.logs;
    if (!result.rows) return;
    this.#rows ??= result.rows.map(() => 0);
    for (const [i, count] of result.rows.entries()) this.#rows[i] = (this.#rows[i] ?? 0) + count;
  }

  event(fit: string, position: Position, steps: number): Parameters<Emit>[0] {
    return {
      type: "step",
      fit,
      epoch: position.epoch,
      step: position.step,
      steps,
      loss: this.#loss / this.#steps,
      imagesPerSecond: this.#images / Math.max(1e-9, this.#seconds),
      ...this.#shares(),
      logs: this.#logs,
    };
  }

  epochEvent(fit: string, epoch: number, validation: Metrics | undefined): Parameters<Emit>[0] {
    return {
      type: "epoch",
      fit,
      epoch,
      loss: this.#loss / this.#steps,
      validation,
      ...this.#shares(),
      seconds: this.#seconds,
    };
  }

  #shares(): { shares?: number[] } {
    const total = this.#rows?.reduce((sum, count) => sum + count, 0) ?? 0;
    return this.#rows && total > 0 ? { shares: this.#rows.map((count) => count / total) } : {};
  }
}
