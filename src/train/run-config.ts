/** Configuration of a run: everything in its run.json, and how two of them differ. */
import { existsSync } from "node:fs";
import { isAbsolute, join, relative, resolve, sep } from "node:path";
import { z } from "zod";
import { type AugmentName, augmentations } from "../data/index.ts";
import { type Hub, memberFingerprint, withMembers } from "../hub/index.ts";
import { ConfigError, UserError } from "../torch/index.ts";
import type { DataRequest, TaskData } from "./data.ts";
import { scaleVersion } from "./frozen/feature-scale.ts";
import { type Choices, type Method, versionOf } from "./method.ts";
import { type TrainOptions, trainOptionsSchema } from "./options.ts";
import type { RankingPrior } from "./ranking.ts";
import type { RunFolder, RunKind } from "./run-folder.ts";

/** Runs of before there were other labels than one class of each image have the first, and still get it. */
export const runVersions = { classes: 3, targets: 4 } as const;

const priorSchema = z.object({
  score: z.string(),
  flops: z.number(),
  members: z.array(z.object({ name: z.string(), score: z.number(), probability: z.number() })),
});

/** Decoding, split and augmentation of the data: a data request apart from place, seed and batches. */
const formSchema = z.object({
  imageSize: z.int().min(1).max(4096),
  fit: z.literal("squash").optional(),
  augment: z.enum(Object.keys(augmentations) as [AugmentName, ...AugmentName[]]),
  cropScale: z.number().gt(0).max(1).optional(),
  cropFrom: z.int().min(1).max(4096).optional(),
  split: z.object({
    testSeed: z.int().min(0).optional(),
    testFraction: z.number().min(0).max(1).optional(),
    validationFraction: z.number().min(0).max(1).optional(),
    trainPerClass: z.int().min(1).optional(),
    validationPerClass: z.int().min(1).optional(),
  }),
  skipBad: z.boolean().default(false),
  duplicates: z.enum(["group", "keep"]).default("group"),
});

export type DataForm = z.output<typeof formSchema>;

const runSchema = z.object({
  version: z.union([z.literal(runVersions.classes), z.literal(runVersions.targets)]),
  method: z.string(),
  /** Version of the method's computation. */
  methodVersion: z.int(),
  choices: z.record(z.string(), z.json()),
  options: trainOptionsSchema,
  hub: z.object({
    name: z.string(),
    /** A hint where it was, relative to the run's folder where it is no name. */
    at: z.string(),
    /** The members that the run chooses from, in their order. */
    members: z.array(z.object({ name: z.string(), fingerprint: z.string() })).min(1),
  }),
  data: z.object({
    name: z.string(),
    /** A hint, as for the hub. */
    at: z.string(),
    form: formSchema,
  }),
  /** What the labels are; one class of each image when left out. */
  task: z.enum(["multi-label", "regression"]).optional(),
  /** Names of the classes, or of the numbers, in Unicode's composed form (NFC). */
  classes: z.array(z.string()).min(1),
  splitHash: z.string(),
  /** Prior of the exploration loss, computed when the run began; uniform when left out. */
  prior: priorSchema.optional(),
});

export type RunConfig = z.output<typeof runSchema>;

/** Runs of methods on images. */
export const imageRun: RunKind<RunConfig> = {
  noun: "run",
  what: "the settings of a run",
  settings: "run.json",
  schema: runSchema,
  version: runVersions.targets,
  oldest: runVersions.classes,
  own: /^(split\.json|events\.jsonl|training)$/,
  folders: ["training", "model"],
  finished: join("model", "model.json"),
  begin: "hub-pathway train",
  resume: (path) => `hub-pathway train --resume ${path}`,
};

/** The folder of such a run. */
export type ImageRunFolder = RunFolder<RunConfig>;

/** Parts from which a run is made. */
export interface RunParts {
  method: Method;
  /** As they were given. */
  choices: Choices;
  options: TrainOptions;
  /** Folder of the hub as the user named it. */
  hubPath: string;
  request: DataRequest;
  hub: Hub;
  data: TaskData;
  prior: RankingPrior | undefined;
}

/** @param folder of the run: places are said relative to it */
export function runConfig(folder: string, parts: RunParts): RunConfig {
  const { method, choices, options, hub, data, prior, request, hubPath } = parts;
  // As it will be read: the order of its keys is part of the identity of its files.
  return runSchema.parse({
    version: data.kind === "classification" ? runVersions.classes : runVersions.targets,
    method: method.name,
    methodVersion: versionOf(method, choices),
    choices: plainCopy(choices),
    options: plainCopy(options),
    hub: {
      name: hub.manifest.name,
      at: hintOf(folder, hubPath),
      members: hub.manifest.members.map((entry) => ({ name: entry.name, fingerprint: memberFingerprint(entry) })),
    },
    data: { name: data.name, at: sourceHint(folder, request.source), form: formOf(request) },
    ...(data.kind === "classification" ? {} : { task: data.kind }),
    classes: data.classes.map((name) => name.normalize("NFC")),
    splitHash: data.splitHash,
    ...(prior ? { prior } : {}),
  });
}

