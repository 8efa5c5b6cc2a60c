/** One run from start to end: data, hub, method, folder; and the continuation of one. */

import { mkdirSync } from "node:fs";
import { augmentationOf, taskKinds } from "../data/index.ts";
import { agreeOn } from "../distributed/index.ts";
import { type Hub, memberEntries, openHub, Residency, withMembers } from "../hub/index.ts";
import { ConfigError, type ProcessGroup } from "../torch/index.ts";
import { calibrate, withTemperature } from "./calibration.ts";
import { type BatchSource, type DataRequest, prepareData, type TaskData } from "./data.ts";
import { type Evaluation, isClassified, type TaskEvaluation } from "./evaluate.ts";
import { loggedEmit } from "./event-log.ts";
import { type Emit, eventVersion } from "./events.ts";
import { checkFrozen } from "./frozen/feature-cache.ts";
import { saveModel } from "./kept-model.ts";
import type { EvaluationOptions, Predictor } from "./learner.ts";
import { type Choices, type ConfiguredMethod, completedChoices, type Method, type ShardContext } from "./method.ts";
import { refuseMemoryOn } from "./open-run.ts";
import type { RequestedOptions } from "./options.ts";
import { planRun, type RunPlan } from "./plan.ts";
import { refuseParts } from "./ranks.ts";
import {
  grows,
  type ImageRunFolder,
  identityOf,
  imageRun,
  membersOfRun,
  namedValues,
  placeOf,
  type RunConfig,
  requestOf,
  runConfig,
} from "./run-config.ts";
import { type ContextParts, RunContext, requestedPrior } from "./run-context.ts";
import { fingerprint, RunFolder } from "./run-folder.ts";
import { runSplit, saveSplit } from "./run-split.ts";
import type { Calibration } from "./selective.ts";
import { type EvaluationSummary, summarise, summariseTargets, type TargetSummary, unusedMembers } from "./summary.ts";
import { type Task, withThresholds } from "./task.ts";
import { checkPatience } from "./trainer.ts";
import { checkTune } from "./tuning.ts";

/** Options that do not change a run: device, observers and paths. */
export interface SessionOptions {
  emit: Emit;
  signal?: AbortSignal | undefined;
  onProgress?: DataRequest["onProgress"];
  /** Takes the progress of what is measured of a finished training. */
  measuring?: ((work: string) => EvaluationOptions["onProgress"]) | undefined;
  /** Bytes that the hub's weights and their optimizer state may hold in memory; all of them when left out. */
  hubMemory?: number | undefined;
  /** Load TorchScript members too, which are programs. */
  trust?: boolean | undefined;
  /** Time (Date.now()) by which training ends: no epoch begins that would take longer. */
  endsBy?: number | undefined;
  /** Device of the run (default "cpu"); it may go on elsewhere. */
  device?: string | undefined;
  /** Keep the features of frozen members (default); otherwise they are computed anew in every step. */
  cacheFeatures?: boolean | undefined;
  /** Ranks that train the run together, each in a folder of its own. */
  group?: ProcessGroup | undefined;
  /** Folder of the first rank's run, where ranks have the models among them: each writes there what it trains. */
  shardsAt?: string | undefined;
}

export interface TrainRequest extends SessionOptions {
  method: Method;
  choices: Choices;
  hub: string;
  data: DataRequest;
  /** Names of the members to choose from; all of the hub when left out. */
  members?: readonly string[] | undefined;
  /** Without epochs, they are chosen by the number of images and models. */
  options: RequestedOptions;
  out: string;
  resume: boolean;
}

interface TrainedParts {
  folder: ImageRunFolder;
  predictor: Predictor;
  data: TaskData;
  hub: Hub;
  /** Seconds and FLOPs of all fits of the run; the FLOPs of a ranking for the prior are counted too. */
  seconds: number;
  trainingFlops: number;
}

/** Figures of a run on images of one class each. */
interface ClassFigures {
  task: Task;
  /** As the models answer, at temperature 1; the summary is at that of the calibration, as all that users get. */
  validation: Evaluation;
  calibration: Calibration;
  summary: EvaluationSummary;
}

/** Figures of a run on images with several labels or numbers, at the thresholds that are chosen on these images. */
interface TargetFigures {
  /** With the thresholds of labels. */
  task: Task;
  validation: TaskEvaluation;
  calibration?: undefined;
  summary: TargetSummary;
}

/** A trained run on images of one class each. */
export type ClassifierOutcome = TrainedParts & ClassFigures;

