/**
 * Trained model in a folder that stands alone: no hub, no data, no method and no training state is needed again.
 *
 *     members.json         the members as a hub's manifest has them; their weights are the trained ones
 *     NAME.safetensors     trained weights of a member
 *     NAME/…               the files of a member that brings its own network
 *     layers.safetensors   heads, generator, and whatever else is no member's
 *     model.json           how they belong together; written last
 */
import fs from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import {
  type Hub,
  type HubMember,
  type ImageInput,
  isImageMember,
  loadBackbone,
  loadMember,
  type MemberEntry,
  manifestVersion,
  type Residency,
  readManifest,
  writeManifest,
} from "../hub/index.ts";
import {
  hashFile,
  quoted,
  readJsonFile,
  readSafetensors,
  shown,
  writeFileAtomic,
  writeSafetensors,
} from "../io/index.ts";
import type { Module } from "../nn/index.ts";
import { disposeTree, type Tensor, UserError } from "../torch/index.ts";
import { type Calibration, calibrationSchema } from "./selective.ts";
import { restoredTask, storedTask, storedTaskSchema, type Task } from "./task.ts";

const modelVersion = 1;
const modelName = "model.json";
const what = "a run's model";
const manifestName = "members.json";
const layersName = "layers.safetensors";

const isDistinct = (names: readonly string[]): boolean => new Set(names).size === names.length;

const memberPlan = z.object({
  kind: z.literal("member"),
  member: z.string(),
  /** True when its features are centred and scaled. */
  standardized: z.boolean(),
});

const budgetChoice = z.object({
  k: z.int().min(1),
  confidence: z.number().gt(0).max(1).optional(),
  price: z.number().min(0),
  models: z.array(z.int().min(0)).min(1).readonly().optional(),
  accuracy: z.number().min(0).max(1),
  flops: z.number().min(0),
  uses: z.array(z.number().min(0)).readonly().optional(),
});

const pathwayPlan = z.object({
  kind: z.literal("pathway"),
  /** All that the generator scores; one that is not kept is never activated. */
  members: z
    .array(z.object({ name: z.string(), featureWidth: z.int().min(1).max(1e6), kept: z.boolean() }))
    .min(1)
    .refine((all) => isDistinct(all.map(({ name }) => name)), "a member is named twice"),
  config: z.record(z.string(), z.json()),
  /** True in models of before the generator kind "random", whose config names the kind that was not asked. */
  randomRoutes: z.boolean().optional(),
  seed: z.number(),
  standardized: z.boolean(),
  /** Choices for budgets, from the cheapest to the most accurate; none in older models. */
  budgets: z.array(budgetChoice).default([]),
});

const zooPlan = z.object({
  kind: z.literal("zoo"),
  members: z.array(z.string()).min(1).refine(isDistinct, "a member is named twice"),
});
const singlePlan = z.discriminatedUnion("kind", [memberPlan, pathwayPlan, zooPlan]);
const ensemblePlan = z.object({
  kind: z.literal("ensemble"),
  parts: z.array(singlePlan).min(1),
  weights: z.array(z.number().min(0)),
});
const planSchema = z.discriminatedUnion("kind", [memberPlan, pathwayPlan, zooPlan, ensemblePlan]);

export type SinglePlan = z.output<typeof singlePlan>;
export type PredictorPlan = z.output<typeof planSchema>;

const modelSchema = z.object({
  version: z.literal(modelVersion),
  plan: planSchema,
  /** Outputs C of the task. */
  outputs: z.int().min(1).max(1e7),
  /** The task, where images have several labels or numbers. */
  task: storedTaskSchema.optional(),
  /** Weights that the members' manifest does not name, with their hashes. */
  files: z.record(z.string().regex(/^[a-z0-9][a-z0-9._-]*$/i), z.string()),
  /** Of its own choice of models on validation images; none in older models. */
  calibration: calibrationSchema.optional(),
});

/** A predictor taken apart. */
export interface Kept {
  plan: PredictorPlan;
  /** Those that predict, with their weights of now. */
  members: readonly HubMember[];
  /** All other parameters and buffers by name. */
  layers: ReadonlyMap<string, Tensor>;
}

