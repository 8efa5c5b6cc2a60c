/** One run from start to end: data, hub, method, folder; and reopening a finished one. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { type Hub, openHub } from "../hub/index.ts";
import { UserError } from "../torch/index.ts";
import { loadCheckpoint } from "./checkpoint.ts";
import { type DataRequest, prepareData, type TaskData } from "./data.ts";
import { type Evaluation, evaluate, pathwayShares, routeInformation } from "./evaluate.ts";
import { type Emit, eventVersion, jsonlWriter } from "./events.ts";
import type { Predictor } from "./learner.ts";
import type { Method, MethodContext } from "./method.ts";
import type { TrainOptions } from "./options.ts";
import { fingerprint, type RunConfig, RunFolder, runVersion } from "./run-folder.ts";
import { ClassificationTask } from "./task.ts";
import { fit } from "./trainer.ts";

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
}

export interface RunOutcome {
  folder: RunFolder;
  predictor: Predictor;
  data: TaskData;
  hub: Hub;
  validation: Evaluation;
  /** Seconds and FLOPs of all fits of the run. */
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
export async function trainRun(request: TrainRequest): Promise<RunOutcome> {
  const hub = openHub(request.hub);
  const data = await prepareData(request.data);
  const config = runConfig(request, hub, data);
  const folder = RunFolder.create(request.out, config, request.resume);
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
  const totals = { seconds: 0, trainingFlops: 0 };
  const predictor = await request.method.train(createContext({ request, hub, data, folder, emit, totals }));
  const validation = await evaluate(predictor, data.open("validation"), data.classes.length);
  const { metrics, secondsPerImage } = validation;
  emit({ type: "result", split: "validation", metrics, secondsPerImage });
  folder.saveResult("result.json", { ...totals, validation: summarise("validation", validation, predictor) });
  return { folder, predictor, data, hub, validation, ...totals };
}

interface Parts {
  request: Pick<TrainRequest, "choices" | "options" | "signal">;
  hub: Hub;
  data: TaskData;
  folder: RunFolder;
  emit: Emit;
  totals: { seconds: number; trainingFlops: number };
  /** Load finished fits only. */
  loadOnly?: boolean;
}

function createContext(parts: Parts): MethodContext {
  const { request, hub, data, folder, emit, totals } = parts;
  const task = new ClassificationTask(data.classes.length, request.options.labelSmoothing);
  return {
    hub,
    data,
    task,
    options: request.options,
    choices: request.choices,
    async fit(name, learner, epochs = request.options.epochs) {
      const checkpoint = folder.checkpoint(name);
      const identity = fingerprint({ config: identityOf(folder.config()), name, epochs });
      if (parts.loadOnly) return loadFinished(checkpoint, learner, identity, epochs, name);
      const result = await fit({
        fit: name,
        learner,
        batches: data.train,
        options: { ...request.options, epochs },
        checkpoint,
        identity,
        emit,
        validate: async () => (await evaluate(learner, data.open("validation"), data.classes.length)).metrics,
        signal: request.signal,
      });
      totals.seconds += result.seconds;
      totals.trainingFlops += result.trainingFlops;
      return result;
    },
    validate: (predictor) => evaluate(predictor, data.open("validation"), data.classes.length),
    decide: (name, compute) => folder.decide(name, compute),
  };
}

function loadFinished(
  path: string,
  learner: Parameters<MethodContext["fit"]>[1],
  identity: string,
  epochs: number,
  name: string,
): { seconds: number; trainingFlops: number } {
  const position = existsSync(path) ? loadCheckpoint(path, learner, undefined, identity) : undefined;
  if (!position || position.epoch < epochs) {
    throw new UserError(`the run is not finished (fit "${name}"): continue it with \`hub-pathway train … --resume\``);
  }
  learner.eval();
  return { seconds: position.seconds, trainingFlops: position.trainingFlops };
}

/** Everything that changes what a checkpoint means; where hub and data lie does not. */
function identityOf(config: RunConfig): unknown {
  const { hub: _hub, data: _data, ...rest } = config;
  return rest;
}

function runConfig(request: TrainRequest, hub: Hub, data: TaskData): RunConfig {
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
  };
}

export interface OpenRunOptions {
  /** Where the hub or the data moved to. */
  hub?: string | undefined;
  data?: string | undefined;
  onProgress?: DataRequest["onProgress"];
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
  const hub = openHub(options.hub ?? config.hub);
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
    onProgress: options.onProgress,
  });
  if (data.splitHash !== config.splitHash) {
    throw new UserError(`${config.data} is not the data that ${path} was trained with: its split differs`);
  }
  const totals = { seconds: 0, trainingFlops: 0 };
  const request = { choices: config.choices, options: config.options, signal: undefined };
  const context = createContext({ request, hub, data, folder, emit: () => {}, totals, loadOnly: true });
  const predictor = await method(config.method).train(context);
  predictor.eval();
  return { folder, config, predictor, hub, data };
}

/** The figures of an evaluation in one flat object. */
export function summarise(split: string, evaluation: Evaluation, predictor: Predictor): EvaluationSummary {
  const m = predictor.memberNames.length;
  const routed = evaluation.weights.length > 0;
  const shares = routed ? pathwayShares(evaluation.weights, m) : new Array<number>(m).fill(1 / m);
  const flops =
    "pathwayFlops" in predictor
      ? (predictor as { pathwayFlops(s: number[]): number }).pathwayFlops(shares)
      : predictor.inferenceFlops;
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
