/**
 * Files of one fit: its training state, and the weights that predict. Both are safetensors files that are written
 * atomically, and neither ever holds a value that is not finite.
 */
import { existsSync, readdirSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { parseJson, readSafetensors, writeSafetensors } from "../io/index.ts";
import type { Module } from "../nn/index.ts";
import type { Optimizer } from "../optim/index.ts";
import { disposeTree, type ProcessGroup, scope, type Tensor, tensor, UserError } from "../torch/index.ts";
import { firstNotFinite } from "./finite.ts";
import type { Learner, Shards } from "./learner.ts";
import { type MeterState, meterState } from "./meter.ts";
import { ownTensors, together } from "./shards.ts";

/** Version of both files: raised with every change of their metadata or tensors, so that older ones are refused in one line. */
export const checkpointVersion = 2;
const versioned = z.looseObject({ version: z.number() });

/**
 * Paths of a fit's files from their common beginning. BASE.state.safetensors is what `--resume` and more epochs go on
 * from: last weights, optimizer, random streams, position, running sums. BASE.weights.safetensors is what predicts: the
 * best weights so far; it does not need the other, which may be deleted when nobody wants to train further. Neither has
 * parameters that stay as the hub has them.
 */
export function checkpointFiles(base: string): { state: string; weights: string } {
  return { state: `${base}.state.safetensors`, weights: `${base}.weights.safetensors` };
}

const count = z.int().nonnegative();
const amount = z.number().nonnegative();

const position = z.strictObject({
  /** Epoch in progress, from 0; the number of epochs when all are done. */
  epoch: count,
  /** Steps done in that epoch. */
  step: count,
  seconds: amount,
  trainingFlops: amount,
});

/** Place in a fit. */
export type Position = z.infer<typeof position>;

/** Largest number of random streams, and of characters of one; a state of libtorch's CPU generator takes 6,744. */
const [mostStreams, longestStream] = [64, 20_000];

const streams = z
  .record(z.string().regex(/^[a-z][\w.-]*$/i), z.base64().max(longestStream))
  .refine((all) => Object.keys(all).length <= mostStreams, `more than ${mostStreams} random streams`);

/** Files beside this one, each with what one more rank trained. */
const parts = z.array(z.string().regex(/^[\w-][\w.-]*$/)).optional();

const stateMeta = z.strictObject({
  parts,
  version: z.literal(checkpointVersion),
  identity: z.string(),
  position,
  meter: meterState,
  streams,
  /** Ranks that trained it; unknown of earlier runs. */
  ranks: count.optional(),
  optimizer: z.record(z.string(), count),
});

const weightsMeta = z.strictObject({
  parts,
  version: z.literal(checkpointVersion),
  identity: z.string(),
  /** Epochs that these weights were trained for. */
  epoch: count,
  /** Epochs of the whole fit, and whether it has ended (patience may end it sooner). */
  epochs: count,
  finished: z.boolean(),
  /** Validation figures of these weights; null for those of the last epoch, unmeasured. */
  score: z
    .union([
      z.strictObject({ score: z.number(), loss: z.number() }),
      // Names of before there were tasks without an accuracy.
      z
        .strictObject({ accuracy: z.number(), logLoss: z.number() })
        .transform(({ accuracy, logLoss }) => ({ score: accuracy, loss: logLoss })),
    ])
    .nullable(),
  /** Run time and FLOPs of the fit so far. */
  seconds: amount,
  trainingFlops: amount,
});

/** Description of a file with what one rank trained. */
const partMeta = z.strictObject({
  version: z.literal(checkpointVersion),
  identity: z.string(),
  optimizer: z.record(z.string(), count).optional(),
});

/** A description of weights that predict. */
export type WeightsInfo = Omit<z.infer<typeof weightsMeta>, "version" | "identity" | "parts">;

/** State of a fit between two steps. */
export interface FitState {
  learner: Learner;
  optimizer: Optimizer;
  position: Position;
  meter: MeterState;
  ranks?: number | undefined;
}

/**
 * Writes the whole state of a fit.
 * @throws NotFinite when a value is not finite, and UserError when the file cannot be written; the old one then stays
 */
export function saveState(base: string, identity: string, { learner, optimizer, ...rest }: FitState): void {
  const tensors = new Map<string, Tensor>();
  for (const [key, value] of changingState(learner.module)) tensors.set(`model/${key}`, value);
  const state = optimizer.stateDict();
  for (const [key, value] of state.tensors) tensors.set(`optimizer/${key}`, value);
  const { shards } = learner;
  const meta: z.input<typeof stateMeta> = {
    version: checkpointVersion,
    identity,
    ...rest,
    streams: learner.streams.state(),
    optimizer: state.numbers,
  };
  write(checkpointFiles(base).state, tensors, meta, shards && { shards, isOwn: ownTensors(shards, optimizer) });
}

/**
 * Restores a fit; undefined when there is no training state.
 * @throws UserError naming the file when it belongs to another hub, split, method or options, or is damaged
 */
export function loadState(
  base: string,
  identity: string,
  { learner, optimizer }: Pick<FitState, "learner" | "optimizer">,
): Omit<FitState, "learner" | "optimizer"> | undefined {
  const path = checkpointFiles(base).state;
  return opened(path, base, stateMeta, identity, (meta, tensors) => {
    loadChanging(learner.module, part(tensors, "model/"));
    optimizer.loadStateDict({ tensors: part(tensors, "optimizer/"), numbers: meta.optimizer });
    learner.streams.restore(meta.streams);
    return { position: meta.position, meter: meta.meter, ranks: meta.ranks };
  });
}

/**
 * Writes the weights that predict.
 * @throws NotFinite when a value is not finite, and UserError when the file cannot be written; the old one then stays
 */
export function saveWeights(
  base: string,
  identity: string,
  { module, shards }: Pick<Learner, "module" | "shards">,
  info: WeightsInfo,
): void {
  const meta: z.input<typeof weightsMeta> = { version: checkpointVersion, identity, ...info };
  write(checkpointFiles(base).weights, changingState(module), meta, shards && { shards, isOwn: ownTensors(shards) });
}

/**
 * Loads the weights that a fit predicts with into its module; undefined when it has none yet.
 * @param base common beginning of the fit's files, as `RunFolder.checkpoint` gives it
 * @param identity name of what the weights must belong to; any when left out
 * @returns a description, whose `finished` says whether the fit has ended
 * @throws UserError naming the file when it belongs to something else, does not fit the module, or is damaged
 */
export function loadWeights(base: string, module: Module, identity?: string): WeightsInfo | undefined {
  return openWeights(base, identity, (tensors) => loadChanging(module, tensors));
}

/** The weights of one module of a fit, by its name; the caller disposes them. */
export function weightsOf(base: string, name: string): Map<string, Tensor> {
  const found = new Map<string, Tensor>();
  openWeights(base, undefined, (tensors) => {
    for (const [key, tensor] of part(tensors, `${name}.`)) {
      found.set(key, tensor);
      tensors.delete(`${name}.${key}`);
    }
  });
  return found;
}

/** The same description as `loadWeights` gives, from the file's header alone. */
export function weightsInfo(base: string, identity?: string): WeightsInfo | undefined {
  return openWeights(base, identity, () => {});
}

/** Names of the parameters that training leaves as the hub has them. */
function frozenNames(module: Module): Set<string> {
  return new Set([...module.namedParameters()].flatMap(([name, own]) => (own.requires_grad ? [] : [name])));
}

/** Parameters that are trained, and buffers. */
function changingState(module: Module): Map<string, Tensor> {
  const frozen = frozenNames(module);
  return new Map([...module.stateDict()].filter(([name]) => !frozen.has(name)));
}

function loadChanging(module: Module, tensors: ReadonlyMap<string, Tensor>): void {
  module.loadStateDict(tensors, { optional: frozenNames(module) });
}

function openWeights(
  base: string,
  identity: string | undefined,
  use: (tensors: Map<string, Tensor>) => void,
): WeightsInfo | undefined {
  const path = checkpointFiles(base).weights;
  return opened(path, base, weightsMeta, identity, ({ version: _, identity: __, parts: ___, ...info }, tensors) => {
    use(tensors);
    return info;
  });
}

interface Described {
  version: number;
  identity: string;
  optimizer?: Record<string, number> | undefined;
}

/**
 * Writes a file, and one beside it for each more rank that has part of the tensors. The file itself comes last and names the
 * others, whose names are new each time: until then the old files are whole.
 * @throws NotFinite naming the tensor
 */
function write(
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  meta: Described,
  shared?: { shards: Shards; isOwn: (tensor: Tensor) => boolean },
): void {
  if (!shared) {
    writeFile(path, tensors, meta);
    removeParts(path, []);
    return;
  }
  const { shards, isOwn } = shared;
  const { group } = shards;
  const names = partNames(path, group);
  together(group, () => {
    const { version, identity, optimizer } = meta;
    const own = new Map([...tensors].filter(([, tensor]) => isOwn(tensor)));
    const name = names[group.rank - 1];
    if (name !== undefined) writeFile(join(dirname(path), name), own, { version, identity, optimizer });
  });
  together(group, () => {
    if (group.rank > 0) return;
    const theirs = new Set(shards.others.flatMap((module) => [...module.stateDict().values()]));
    const rest = new Map([...tensors].filter(([, tensor]) => !theirs.has(tensor)));
    writeFile(path, rest, { ...meta, parts: names });
    removeParts(path, names);
  });
}

function writeFile(path: string, tensors: ReadonlyMap<string, Tensor>, meta: unknown): void {
  const broken = firstNotFinite(tensors);
  if (broken !== undefined) throw new NotFinite(broken);
  writeSafetensors(path, tensors, { checkpoint: JSON.stringify(meta) });
}

const stemOf = (path: string) => basename(path, ".safetensors");

/** Names of the files of all ranks but the first: they have those of one save in common. */
function partNames(path: string, group: ProcessGroup): string[] {
  const save = scope(() => group.broadcast(tensor([Date.now()], { dtype: "int64" }), 0).item()).toString(36);
  return Array.from({ length: group.worldSize - 1 }, (_, i) => `${stemOf(path)}.${save}.${i + 1}.safetensors`);
}

/** Removal of what earlier saves left. */
function removeParts(path: string, named: readonly string[]): void {
  const stem = `${stemOf(path)}.`;
  for (const name of readdirSync(dirname(path))) {
    const isPart = name.startsWith(stem) && /^\w+\.\d+\.safetensors$/.test(name.slice(stem.length));
    if (isPart && !named.includes(name)) rmSync(join(dirname(path), name), { force: true });
  }
}

/** Adds the tensors of the files beside a file to its own. @returns counters of their optimizers */
function readParts(
  path: string,
  { parts = [], identity }: PartedMeta,
  tensors: Map<string, Tensor>,
): Record<string, number> {
  const counters: Record<string, number> = {};
  for (const name of parts) {
    const file = join(dirname(path), name);
    if (!existsSync(file))
      throw new UserError(`${file} is missing, which belongs to ${path}: restore it, or train again`);
    const { tensors: more, metadata } = readSafetensors(file);
    for (const [key, tensor] of more) tensors.set(key, tensor);
    const meta = parseJson(metadata["checkpoint"] ?? "", partMeta, file, "part of a checkpoint");
    if (meta.identity !== identity) throw new UserError(`${file} belongs to another run than ${path}: train again`);
    Object.assign(counters, meta.optimizer);
  }
  return counters;
}

interface PartedMeta {
  identity: string;
  parts?: string[] | undefined;
  optimizer?: Record<string, number>;
}

/** A tensor that holds a value which is not finite was about to be saved. */
export class NotFinite extends Error {
  /** Name of the tensor in the file. */
  readonly tensor: string;

  constructor(tensor: string) {
    super(`${tensor} holds a value that is not finite`);
    this.tensor = tensor;
  }
}

/** Reads a file and releases its tensors after use; undefined when there is none. */
function opened<S extends z.ZodType<PartedMeta>, T>(
  path: string,
  base: string,
  schema: S,
  identity: string | undefined,
  use: (meta: z.output<S>, tensors: Map<string, Tensor>) => T,
): T | undefined {
  refuseOld(base, path);
  if (!existsSync(path)) return undefined;
  const { tensors, metadata } = readSafetensors(path);
  try {
    const text = metadata["checkpoint"];
    if (text === undefined) throw new UserError(`${path} is not a checkpoint of this program`);
    const { version } = parseJson(text, versioned, path, "a checkpoint");
    if (version !== checkpointVersion)
      throw new UserError(
        `${path} has version ${version} of checkpoints, and this program reads ${checkpointVersion}: train again with another --out folder`,
      );
    const meta = parseJson(text, schema, path, `a checkpoint of version ${checkpointVersion}`);
    if (identity !== undefined && meta.identity !== identity) {
      throw new UserError(
        `${path} was written by another run: its hub, data, split, method or options differ; use another --out folder`,
      );
    }
    const counters = readParts(path, meta, tensors);
    return use(meta.optimizer ? { ...meta, optimizer: { ...meta.optimizer, ...counters } } : meta, tensors);
  } catch (error) {
    if (!(error instanceof UserError) || error.message.startsWith(path)) throw error;
    throw new UserError(`${path}: ${error.message}`, { cause: error });
  } finally {
    disposeTree(tensors);
  }
}

/** Version 1 had one file, which kept the last weights and, once finished, nothing to go on from. */
function refuseOld(base: string, path: string): void {
  const old = `${base}.checkpoint.safetensors`;
  if (existsSync(path) || !existsSync(old)) return;
  throw new UserError(
    `${old} was written by an earlier version of this program: train again with another --out folder`,
  );
}

/** Tensors whose names begin with the prefix, by the rest of their names. */
export function part(tensors: ReadonlyMap<string, Tensor>, prefix: string): Map<string, Tensor> {
  const own = [...tensors].filter(([key]) => key.startsWith(prefix));
  return new Map(own.map(([key, value]) => [key.slice(prefix.length), value]));
}