/** Parts of a stored predictor. */
export interface KeptSource {
  plan: PredictorPlan;
  task: Task;
  device: string | undefined;
  /** Loads a member; whoever asks owns it. */
  member(name: string): HubMember;
  /** They belong to the source. */
  layers: ReadonlyMap<string, Tensor>;
}

/** A predictor taken apart, with what is stored beside it. */
export interface KeptModel extends Kept {
  task: Task;
  calibration?: Calibration | undefined;
}

/**
 * Writes what a predictor keeps, in place of what an earlier training kept.
 * @param hub that its members came from
 * @throws UserError where the folder cannot be written
 */
export function saveModel(folder: string, kept: KeptModel, hub: Hub): void {
  fs.mkdirSync(folder, { recursive: true });
  fs.rmSync(join(folder, modelName), { force: true });
  const files: Record<string, string> = {};
  const write = (name: string, tensors: ReadonlyMap<string, Tensor>): string => {
    writeSafetensors(join(folder, name), tensors);
    return hashFile(join(folder, name));
  };
  const entries = kept.members.map(({ entry, backbone }): MemberEntry => {
    const name = weightsName(entry.name);
    const sha256 = write(name, backbone.stateDict());
    if (entry.weights.format === "safetensors") return trainedEntry(entry, name, sha256);
    files[name] = sha256;
    return copiedEntry(entry, hub.dir, folder);
  });
  files[layersName] = write(layersName, kept.layers);
  writeManifest(folder, { version: manifestVersion, name: hub.manifest.name, members: entries }, manifestName);
  removeOthers(folder, [
    manifestName,
    ...Object.keys(files),
    ...entries.flatMap(({ name }) => [name, weightsName(name)]),
  ]);
  const { plan, task, calibration } = kept;
  const stored = storedTask(task);
  writeModel(folder, {
    ...{ version: modelVersion, plan, outputs: task.outputs, files },
    ...(stored ? { task: stored } : {}),
    ...(calibration ? { calibration } : {}),
  });
}

function writeModel(folder: string, model: z.input<typeof modelSchema>): void {
  // The steps of a curve in one line.
  const { calibration, ...rest } = model;
  const text = JSON.stringify(rest, null, 2).replace(/\n}$/, "");
  const more = calibration ? `,\n  "calibration": ${JSON.stringify(calibration)}` : "";
  writeFileAtomic(join(folder, modelName), `${text}${more}\n}\n`);
}

/** Task of a stored model, and what was measured of it; older ones have no calibration. @throws UserError when it is damaged */
export function storedFacts(folder: string): Pick<KeptModel, "task" | "calibration"> {
  const { task, outputs, calibration } = readJsonFile(join(folder, modelName), modelSchema, what);
  return { task: restoredTask(task, outputs), calibration };
}

/** Adds it to a stored model. @throws where the folder cannot be written */
export function storeCalibration(folder: string, calibration: Calibration): void {
  writeModel(folder, { ...readJsonFile(join(folder, modelName), modelSchema, what), calibration });
}

const weightsName = (member: string) => `${member}.safetensors`;

/** Trained weights have the architecture's own names. */
function trainedEntry({ classifier: _, ...entry }: MemberEntry, file: string, sha256: string): MemberEntry {
  const weights = { file, format: "safetensors", sha256, files: [] } as const;
  return { ...entry, weights: { ...weights, files: [] }, keyMap: { prefix: "", drop: [], rename: {} } };
}

/** Copies a member's own network, whose files may name each other, below a folder of its name. */
function copiedEntry(entry: MemberEntry, from: string, to: string): MemberEntry {
  const copied = (file: string): string => {
    const target = `${entry.name}/${file}`;
    fs.mkdirSync(dirname(join(to, target)), { recursive: true });
    fs.copyFileSync(join(from, file), join(to, target));
    return target;
  };
  const { weights } = entry;
  const files = weights.files.map((part) => ({ ...part, file: copied(part.file) }));
  return { ...entry, weights: { ...weights, file: copied(weights.file), files } };
}