function formOf(request: DataRequest): DataForm {
  const { source: _source, seed: _seed, batchSize: _size, views: _views, device: _device, ...form } = request;
  const { onProgress: _progress, signal: _signal, ...rest } = form;
  return formSchema.parse(plainCopy(rest));
}

/** The data request of a run, for data at the given place. */
export function requestOf({ data, options, task }: RunConfig, source: string): DataRequest {
  const { seed, batchSize, frozenViews } = options;
  return { ...data.form, source, task: task ?? "classification", seed, batchSize, views: frozenViews };
}

function plainCopy<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}

/** A place relative to the run's folder, so that both may move together; names of shipped places stay names. */
function hintOf(folder: string, place: string): string {
  if (!existsSync(place)) return place;
  const path = relative(resolve(folder), resolve(place));
  return isAbsolute(path) ? place : path.split(sep).join("/");
}

/** Data may be NAME:FOLDER too. */
function sourceHint(folder: string, source: string): string {
  const colon = source.indexOf(":");
  if (existsSync(source) || colon < 0) return hintOf(folder, source);
  return `${source.slice(0, colon + 1)}${hintOf(folder, source.slice(colon + 1))}`;
}

/** The place that a hint names, seen from the working directory. */
export function placeOf(folder: string, hint: string): string {
  const colon = hint.indexOf(":");
  const [name, path] = colon > 1 ? [hint.slice(0, colon + 1), hint.slice(colon + 1)] : ["", hint];
  const place = join(folder, path);
  return `${name}${existsSync(place) ? place : path}`;
}

/**
 * The hub with the members that the run chooses from, whatever else it has now.
 * @throws UserError naming the members that it lacks or has otherwise
 */
export function membersOfRun(hub: Hub, run: RunConfig, folder: string): Hub {
  const known = new Map(hub.manifest.members.map((entry) => [entry.name, entry]));
  const problems = run.hub.members.flatMap(({ name, fingerprint }) => {
    const entry = known.get(name);
    if (!entry) return [`"${name}" is missing`];
    return memberFingerprint(entry) === fingerprint ? [] : [`"${name}" has changed`];
  });
  if (problems.length > 0) {
    throw new UserError(
      `${folder} was trained with other members than ${hub.dir} has: ${problems.join(", ")}; ` +
        "restore them, or name the hub that has them with --hub",
    );
  }
  return withMembers(
    hub,
    run.hub.members.flatMap(({ name }) => known.get(name) ?? []),
  );
}

/** Everything that changes what a fit's state means: a run may grow, move, and be saved more or less often. */
export function identityOf(config: RunConfig): unknown {
  const { version: _version, hub, data, options, ...rest } = config;
  const { epochs: _epochs, checkpointSeconds: _seconds, ...decisive } = options;
  const features = options.frozenViews && scaleVersion;
  return { ...rest, options: decisive, members: hub.members, form: data.form, scaleVersion: features };
}

/** Values by the words that messages use for them. */
export function namedValues(config: RunConfig): Record<string, unknown> {
  const { method, methodVersion, choices, options, data, splitHash, task, classes, hub, prior } = config;
  const { split, ...form } = data.form;
  const members = hub.members.map((member) => member.name);
  // The choice `prior` names a score; the prior itself is what that score made of the images.
  const made = { task, classes, members, methodVersion, ranking: prior, splitHash };
  return { method, ...choices, ...options, ...form, ...split, ...made };
}

/**
 * Compares a run with what is asked of it.
 * @returns whether it shall train longer than before
 * @throws UserError naming each other difference, with the old and the new value
 */
export function grows(before: RunConfig, after: RunConfig, folder: string): boolean {
  const [old, now] = [namedValues(before), namedValues(after)];
  const longer = after.options.epochs > before.options.epochs && after.options.iterations === undefined;
  const names = [...new Set([...Object.keys(old), ...Object.keys(now)])];
  const different = names.filter((name) => JSON.stringify(old[name]) !== JSON.stringify(now[name]));
  const refused = different.filter((name) => !(name === "epochs" && longer) && name !== "checkpointSeconds");
  if (refused.length === 0) return longer;
  if (refused.every((name) => name === "splitHash")) {
    throw new UserError(
      `the images of ${before.data.name} are no longer those that ${folder} is trained on: restore them, or start anew with another --out`,
    );
  }
  const said = refused.filter((name) => name !== "splitHash").map((name) => difference(name, old[name], now[name]));
  throw new ConfigError(
    `${folder} is another run: ${said.join("; ")}. Leave these options out to resume it, or give another --out folder`,
  );
}

function difference(name: string, before: unknown, after: unknown): string {
  return `${name} was ${valueText(before)}, now ${valueText(after)}`;
}

const longestValue = 60;

function valueText(value: unknown): string {
  const text = typeof value === "string" ? value : value === undefined ? "not given" : JSON.stringify(value);
  return text.length > longestValue ? `${text.slice(0, longestValue)}…` : text;
}