export type TargetOutcome = TrainedParts & TargetFigures;

export type RunOutcome = ClassifierOutcome | TargetOutcome;

/**
 * Trains a run, measures it on the validation split, and stores what predicts. A run that made no step leaves no folder.
 * @param look at a run that is stored, and at its validation images while features of them are at hand
 * @throws UserError, ConfigError for bad input; Interrupted after a signal, with everything saved.
 */
export function trainRun(
  given: TrainRequest,
  look?: (outcome: RunOutcome, validation: BatchSource) => Promise<void>,
): Promise<RunOutcome> {
  return withTrained(given, async (trained) => {
    const outcome = await measured(trained);
    await look?.(outcome, trained.context.open("validation", outcome.predictor));
    return outcome;
  });
}

/** Trains a run as one of several ranks: what follows training is the first one's. Fails as `trainRun` does. */
export function trainOnRank(given: TrainRequest): Promise<void> {
  return withTrained(given, async ({ predictor, data, hub }) => {
    predictor.dispose();
    data.dispose();
    hub.residency?.dispose();
  });
}

/** Trains a run, and gives it to a function that takes over what it holds. */
async function withTrained<T>(asked: TrainRequest, use: (trained: Trained) => Promise<T>): Promise<T> {
  refuseMemoryOn(asked.device, asked.hubMemory);
  using folder = RunFolder.take(asked.out, imageRun, asked.resume);
  const before = asked.resume ? folder.config() : undefined;
  if (before) folder.requireTraining();
  const hub = openedHub(asked, before);
  const given = completed(asked, hub, before);
  const method = given.method.configure(given.choices, hub.manifest, given.options);
  checkFrozen(given.options, given.data.augment, given.method);
  checkTune(
    given.options,
    given.method,
    hub.manifest.members.map(({ name }) => name),
  );
  checkPatience(given.options);
  if (given.group) refuseParts(given.options);
  if (given.shardsAt !== undefined && given.group) requireShardable(given, method, hub, given.group);
  const { device, signal, group, onProgress = given.data.onProgress } = given;
  const { name, kinds = taskKinds, otherwise } = given.method;
  const { frozenViews: views, sampling } = given.options;
  const wanted: DataRequest = {
    ...given.data,
    takes: narrowed({ who: `the method ${name}`, kinds, otherwise }, given.data.takes),
    ...{ views, sampling: sampling === "balanced" ? sampling : undefined },
    ...{ device, group, readsAll: given.shardsAt !== undefined, onProgress, signal },
  };
  const data = await prepareData(wanted);
  try {
    return await run(given, { folder, before, hub, data, method }, use);
  } catch (error) {
    hub.residency?.dispose();
    data.dispose();
    throw error;
  }
}

/** A request with the choices that its options decide; a run goes on with those that it began with. */
function completed(request: TrainRequest, { manifest }: Hub, before: RunConfig | undefined): TrainRequest {
  const { method, choices, options } = request;
  const all = Object.entries(completedChoices(method, choices, manifest, options));
  const decided = all.filter(([name]) => !before || name in before.choices);
  return { ...request, choices: { ...choices, ...Object.fromEntries(decided) } };
}

/** Kinds of labels that both take, by the words of the narrower one. */
function narrowed(method: Takes, asked: Takes | undefined): Takes {
  if (!asked?.kinds.every((kind) => method.kinds.includes(kind))) return method;
  return asked;
}

type Takes = NonNullable<DataRequest["takes"]>;

function openedHub(given: TrainRequest, before: RunConfig | undefined): Hub {
  const { trust, device, out } = given;
  const all = openHub(given.hub, { trust, device });
  if (before) return membersOfRun(all, before, out);
  return given.members ? withMembers(all, memberEntries(all, given.members)) : all;
}

interface Opened {
  folder: ImageRunFolder;
  /** Configuration in the folder of the run to go on with. */
  before: RunConfig | undefined;
  hub: Hub;
  data: TaskData;
  method: ConfiguredMethod;
}

interface Trained extends Pick<Opened, "folder" | "hub" | "data"> {
  given: TrainRequest;
  config: RunConfig;
  context: RunContext;
  predictor: Predictor;
  emit: Emit;
}

