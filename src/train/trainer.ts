/** The loop: one learner, one optimizer, batches in order; checkpoints, events and resumption. */
import type { TaskKind } from "../data/index.ts";
import { agreeOn } from "../distributed/index.ts";
import { type Residency, setMemberBatchNorm } from "../hub/index.ts";
import { BatchNormRecalibration, type Module, type Recomputation, synchronizeBatchNorm } from "../nn/index.ts";
import { AdamW, type Optimizer, SGD } from "../optim/index.ts";
import { ConfigError, Interrupted, type ProcessGroup, type Tensor, UserError } from "../torch/index.ts";
import { eventLoopTurn, forEachBatch, throwIfAborted } from "./batches.ts";
import {
  checkpointFiles,
  loadState,
  loadWeights,
  NotFinite,
  type Position,
  saveState,
  saveWeights,
  type WeightsInfo,
  weightsInfo,
  weightsOf,
} from "./checkpoint.ts";
import type { Batch, BatchSource } from "./data.ts";
import { divergence } from "./divergence.ts";
import type { Emit } from "./events.ts";
import type { FitResult, Learner } from "./learner.ts";
import { Meter } from "./meter.ts";
import { isBetter, qualityOf, scoreText, type TaskMetrics } from "./metrics.ts";
import type { RequestedOptions, TrainOptions } from "./options.ts";
import { onAnyRank } from "./ranks.ts";
import { firstText } from "./shards.ts";
import { type StepOutcome, trainStep } from "./train-step.ts";
import { Tuning } from "./tuning.ts";

export interface FitRequest {
  /** Name of this fit inside its run. */
  fit: string;
  learner: Learner;
  /** What the labels are, for messages (default: one class of each image). */
  kind?: TaskKind | undefined;
  batches: BatchSource;
  options: TrainOptions;
  /** Common beginning of the fit's files (see checkpoint.ts), or undefined to keep nothing on disk. */
  checkpoint: string | undefined;
  /**
   * Identity of the run to which the files belong. It leaves out the number of epochs where a finished fit may get more
   * of them.
   */
  identity: string;
  emit: Emit;
  /** Measures the learner on validation data after an epoch; undefined for an epoch that is left out. */
  validate?: ((epoch: number) => Promise<TaskMetrics | undefined>) | undefined;
  /** Validation batches, for what a learner settles once its weights are final. */
  validation?: (() => BatchSource) | undefined;
  signal?: AbortSignal | undefined;
  /** Residency that keeps the hub's weights in bounded memory. */
  residency?: Residency | undefined;
  /** Time (Date.now()) by which the fit ends: no epoch begins that would take longer. */
  endsBy?: number | undefined;
  /** Ranks that train together: each has its rows of every batch. */
  group?: ProcessGroup | undefined;
}

/** Steps in a row whose loss or gradient is not finite, after which training stops. */
const mostSkipped = 3;

/**
 * Trains a learner to the end and leaves it in evaluation mode, with the weights that predict: those of the epoch that
 * was best on validation data (`keep: "best"`, where there is a checkpoint and validation), else the last ones.
 *
 * A fit whose weights are finished is only loaded. One that is not goes on from its training state, with the same
 * weights and logged figures as if it had never stopped. A finished fit whose `epochs` grew goes on from its last epoch,
 * with the learning rate that the longer schedule has there.
 * @throws Interrupted after the signal, with the state written; UserError when training diverged, naming member and batch
 */
export async function fit(request: FitRequest): Promise<FitResult> {
  const { learner, options, checkpoint, identity } = request;
  const before = checkpoint === undefined ? undefined : weightsInfo(checkpoint, identity);
  const tuning = new Tuning(learner, options);
  if (checkpoint !== undefined && before?.finished && before.epochs >= options.epochs) {
    loadWeights(checkpoint, learner.module, identity);
    tuning.merge();
    learner.eval();
    gather(request);
    return { seconds: before.seconds, trainingFlops: before.trainingFlops };
  }
  const result = await train(request, before, tuning);
  tuning.merge();
  gather(request);
  return result;
}

