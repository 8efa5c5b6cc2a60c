/** One run from start to end: data, hub, method, folder; and reopening a finished one. */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Hub, openHub, Residency, requireImageMembers } from "../hub/index.ts";
import { findScore } from "../hub/ranking/index.ts";
import { ConfigError, UserError } from "../torch/index.ts";
import { loadWeights, weightsInfo } from "./checkpoint.ts";
import { type DataRequest, prepareData, reordered, type TaskData } from "./data.ts";
import { type Evaluation, evaluate, pathwayShares, routeInformation } from "./evaluate.ts";
import { type Emit, eventVersion, jsonlWriter } from "./events.ts";
import { checkFrozen, FeatureCache } from "./feature-cache.ts";
import { scaleFeatures, scaleVersion } from "./feature-scale.ts";
import type { Learner, Predictor } from "./learner.ts";
import type { Method, MethodContext } from "./method.ts";
import { resolveEpochs, type TrainOptions, withEpochs } from "./options.ts";
import { type RankingPrior, rankingPrior } from "./ranking.ts";
import { fingerprint, type RunConfig, RunFolder, runVersion } from "./run-folder.ts";
import { ClassificationTask } from "./task.ts";
import { checkPatience, fit } from "./trainer.ts";

export interface TrainRequest {
  method: Method;
  choices: Record<string, unknown>;
  hub: string;
  data: DataRequest;
  options: TrainOptions;
  out: string;
  resume: boolean;
  emit: Emit;
  signal?: AbortSignal | undefined;
  /** Bytes that the hub's weights and their optimizer state may hold in memory; all of them when left out. */
  hubMemory?: number | undefined;
  /** Load TorchScript members too, which are programs. */
  trust?: boolean | undefined;
  /** Where the run computes (default "cpu"); it may go on elsewhere. */
  device?: string | undefined;
  /** Keep the features of frozen members (default); otherwise they are computed anew in every step. */
  cacheFeatures?: boolean | undefined;
}

export interface RunOutcome {
  folder: RunFolder;
  predictor: Predictor;
  data: TaskData;
  hub: Hub;
  validation: Evaluation;
  /** Seconds and FLOPs of all fits of the run; the FLOPs of a ranking for the prior are counted too. */
  seconds: number;
  trainingFlops: number;
}

/** What a run says about a split, as `eval --json` prints it. */
export interface EvaluationSummary {
  split: string;
  items: number;
  accuracy: number;
  macroF1: number;
  calibrationError: number;
  logLoss: number;
  pathwayShare: Record<string, number>;
  /** Mutual information of input and activated model, nats. */
  routeInformation: number;
  secondsPerImage: number;
  parameters: number;
  inferenceFlops: number;
}

/**
 * Trains a run and measures it on the validation split.
 * @throws UserError, ConfigError for bad input; Interrupted after a signal, with everything saved.
 */
export async function trainRun(given: TrainRequest): Promise<RunOutcome> {
  const { device } = given;
  const hub = openFor(given, given.hub);
  requireImageMembers(hub);
  given.method.check(given.choices, hub.manifest, given.options);
  checkFrozen(given.options, given.data.augment, given.method);
  checkPatience(given.options);
  const before = RunFolder.recorded(given.out, given.resume);
  const data = await prepareData({ ...given.data, views: given.options.frozenViews, device });
  const request = { ...given, options: resolveEpochs(given.options, data.train.stepsPerEpoch) };
  const prior = before ? before.prior : await priorOf(request, hub, data);
  const config = runConfig(request, hub, data, prior);
  const folder = RunFolder.create(request.out, config, request.resume);
  limitMemory(hub, request.hubMemory, () => folder.file("members"));
  const log = jsonlWriter(folder.file("events.jsonl"));
  const emit: Emit = (event) => {
    log(event);
    request.emit(event);
  };
  emit({
    type: "start",
    version: eventVersion,
    method: config.method,
    hub: hub.manifest.name,
    data: config.data,
    seed: config.options.seed,
    members: hub.manifest.members.map((member) => member.name),
    time: new Date().toISOString(),
  });
  if (prior) emit({ type: "prior", ...prior });
  const totals = { seconds: 0, trainingFlops: prior?.flops ?? 0 };
  const features = featureCache(request, hub, data, emit);
  const parts = { request, hub, data, folder, emit, totals, prior, features };
  const predictor = await predictorOf(request.method, parts);
  totals.seconds += features?.seconds ?? 0;
  const { signal } = request;
  const validation = await evaluate(predictor, data.open("validation"), data.classes.length, { signal });
  const { metrics, secondsPerImage } = validation;
  emit({ type: "result", split: "validation", metrics, secondsPerImage });
  folder.saveResult("result.json", { ...totals, validation: summarise("validation", validation, predictor) });
  return { folder, predictor, data, hub, validation, ...totals };
}