async function run<T>(given: TrainRequest, opened: Opened, use: (trained: Trained) => Promise<T>): Promise<T> {
  const { folder, hub, data, method } = opened;
  const { hubMemory, signal, cacheFeatures, group, endsBy } = given;
  const ready = await settled(given, opened);
  const { config } = ready;
  if (group)
    agreeOn(group, "settings", { ...agreed(config), "--shard-members": given.shardsAt === undefined ? "no" : "yes" });
  if (hubMemory !== undefined)
    hub.residency = new Residency({ budget: hubMemory, folder: folder.file("training/members") });
  const shards = group && given.shardsAt !== undefined ? shardContext(group, hub, folder) : undefined;
  const emit = loggedEmit(folder.file("events.jsonl"), (event) => {
    if (event.type === "step") folder.begin();
    given.emit(event);
  });
  start(emit, ready, group);
  const augmentation = augmentationOf(given.data);
  using context = new RunContext({
    hub,
    data,
    augmentation,
    emit,
    signal,
    cacheFeatures,
    group,
    shards,
    endsBy,
    ...partsOf(config, folder, given.shardsAt),
  });
  const predictor = await context.train(method);
  try {
    return await use({ given, folder, hub, data, config, context, predictor, emit });
  } catch (error) {
    predictor.dispose();
    throw error;
  }
}

/** Measures what was trained on the validation split, and stores what predicts. */
async function measured({ given, folder, hub, data, config, context, predictor, emit }: Trained): Promise<RunOutcome> {
  const { signal } = given;
  const raw = await context.measure(predictor, "validation", context.task);
  const { measured: settled, ...figures } = figuresOf(context.task, raw, predictor, config.classes);
  const { metrics, secondsPerImage } = settled;
  emit({ type: "result", split: "validation", metrics, secondsPerImage });
  const { seconds, trainingFlops } = context;
  const onProgress = given.measuring?.("measuring choices for budgets");
  await predictor.measureBudgets?.(context.open("validation", predictor), { signal, onProgress });
  folder.begin();
  const kept = predictor.keep?.(unusedMembers(raw, predictor));
  const { task, calibration } = figures;
  if (kept) saveModel(folder.file("model"), { ...kept, task, calibration }, hub);
  folder.saveResult({ seconds, trainingFlops, validation: figures.summary });
  return { folder, predictor, data, hub, ...figures, seconds, trainingFlops };
}

/** What is measured on validation images, and what it settles: a temperature, or thresholds of labels, which the task then has. */
function figuresOf(
  task: Task,
  raw: TaskEvaluation,
  predictor: Predictor,
  classes: readonly string[],
): (ClassFigures | TargetFigures) & { measured: TaskEvaluation } {
  if (isClassified(raw)) {
    const calibration = calibrate(raw);
    const measured = withTemperature(raw, calibration.temperature);
    return {
      task,
      measured,
      validation: raw,
      calibration,
      summary: summarise("validation", measured, predictor, classes),
    };
  }
  const settled = withThresholds(task, raw);
  const measured = { ...raw, metrics: settled.measure(raw) };
  const summary = summariseTargets("validation", measured, predictor, { task: settled, classes });
  return { task: settled, measured, validation: measured, summary };
}

/** Whatever all ranks must have alike, by the words that messages use. */
function agreed(config: RunConfig): Record<string, string> {
  const weights = config.hub.members.map(({ name, fingerprint }) => [`weights of ${name}`, fingerprint] as const);
  const { splitHash, ...values } = namedValues(config);
  const named = Object.entries({ ...values, "images or their split": splitHash, ...Object.fromEntries(weights) });
  return Object.fromEntries(named.map(([name, value]) => [name, String(JSON.stringify(value))]));
}

/** @throws ConfigError for a method, a choice of it, options or a hub that ranks cannot have among them */
function requireShardable(
  { method, options }: Pick<TrainRequest, "method" | "options">,
  { shardable }: ConfiguredMethod,
  { manifest }: Hub,
  { worldSize }: ProcessGroup,
): void {
  const refuse = (reason: string): never => {
    throw new ConfigError(`--shard-members gives each rank some of the models, and ${reason}: leave it out`);
  };
  const models = manifest.members.length;
  if (options.frozenViews !== undefined) refuse("--freeze-members computes features, which stay with their owners");
  if (typeof shardable === "string") refuse(shardable);
  if (shardable !== true) refuse(`${method.name} does not route images to models`);
  if (options.tune !== undefined) refuse("--tune is not tried with it");
  if (models < worldSize) refuse(`${models} models leave some of ${worldSize} ranks without one`);
}

/** Models that come back to the first rank take the memory that was asked for, or as much as its own. */
function shardContext(group: ProcessGroup, hub: Hub, folder: ImageRunFolder): ShardContext {
  const residency = (budget: number) =>
    (hub.residency ??= new Residency({ budget, folder: folder.file("training/members") }));
  return { group, residency };
}