function removeOthers(folder: string, names: readonly string[]): void {
  for (const name of fs.readdirSync(folder)) {
    if (!names.includes(name)) fs.rmSync(join(folder, name), { recursive: true, force: true });
  }
}

export interface LoadModelOptions {
  device?: string | undefined;
  /** Load TorchScript members too, which are programs. */
  trust?: boolean | undefined;
  /** Residency that keeps the members' weights in bounded memory. */
  residency?: Residency | undefined;
}

/**
 * Builds what a folder keeps.
 * @param restore puts a predictor together from its parts
 * @throws UserError when files are missing, damaged, or do not belong together; nothing is left in memory then
 */
export function loadModel<P>(folder: string, restore: (source: KeptSource) => P, options: LoadModelOptions = {}): P {
  const { plan, outputs, task: stored, files } = readJsonFile(join(folder, modelName), modelSchema, what);
  const task = restoredTask(stored, outputs);
  const manifest = readManifest(folder, manifestName);
  const loaded: HubMember[] = [];
  const member = (name: string): HubMember => {
    const entry = manifest.members.filter(isImageMember).find((one) => one.name === name);
    if (!entry) throw new UserError(`${folder} lacks the member ${quoted(name)}: it is damaged, train the run again`);
    const made = loadKept(folder, entry, files, options);
    loaded.push(made);
    return made;
  };
  const layers = verifiedTensors(folder, layersName, files);
  try {
    return restore({ plan, task, device: options.device, member, layers });
  } catch (error) {
    for (const made of loaded) made.dispose();
    // The message about a choice of the method does not name the file that holds it.
    if (!(error instanceof UserError) || error.message.includes(folder)) throw error;
    throw new UserError(`${join(folder, modelName)}: ${shown(error.message)}`, { cause: error });
  } finally {
    disposeTree(layers);
  }
}

/** A member with its trained weights. */
function loadKept(
  folder: string,
  entry: MemberEntry<ImageInput>,
  files: Readonly<Record<string, string>>,
  { device, trust, residency }: LoadModelOptions,
): HubMember {
  const name = weightsName(entry.name);
  const trained = (backbone: Module): void => {
    if (!Object.hasOwn(files, name)) return;
    const tensors = verifiedTensors(folder, name, files);
    try {
      backbone.loadStateDict(tensors);
    } finally {
      disposeTree(tensors);
    }
  };
  const member = loadMember(folder, entry, { device, trust });
  try {
    trained(member.backbone);
  } catch (error) {
    member.dispose();
    throw error;
  }
  residency?.manage(member, () => {
    const backbone = loadBackbone(folder, entry, { device, trust, verified: true });
    trained(backbone);
    return backbone;
  });
  return member;
}

/** The caller disposes them. @throws UserError when the file is missing or has changed */
function verifiedTensors(folder: string, name: string, files: Readonly<Record<string, string>>): Map<string, Tensor> {
  const path = join(folder, name);
  if (!fs.existsSync(path)) throw new UserError(`${path} is missing: restore it, or train the run again`);
  if (hashFile(path) !== files[name]) {
    throw new UserError(`${path} is damaged or was replaced: restore it, or train the run again`);
  }
  return readSafetensors(path).tensors;
}

/** A module's parameters and buffers that are not those of its members. */
export function layersOf(module: Module, backbones: readonly Module[]): Map<string, Tensor> {
  const own = new Set(backbones.flatMap((backbone) => [...backbone.stateDict().values()]));
  return new Map([...module.stateDict()].filter(([, tensor]) => !own.has(tensor)));
}

/**
 * Copies layers into a module whose members have their weights already.
 * @throws UserError listing what is missing, unexpected, or of another shape
 */
export function loadLayers(module: Module, backbones: readonly Module[], layers: ReadonlyMap<string, Tensor>): void {
  const own = layersOf(module, backbones);
  const missing = [...own.keys()].filter((name) => !layers.has(name));
  if (missing.length > 0) {
    throw new UserError(`the stored model does not fit this program: missing keys: ${missing.join(", ")}`);
  }
  module.loadStateDict(layers, { strict: false });
}