/** @throws ConfigError where the weights that are to be limited are not in main memory */
function openFor(
  { device, trust, hubMemory }: Pick<OpenRunOptions, "device" | "trust" | "hubMemory">,
  dir: string,
): Hub {
  if (hubMemory !== undefined && device !== undefined && device !== "cpu") {
    throw new ConfigError(`--hub-memory limits main memory, and the run computes on ${device}: leave one of them out`);
  }
  return openHub(dir, { trust, device });
}

function limitMemory(hub: Hub, budget: number | undefined, folder: () => string): void {
  if (budget !== undefined) hub.residency = new Residency({ budget, folder: folder() });
}

interface Parts {
  request: Pick<TrainRequest, "choices" | "options" | "signal">;
  hub: Hub;
  data: TaskData;
  folder: RunFolder;
  emit: Emit;
  totals: { seconds: number; trainingFlops: number };
  prior: RankingPrior | undefined;
  features?: FeatureCache | undefined;
  /** Load finished fits only. */
  loadOnly?: boolean;
}

/** What the method makes; where it fails, all that it and its run held is released. */
async function predictorOf(method: Method, parts: Parts): Promise<Predictor> {
  const learners = new Set<Learner>();
  try {
    return await method.train(createContext(parts, learners));
  } catch (error) {
    for (const learner of learners) learner.dispose();
    parts.hub.residency?.dispose();
    parts.data.dispose();
    throw error;
  } finally {
    parts.features?.dispose();
  }
}

/** @param learners takes every learner that begins a fit */
function createContext(parts: Parts, learners: Set<Learner>): MethodContext {
  const { request, hub, data, folder, emit, totals, features } = parts;
  const openValidation = () => features?.open("validation") ?? data.open("validation");
  const validate = (predictor: Predictor) =>
    evaluate(predictor, openValidation(), data.classes.length, { signal: request.signal });
  const task = new ClassificationTask(data.classes.length, request.options.labelSmoothing);
  const frozen = request.options.frozenViews !== undefined;
  return {
    hub,
    data,
    task,
    options: request.options,
    choices: request.choices,
    prior: parts.prior?.members.map((member) => member.probability),
    async fit(name, learner, changes = {}) {
      const { epochs = request.options.epochs, rate = 1, order = 0 } = changes;
      const checkpoint = folder.checkpoint(name);
      const identity = fingerprint({ config: identityOf(folder.config()), rate, order, name });
      learners.add(learner);
      if (frozen) learner.standardizers?.();
      if (hub.device !== undefined) learner.module.to({ device: hub.device });
      if (parts.loadOnly) return loadFinished(checkpoint, learner, identity, epochs, name);
      await features?.prepare("validation", learner);
      const batches = reordered((await features?.train(learner)) ?? data.train, order);
      const scaling = frozen ? await scaleFeatures(learner, batches, request.signal) : 0;
      const result = await fit({
        fit: name,
        learner,
        batches,
        options: { ...withEpochs(request.options, epochs), lr: request.options.lr * rate },
        checkpoint,
        identity,
        emit,
        validate: async () => (await validate(learner)).metrics,
        validation: openValidation,
        signal: request.signal,
        residency: hub.residency,
      });
      totals.seconds += result.seconds;
      totals.trainingFlops += scaling + result.trainingFlops + (features?.trainingFlops(learner) ?? 0);
      return result;
    },
    validate,
    decide: (name, compute) => folder.decide(name, compute),
    spend: (flops) => {
      totals.trainingFlops += flops;
    },
  };
}

function featureCache(request: TrainRequest, hub: Hub, data: TaskData, emit: Emit): FeatureCache | undefined {
  const { options, signal, cacheFeatures = true } = request;
  const { frozenViews } = options;
  if (frozenViews === undefined || !cacheFeatures) return undefined;
  const { augment } = request.data;
  return new FeatureCache({ hub, data, augment, options: { ...options, frozenViews }, emit, signal });
}

/** @param base common beginning of the fit's files */
function loadFinished(
  base: string,
  learner: Learner,
  identity: string,
  epochs: number,
  name: string,
): { seconds: number; trainingFlops: number } {
  const info = weightsInfo(base, identity);
  if (!info?.finished || info.epochs < epochs) {
    throw new UserError(`the run is not finished (fit "${name}"): continue it with \`hub-pathway train … --resume\``);
  }
  loadWeights(base, learner.module, identity);
  learner.eval();
  return { seconds: info.seconds, trainingFlops: info.trainingFlops };
}

/** Everything that changes what a checkpoint means; where hub and data lie does not, and epochs may grow. */
function identityOf(config: RunConfig): unknown {
  const { hub: _hub, data: _data, ...rest } = config;
  const { epochs: _epochs, iterations: _iterations, ...options } = rest.options;
  return options.frozenViews === undefined ? { ...rest, options } : { ...rest, options, scaleVersion };
}