/** Parts of the run's context that its settings and its folder give. */
function partsOf(config: RunConfig, folder: ImageRunFolder, shardsAt: string | undefined) {
  const { options, prior } = config;
  const identity = identityOf(config);
  const home = shardsAt === undefined ? folder : new RunFolder(shardsAt, imageRun);
  const place: ContextParts["place"] = ({ name, rate, order }) => ({
    checkpoint: home.checkpoint(name),
    identity: fingerprint({ config: identity, rate, order, name }),
  });
  const decide: ContextParts["decide"] = (name, compute) => folder.decide(name, compute);
  return { options, prior, splits: ["validation"] as const, place, decide };
}

interface Settled {
  config: RunConfig;
  plan: RunPlan;
}

/** The run's settings, written to its folder when they are new, and what is to be said of them. */
async function settled(given: TrainRequest, { folder, before, hub, data, method }: Opened): Promise<Settled> {
  const members = hub.manifest.members.map((member) => member.name);
  const generatorFactor = given.method.generatorFactor?.(given.choices);
  const { options, plan } = planRun(given.options, { activated: method.activated, generatorFactor }, members, data);
  const { emit, signal } = given;
  const asked = { hub, data, score: method.prior, seed: options.seed, emit, signal };
  const prior = before ? before.prior : await requestedPrior(asked);
  const { hub: hubPath, data: request } = given;
  const config = runConfig(given.out, { ...given, options, hubPath, request, hub, data, prior });
  if (before && !grows(before, config, given.out)) return { config: before, plan };
  if (before) folder.forgetDecisions();
  else
    saveSplit(
      folder.file("split.json"),
      runSplit((name) => data.items(name), data.contentHashes, data.ids),
    );
  // With its settings it is a run that can be resumed: everything else is there before.
  mkdirSync(folder.file("training"), { recursive: true });
  folder.saveConfig(config);
  return { config, plan };
}

function start(
  emit: Emit,
  { config: { method, hub, data, options, prior }, plan }: Settled,
  { worldSize: ranks, rank }: Pick<ProcessGroup, "worldSize" | "rank"> = { worldSize: 1, rank: 0 },
): void {
  emit({
    type: "start",
    version: eventVersion,
    method,
    hub: hub.name,
    data: data.name,
    seed: options.seed,
    members: plan.members,
    ranks,
    rank,
    time: new Date().toISOString(),
  });
  emit({ type: "plan", ...plan });
  if (prior) emit({ type: "prior", ...prior });
}

export interface ResumeRequest extends SessionOptions {
  /** The method of a name. */
  method: (name: string) => Method;
  /** Present folder of the hub and path of the data, when not where they were. */
  hub?: string | undefined;
  data?: string | undefined;
  /** Epochs of the whole run: as many as before, or more. */
  epochs?: number | undefined;
  /** Other settings that were asked for; they must be as the run has them. */
  given?: {
    method?: string | undefined;
    choices?: Choices | undefined;
    options?: Partial<RequestedOptions> | undefined;
    data?: Partial<Omit<DataRequest, "split">> | undefined;
    split?: Partial<DataRequest["split"]> | undefined;
  };
}

/**
 * Continues a run with the settings that its folder holds. A finished one goes on when it is given more epochs.
 * @throws ConfigError naming each setting that was asked for and is another; UserError when the folder holds no run, or
 * images or members are no longer those of the run; Interrupted after a signal, with everything saved
 */
export async function resumeRun(path: string, request: ResumeRequest): Promise<RunOutcome> {
  return trainRun(resumedRequest(path, request));
}

/** Request to go on with the run of a folder, under the settings that it holds. Fails as `resumeRun` does at its start. */
export function resumedRequest(path: string, request: ResumeRequest): TrainRequest {
  const config = new RunFolder(path, imageRun).config();
  const { method, hub, data, epochs, given = {}, ...session } = request;
  const form = requestOf(config, data ?? placeOf(path, config.data.at));
  const options = { ...config.options, ...given.options, ...(epochs === undefined ? {} : { epochs }) };
  return {
    ...session,
    method: method(given.method ?? config.method),
    choices: { ...config.choices, ...given.choices },
    hub: hub ?? placeOf(path, config.hub.at),
    data: { ...form, ...given.data, split: { ...form.split, ...given.split } },
    options,
    out: path,
    resume: true,
  };
}
