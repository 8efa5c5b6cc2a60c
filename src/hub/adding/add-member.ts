/**
 * Adds a model to a hub: its files are copied into a folder of their own below the hub, tried out there, and only then
 * listed in hub.json. Weights are rewritten as safetensors with just the tensors that are used, under their own names.
 */
import { copyFileSync, existsSync, mkdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { type LazyTensor, writeSafetensors } from "../../io/index.ts";
import { openGraphBackbone } from "../../models/index.ts";
import { disposeTree, type Tensor, UserError } from "../../torch/index.ts";
import { hashFile } from "../hash.ts";
import type { MemberEntry, MemberInput } from "../manifest.ts";
import { refuseProgram } from "../member.ts";
import { type FetchedSource, type FetchOptions, fetchSource, parseSource, partsOf } from "../sources/index.ts";
import { verifyMember } from "../verify.ts";
import { type Inspection, inspect } from "./inspect.ts";
import { readPreprocessor } from "./preprocessor.ts";
import { type Draft, draftOfGraph, draftOfWeights, type Wishes } from "./propose.ts";
import { manifestBefore, openStaging, publish } from "./staging.ts";

export interface AddRequest {
  /** Folder of the hub; made with its first member. */
  hub: string;
  name: string;
  /** A file, an address, or hf:owner/name. */
  source: string;
  wishes: Wishes;
  fetch?: FetchOptions | undefined;
  /** Take TorchScript programs too. */
  trust?: boolean | undefined;
  /** Answers what neither the file nor the user said; without it that is an error. */
  complete?: ((input: Partial<MemberInput>) => Promise<Partial<MemberInput>>) | undefined;
}

export interface AddedMember {
  entry: MemberEntry;
  notes: readonly string[];
}

/** What a model is made of, where it lies now. */
interface Origin {
  main: string;
  /** Further files, by their paths relative to the main file's folder. */
  parts: readonly string[];
  preprocessor: string | undefined;
  /** Where it came from, for the manifest. */
  description: string;
}

/**
 * Adds a model and returns its entry. The hub's other members are not touched; a failure leaves the hub as it was.
 * @throws UserError saying what is wrong with the name, the source or the model, or what must be said of it
 */
export async function addMember(request: AddRequest): Promise<AddedMember> {
  const { hub, name } = request;
  const before = manifestBefore(hub, name);
  const origin = await locate(request);
  const inspection = await inspect(origin.main, request.wishes.under);
  if (inspection.kind === "graph" && inspection.format === "torchscript" && !request.trust) {
    refuseProgram(name, origin.main);
  }
  const staging = openStaging(hub);
  try {
    const added = await stage(request, origin, inspection, staging.folder);
    publish(hub, staging.folder, name, { ...before, members: [...before.members, added.entry] });
    return added;
  } finally {
    staging.close();
  }
}

async function locate({ source, fetch = {} }: AddRequest): Promise<Origin> {
  const parsed = parseSource(source);
  if (parsed.kind !== "local") return fetchedOrigin(source, await fetchSource(parsed, fetch));
  const main = parsed.path;
  if (!existsSync(main)) throw new UserError(`there is no file ${main}`);
  const beside = join(dirname(main), "preprocessor_config.json");
  const preprocessor = existsSync(beside) ? beside : undefined;
  if (statSync(main).isDirectory()) throw new UserError(`${main} is a folder: name the model's file in it`);
  const sha256 = hashFile(main);
  if (fetch.sha256 !== undefined && fetch.sha256 !== sha256) {
    throw new UserError(`${main} is refused: its sha256 is ${sha256} instead of ${fetch.sha256}; was it replaced?`);
  }
  const description = `file ${basename(main)}, sha256 ${sha256}`;
  return { main, parts: partsOf(main), preprocessor, description };
}

function fetchedOrigin(source: string, { main, parts, preprocessor, revision }: FetchedSource): Origin {
  const folder = dirname(main.name);
  const relative = (name: string): string => (folder === "." ? name : name.slice(folder.length + 1));
  const at = revision === undefined ? main.url : `${source} (${main.name} at commit ${revision})`;
  return {
    main: main.path,
    parts: parts.map((part) => relative(part.name)),
    preprocessor: preprocessor?.path,
    description: `${at}, sha256 ${main.sha256}`,
  };
}

/** Everything but the place in the hub: files in the staging folder, and the entry, tried out. */
async function stage(
  request: AddRequest,
  origin: Origin,
  inspection: Inspection,
  staging: string,
): Promise<AddedMember> {
  const { name, wishes, trust } = request;
  const folder = join(staging, name);
  mkdirSync(folder);
  const published = origin.preprocessor === undefined ? {} : readPreprocessor(origin.preprocessor);
  const draft = await stageFiles(inspection, origin, folder, wishes, published);
  const { main, parts, ...described } = draft;
  const input = completeInput(
    isComplete(described.input) ? described.input : ((await request.complete?.(described.input)) ?? described.input),
    request,
  );
  const entry: MemberEntry = {
    name,
    ...described.entry,
    weights: {
      file: `${name}/${main}`,
      format: inspection.kind === "weights" ? "safetensors" : inspection.format,
      sha256: hashFile(join(folder, main)),
      files: parts.map((part) => ({ file: `${name}/${part}`, sha256: hashFile(join(folder, part)) })),
    },
    input,
    source: origin.description,
  };
  const problems = verifyMember({ dir: staging, trust: trust ?? false }, entry);
  if (problems.length > 0) {
    throw new UserError(problems.map((problem) => problem.replaceAll(`${staging}/`, "")).join("; "));
  }
  return { entry, notes: described.notes };
}

interface StagedDraft extends Draft {
  main: string;
  parts: readonly string[];
}

async function stageFiles(
  inspection: Inspection,
  origin: Origin,
  folder: string,
  wishes: Wishes,
  published: Partial<MemberInput>,
): Promise<StagedDraft> {
  if (inspection.kind === "weights") {
    const draft = draftOfWeights(origin.main, inspection.tensors, wishes, published);
    const main = "weights.safetensors";
    await writeWeights(join(folder, main), inspection.tensors, draft.keys);
    return { ...draft, main, parts: [] };
  }
  if (wishes.architecture !== undefined || wishes.prefix !== undefined) {
    throw new UserError(`${origin.main} brings its own network: --arch and --prefix are for weights alone`);
  }
  // A link, as caches have them, is copied as what it points to.
  const main = safeName(origin.main, inspection.format);
  copyFileSync(origin.main, join(folder, main));
  for (const part of origin.parts) {
    mkdirSync(dirname(join(folder, part)), { recursive: true });
    copyFileSync(join(dirname(origin.main), part), join(folder, part));
  }
  const size = wishes.input?.size ?? published.size;
  const backbone = openGraphBackbone(inspection.format, join(folder, main), { features: wishes.features, size });
  try {
    return { ...draftOfGraph(backbone.graph, wishes, published), main, parts: origin.parts };
  } finally {
    backbone.dispose();
  }
}

function safeName(path: string, format: "onnx" | "tfjs" | "torchscript"): string {
  const names = { onnx: "model.onnx", tfjs: "model.json", torchscript: "model.pt" };
  return /^[\w.-]+$/.test(basename(path)) ? basename(path) : names[format];
}

async function writeWeights(
  path: string,
  tensors: ReadonlyMap<string, LazyTensor>,
  keys: readonly string[],
): Promise<void> {
  const read = new Map<string, Tensor>();
  try {
    for (const key of keys) {
      const tensor = tensors.get(key);
      if (tensor) read.set(key, await tensor.read());
    }
    writeSafetensors(path, read);
  } finally {
    disposeTree(read);
  }
}

function isComplete(input: Partial<MemberInput>): boolean {
  return input.size !== undefined && input.mean !== undefined && input.std !== undefined;
}

function completeInput(input: Partial<MemberInput>, { source }: AddRequest): MemberInput {
  const { size, mean, std, interpolation = "bilinear", channelOrder = "rgb" } = input;
  if (size !== undefined && mean && std) return { size, mean, std, interpolation, channelOrder };
  const missing = [
    ...(size === undefined ? ["the side of its images (--size 224)"] : []),
    ...(mean && std ? [] : ["how they are normalised (--normalize imagenet|half|unit, or --mean and --std)"]),
  ];
  throw new UserError(`${source} does not say ${missing.join(" and ")}: a wrong guess would cost accuracy, so say it`);
}