/** The prior that the choices ask for, from the members' scores on the training images. */
async function priorOf(request: TrainRequest, hub: Hub, data: TaskData): Promise<RankingPrior | undefined> {
  const { choices, method, options, emit, signal } = request;
  const name = choices["prior"];
  if (name === undefined || name === "uniform") return undefined;
  if (!method.takesPrior) throw new ConfigError(`the method ${method.name} explores nothing that a prior could guide`);
  const onMember = (member: string) => emit({ type: "note", text: `ranking ${member} by ${name}` });
  return rankingPrior(hub, data, findScore(String(name)), { seed: options.seed, onMember, signal });
}

function runConfig(request: TrainRequest, hub: Hub, data: TaskData, prior: RankingPrior | undefined): RunConfig {
  return {
    version: runVersion,
    method: request.method.name,
    choices: JSON.parse(JSON.stringify(request.choices)),
    options: request.options,
    hub: hub.dir,
    hubFingerprint: hub.fingerprint,
    data: request.data.source,
    imageSize: data.imageSize,
    split: JSON.parse(JSON.stringify(request.data.split)),
    splitHash: data.splitHash,
    augment: request.data.augment,
    classes: data.classes,
    ...(prior ? { prior } : {}),
  };
}

export interface OpenRunOptions {
  /** Where the hub or the data moved to. */
  hub?: string | undefined;
  data?: string | undefined;
  onProgress?: DataRequest["onProgress"];
  /** Bytes that the hub's weights may hold in memory; all of them when left out. */
  hubMemory?: number | undefined;
  /** Load TorchScript members too, which are programs. */
  trust?: boolean | undefined;
  /** Where it computes (default "cpu"). */
  device?: string | undefined;
}

export interface OpenedRun {
  folder: RunFolder;
  config: RunConfig;
  predictor: Predictor;
  hub: Hub;
  data: TaskData;
}

/**
 * Loads a finished run with its data.
 * @throws UserError when it is unfinished, or hub or data are no longer those it was trained with.
 */
export async function openRun(
  path: string,
  method: (name: string) => Method,
  options: OpenRunOptions = {},
): Promise<OpenedRun> {
  const folder = new RunFolder(path);
  const config = folder.config();
  const hub = openFor(options, options.hub ?? config.hub);
  if (hub.fingerprint !== config.hubFingerprint) {
    throw new UserError(`${path} was trained with another hub than ${hub.dir} is now: give the right one with --hub`);
  }
  const data = await prepareData({
    source: options.data ?? config.data,
    imageSize: config.imageSize,
    split: config.split as DataRequest["split"],
    augment: config.augment as DataRequest["augment"],
    batchSize: config.options.batchSize,
    seed: config.options.seed,
    views: config.options.frozenViews,
    onProgress: options.onProgress,
    device: options.device,
  });
  if (data.splitHash !== config.splitHash) {
    data.dispose();
    throw new UserError(`${config.data} is not the data that ${path} was trained with: its split differs`);
  }
  limitMemory(hub, options.hubMemory, temporaryFolder);
  const totals = { seconds: 0, trainingFlops: 0 };
  const request = { choices: config.choices, options: config.options, signal: undefined };
  const { prior } = config;
  const parts = { request, hub, data, folder, emit: () => {}, totals, prior, loadOnly: true };
  const predictor = await predictorOf(method(config.method), parts);
  predictor.eval();
  return { folder, config, predictor, hub, data };
}

/** For weights that differ from the hub's while a finished run is used; removed with the process. */
function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "hub-pathway-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The figures of an evaluation in one flat object. */
export function summarise(split: string, evaluation: Evaluation, predictor: Predictor): EvaluationSummary {
  const m = predictor.memberNames.length;
  const routed = evaluation.weights.length > 0;
  const shares = routed ? pathwayShares(evaluation.weights, m) : new Array<number>(m).fill(1 / m);
  const flops = predictor.pathwayFlops?.(shares) ?? predictor.inferenceFlops;
  return {
    split,
    items: evaluation.labels.length,
    ...evaluation.metrics,
    pathwayShare: Object.fromEntries(predictor.memberNames.map((name, i) => [name, shares[i] ?? 0])),
    routeInformation: routed ? routeInformation(evaluation.weights, m) : 0,
    secondsPerImage: evaluation.secondsPerImage,
    parameters: predictor.parameters,
    inferenceFlops: flops,
  };
}

/** A hash of which items were in the split that a reading used. */
export function itemsHash(indices: readonly number[]): string {
  return createHash("sha256").update(indices.join(",")).digest("hex").slice(0, 16);
}