/** The first rank takes over what others have trained. */
function gather({ learner, checkpoint }: FitRequest): void {
  const { shards, module } = learner;
  if (!shards || checkpoint === undefined || shards.group.rank > 0) return;
  // Heads of others' models are out of date.
  loadWeights(checkpoint, module);
  shards.gather((member) => weightsOf(checkpoint, `members.${member}`));
}

async function train(request: FitRequest, before: WeightsInfo | undefined, tuning: Tuning): Promise<FitResult> {
  const { learner, batches, options, residency, fit, group } = request;
  if (group) synchronizeBatchNorm(learner.module, group);
  // An owner sees all rows of its models.
  for (const module of learner.shards?.own ?? []) synchronizeBatchNorm(module, undefined);
  if ((options.accumulate ?? 1) > 1) requireParts(learner, options, tuning);
  const recomputation = options.checkpointActivations ? tuning.forgetActivations() : undefined;
  const optimizer = createOptimizer(learner, options, tuning);
  residency?.attach(optimizer);
  try {
    const start = resume(request, optimizer, before);
    const { position } = start;
    if (group) agreeOn(group, `start of ${fit}`, { epoch: String(position.epoch), step: String(position.step) });
    const steps = batches.stepsPerEpoch;
    request.emit({
      type: "fit",
      fit,
      epochs: options.epochs,
      steps,
      resumedAt: position.epoch * steps + position.step,
      best: start.resumed && before?.score ? { epoch: before.epoch, ...before.score } : undefined,
    });
    const others = changedRanks(start.ranks, group?.worldSize ?? 1);
    if (others !== undefined) request.emit({ type: "note", text: `${fit}: ${others}` });
    if (before?.finished) request.emit({ type: "note", text: growth(before, position, options) });
    if (options.batchNorm === "recalibrated" && position.epoch === 0 && position.step === 0) {
      await recalibrateOn(request);
    }
    const run: Run = { request, optimizer, tuning, recomputation, ...start, best: start.resumed ? before : undefined };
    await epochs(run);
    await finish(run);
    const { seconds, trainingFlops } = run.position;
    request.emit({ type: "fitted", fit, seconds, trainingFlops });
    return { seconds, trainingFlops };
  } finally {
    residency?.settle();
    residency?.detach(optimizer);
    recomputation?.dispose();
    optimizer.dispose();
  }
}

function growth({ epochs }: WeightsInfo, { epoch }: Position, options: TrainOptions): string {
  return `goes on after epoch ${epoch} of ${epochs}: from here the learning rate follows the schedule of ${options.epochs} epochs`;
}

/** What the number of ranks changes for a fit that goes on; nothing is known of earlier runs. */
function changedRanks(before: number | undefined, now: number): string | undefined {
  if (before === undefined || before === now) return undefined;
  return `goes on in ${now} instead of ${before} processes: not bit for bit the run that never stopped, its last digits may differ`;
}

/** A fit in progress. */
interface Run {
  readonly request: FitRequest;
  readonly optimizer: Optimizer;
  readonly tuning: Tuning;
  readonly recomputation: Recomputation | undefined;
  position: Position;
  meter: Meter;
  /** The weights on disk, once there are some. */
  best: WeightsInfo | undefined;
}

/** The best weights are loaded, settled on validation data, and marked as those of a finished fit. */
async function finish(run: Run): Promise<void> {
  const { request, position, best } = run;
  const { learner, checkpoint, identity, options, validation, signal } = request;
  learner.eval();
  save(run);
  const { seconds, trainingFlops, epoch } = position;
  const kept = keepsBest(options) && best && best.epoch < epoch ? best : undefined;
  if (checkpoint !== undefined && kept) {
    loadWeights(checkpoint, learner.module, identity);
    const best = scoreText(request.kind, kept.score?.score ?? 0);
    const text = `kept the weights of epoch ${kept.epoch} of ${epoch}: ${best} on validation images`;
    request.emit({ type: "note", text });
  }
  if (validation) await learner.settle?.(validation(), signal);
  if (checkpoint === undefined) return;
  const { score = null, epoch: from = epoch } = kept ?? (best?.epoch === epoch ? best : {});
  const info = { epoch: from, epochs: options.epochs, finished: true, score, seconds, trainingFlops };
  guarded(run, () => saveWeights(checkpoint, identity, learner, info));
}

/** @throws ConfigError for patience that has nothing to wait for */
export function checkPatience({ keep, patience }: RequestedOptions): void {
  if (patience === undefined) return;
  if (keep === "last")
    throw new ConfigError("--patience waits for better weights, and --keep last wants the last ones");
  if (Number.isInteger(patience) && patience >= 1) return;
  throw new ConfigError(`the patience is ${patience}: it must be a whole number of epochs, at least 1`);
}

/** @throws ConfigError for a learner whose step is not that of its parts */
function requireParts({ mixesRows, memberNames }: Learner, { batchNorm }: TrainOptions, tuning: Tuning): void {
  const learning = "--accumulate computes a step in parts";
  if (mixesRows) throw new ConfigError(`${learning}, and this method's loss is no mean over images: leave it out`);
  const place = batchNorm === "batch" ? tuning.usesBatchStatistics() : -1;
  if (place < 0) return;
  throw new ConfigError(
    `${learning}, of which BatchNorm in "${memberNames[place]}" would take the statistics: add --batch-norm frozen, or --tune lora`,
  );
}

function keepsBest({ keep = "best" }: TrainOptions): boolean {
  return keep === "best";
}

const momentum = 0.9;

/** A learning rate for each kind of parameter, what is added to members being new; vectors (biases, norms) do not decay. */
function createOptimizer(learner: Learner, options: TrainOptions, { added }: Tuning): Optimizer {
  const groups = learner.parameterGroups();
  const { lr, weightDecay } = options;
  const rated: [Tensor[], number, number][] = [
    [groups.backbone.filter((own) => own.requires_grad), lr, learner.backboneDecay ?? weightDecay],
    [[...new Set([...groups.newLayers, ...added])], lr * options.newLayerFactor, weightDecay],
    [groups.generator, lr * options.generatorFactor, weightDecay],
  ];
  const decays = (p: Tensor) => p.dim() > 1 && learner.undecayed?.has(p) !== true;
  const all = rated.flatMap(([parameters, lr, weight_decay]) => [
    { params: parameters.filter(decays), lr, weight_decay },
    { params: parameters.filter((p) => !decays(p)), lr, weight_decay: 0 },
  ]);
  if (options.optimizer !== "sgd") return new AdamW(all);
  return new SGD(all.map((group) => ({ ...group, momentum, nesterov: true })));
}

function resume(
  { checkpoint, identity, learner }: FitRequest,
  optimizer: Optimizer,
  before: WeightsInfo | undefined,
): Pick<Run, "position" | "meter"> & { resumed: boolean; ranks?: number | undefined } {
  const state = checkpoint === undefined ? undefined : loadState(checkpoint, identity, { learner, optimizer });
  if (state) return { position: state.position, meter: new Meter(state.meter), resumed: true, ranks: state.ranks };
  if (checkpoint !== undefined && before?.finished) {
    const { state: missing } = checkpointFiles(checkpoint);
    throw new UserError(`${missing} is gone, and training for more epochs goes on from it: train a new run`);
  }
  return {
    position: { epoch: 0, step: 0, seconds: 0, trainingFlops: 0 },
    meter: new Meter(),
    resumed: false,
  };
}

/** Rising linearly to 1 over the warm-up, then falling by a half cosine. */
export function learningRateFactor(progress: number, warmup: number): number {
  if (progress < warmup) return Math.max(0.02, progress / warmup);
  return 0.5 * (1 + Math.cos((Math.PI * (progress - warmup)) / (1 - warmup)));
}

/** Factor on the learning rate in a step of `total`: the half cosine, or a tenth from each of the given steps on. */
export function scheduledFactor(
  step: number,
  total: number,
  { warmup, decaySteps }: Pick<TrainOptions, "warmup" | "decaySteps">,
): number {
  const progress = step / total;
  if (decaySteps === undefined) return learningRateFactor(progress, warmup);
  const risen = progress < warmup ? learningRateFactor(progress, warmup) : 1;
  return risen * 0.1 ** decaySteps.filter((from) => step >= from).length;
}

async function epochs(run: Run): Promise<void> {
  const { request, position } = run;
  const { learner, options } = request;
  try {
    if (position.epoch < options.epochs) await prepare(request, position);
    setMemberBatchNorm(learner.backbones, options.batchNorm);
    const saving = { last: performance.now() };
    const baseRates = run.optimizer.groups.map((group) => group.lr);
    while (position.epoch < options.epochs) {
      const began = Date.now();
      await steps(run, baseRates, saving);
      await endEpoch(run);
      if (isPatienceOver(run) || isTimeOver(run, Date.now() - began)) return;
    }
  } catch (error) {
    if (error instanceof Interrupted) save(run);
    throw error;
  }
}

/** Remaining steps of an epoch. */
async function steps(run: Run, baseRates: readonly number[], saving: { last: number }): Promise<void> {
  const { request, optimizer, position, meter } = run;
  const { learner, batches, options, signal, group } = request;
  const stepping = { learner, options, optimizer, group, signal, recomputation: run.recomputation };
  const perEpoch = batches.stepsPerEpoch;
  const total = Math.min(options.epochs * perEpoch, options.iterations ?? Number.POSITIVE_INFINITY);
  learner.module.train();
  run.tuning.setModes();
  if (!group) throwIfAborted(signal, request.fit);
  for await (const batch of upTo(total, batches, position)) {
    const began = performance.now();
    const step = position.epoch * perEpoch + position.step;
    const progress = step / total;
    const factor = scheduledFactor(step, total, options);
    for (const [i, group] of optimizer.groups.entries()) group.lr = (baseRates[i] ?? 0) * factor;
    let stops = false;
    try {
      const result = trainStep(stepping, batch, progress);
      stops = result.stops;
      request.residency?.settle();
      position.step += 1;
      const seconds = (performance.now() - began) / 1000;
      position.seconds += seconds;
      position.trainingFlops += result.flops;
      if (result.skipped) {
        skip(run, result, seconds);
      } else {
        const images = batch.part?.rows ?? batch.images.size(0);
        meter.add({ loss: result.loss, images, seconds, rows: result.rows });
        request.emit(meter.event(request.fit, position, perEpoch, result.logs));
      }
    } finally {
      batch.dispose();
    }
    await eventLoopTurn();
    if (group ? stops : signal?.aborted) throw new Interrupted(request.fit);
    const isDue = performance.now() - saving.last >= options.checkpointSeconds * 1000;
    // A save of all ranks is one moment of all.
    if (!(learner.shards ? onAnyRank(isDue, group) : isDue)) continue;
    save(run);
    saving.last = performance.now();
  }
}

/** Counts a step that was left out. @throws UserError when weights are lost, or too many steps in a row were left out */
function skip({ request, position, meter, optimizer }: Run, outcome: StepOutcome, seconds: number): void {
  const { learner, group } = request;
  const { loss } = outcome;
  // Of models that are on one rank alone, that rank knows it.
  const said = (text: string | undefined) => (learner.shards && group ? firstText(text, group) : text);
  const broken = said(outcome.broken);
  const place = `step ${position.step} of epoch ${position.epoch + 1}`;
  const inRow = meter.skip(seconds);
  const gradient = broken === undefined ? "the gradient" : `the gradient of member "${broken}"`;
  const problem = Number.isFinite(loss) ? `${gradient} is not finite` : `the loss is ${loss}`;
  const lost = said(divergence(learner, optimizer));
  if (lost || inRow >= mostSkipped) {
    const times = inRow > 1 ? `, the last of ${inRow} in a row` : "";
    const cause = lost ?? "lower the learning rate (--lr)";
    throw new UserError(`training diverged at ${place}${times}: ${problem}; ${cause}`);
  }
  request.emit({ type: "note", text: `left out ${place}: ${problem}` });
}

/** Measures the weights, and keeps them when they are the best so far. */
async function endEpoch(run: Run): Promise<void> {
  const { request, position, meter } = run;
  const validation = await request.validate?.(position.epoch + 1);
  position.epoch += 1;
  position.step = 0;
  if (!meter.isEmpty) request.emit(meter.epochEvent(request.fit, position.epoch, validation));
  run.meter = meter.next();
  const { checkpoint, identity, learner, options } = request;
  if (checkpoint === undefined || !validation || !keepsBest(options)) return;
  const score = qualityOf(validation);
  if (!isBetter(score, run.best?.score)) return;
  const { epoch, seconds, trainingFlops } = position;
  const info = { epoch, epochs: options.epochs, finished: false, score, seconds, trainingFlops };
  guarded(run, () => saveWeights(checkpoint, identity, learner, info));
  run.best = info;
}

function isPatienceOver({ request, position, best }: Run): boolean {
  const { patience } = request.options;
  return patience !== undefined && best !== undefined && position.epoch - best.epoch >= patience;
}

/** @param milliseconds that the last epoch took */
function isTimeOver({ request, position }: Run, milliseconds: number): boolean {
  const { endsBy, options, emit } = request;
  if (endsBy === undefined || position.epoch >= options.epochs || Date.now() + milliseconds <= endsBy) return false;
  emit({
    type: "note",
    text: `ends after epoch ${position.epoch} of ${options.epochs}: another one would take longer than there is time`,
  });
  return true;
}

function save(run: Run): void {
  const { request, optimizer, position, meter } = run;
  const { checkpoint, identity, learner, group } = request;
  if (checkpoint === undefined) return;
  const ranks = group?.worldSize ?? 1;
  guarded(run, () => saveState(checkpoint, identity, { learner, optimizer, position, meter: meter.state, ranks }));
}

/** @throws UserError instead of NotFinite: what would be saved is lost */
function guarded({ request, position, optimizer }: Run, write: () => void): void {
  try {
    write();
  } catch (error) {
    if (!(error instanceof NotFinite)) throw error;
    const cause = divergence(request.learner, optimizer) ?? `${error.message}; lower the learning rate (--lr)`;
    throw new UserError(`training diverged before step ${position.step + 1} of epoch ${position.epoch + 1}: ${cause}`);
  }
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

/** Preparation of a fit; its cost counts only in a new fit, since a continued one has counted it before. */
async function prepare({ learner, batches, signal, group, emit }: FitRequest, position: Position): Promise<void> {
  const began = performance.now();
  const flops = (await learner.prepare?.(batches, signal, group)) ?? 0;
  if (position.epoch > 0 || position.step > 0) return;
  if (learner.remark !== undefined) emit({ type: "note", text: learner.remark });
  position.trainingFlops += flops;
  position.seconds += (performance.now() - began) / 1000;
}

/** Each member sees every image of one epoch, whatever its routes. */
async function recalibrateOn({ learner, batches, signal, group }: FitRequest): Promise<void> {
  const here = learner.backbones.flatMap((backbone, i) => (learner.shards?.others.includes(backbone) ? [] : [i]));
  const recalibrations = new Map(here.map((i) => [i, new BatchNormRecalibration(learner.backbones[i] as Module)]));
  const loop = { work: "BatchNorm recalibration", signal, group };
  await forEachBatch(batches.epoch(0, 0), loop, ({ images, part }) => {
    for (const [i, recalibration] of recalibrations)
      recalibration.observe(() => learner.features(i, part?.all ?? images));
  });
  for (const recalibration of recalibrations.values()) recalibration.finish();
}
