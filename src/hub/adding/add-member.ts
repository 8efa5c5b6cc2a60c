/**
 * Adds a model to a hub: its files are copied into a folder of their own below the hub, tried out there, and only then
 * listed in hub.json. Weights are rewritten as safetensors with just the tensors that are used, under their own names.
 */
import { existsSync, mkdirSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { type FetchedSource, type FetchOptions, fetchSource, parseSource } from "../../fetch/index.ts";
import {
  hashFile,
  type LazyTensor,
  piecesOf,
  quoted,
  refusePlaceholder,
  writeFileAtomic,
  writeSafetensors,
} from "../../io/index.ts";
import { openGraphBackbone } from "../../models/index.ts";
import { disposeTree, type Tensor, UserError } from "../../torch/index.ts";
import { refuseProgram } from "../load-member.ts";
import {
  headedNetwork,
  type ImageInput,
  type MemberEntry,
  type MemberInput,
  type ObservationInput,
} from "../manifest.ts";
import { requireUsable } from "../verify.ts";
import { joinHub, requireFreeName } from "./change.ts";
import { type Inspection, inspect, partsOf } from "./inspect.ts";
import { adaptedChannels, type Draft, draftOfGraph, draftOfWeights, type Wishes } from "./propose.ts";
import { type Published, publishedOf } from "./published.ts";

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
  complete?: ((input: Partial<ImageInput>) => Promise<Partial<ImageInput>>) | undefined;
}

export interface AddedMember<I extends MemberInput = ImageInput> {
  entry: MemberEntry<I>;
  notes: readonly string[];
}

/** Files of a model, at their present paths. */
interface Origin {
  main: string;
  /** Further files, by their paths relative to the main file's folder. */
  parts: readonly string[];
  /** Its config.json and preprocessor_config.json, where it has them. */
  config: string | undefined;
  preprocessor: string | undefined;
  /** Origin of the model, for the manifest. */
  description: string;
}

/**
 * Adds a model and returns its entry. The hub's other members are not touched; a failure leaves the hub as it was.
 * @throws UserError saying what is wrong with the name, the source or the model, or what must be said of it
 */
export async function addMember(request: AddRequest): Promise<AddedMember> {
  const { hub, name } = request;
  requireFreeName(hub, name);
  const origin = await locate(request);
  const inspection = await inspect(origin.main, request.wishes.under);
  if (inspection.kind === "graph" && inspection.format === "torchscript" && !request.trust) {
    refuseProgram(name, origin.main);
  }
  return joinHub(hub, name, (staging) =>
    stage(request, origin, inspection, staging).catch((error: unknown) => {
      throw inUsersWords(error, staging, request, origin);
    }),
  );
}

/** A network with a head over its features that is in memory, such as one that a run trained. */
export interface TrainedNetwork {
  /** Weights by the keys "network.…", "head.weight" and "head.bias". */
  tensors: ReadonlyMap<string, Tensor>;
  about: Omit<MemberEntry<ObservationInput>, "name" | "weights" | "keyMap" | "classifier">;
}

/** Adds a network that is in memory. @throws UserError as `addMember` */
export async function addTrained(
  hub: string,
  name: string,
  { tensors, about }: TrainedNetwork,
): Promise<AddedMember<ObservationInput>> {
  return joinHub(hub, name, async (staging) => {
    const file = `${name}/weights.safetensors`;
    mkdirSync(join(staging, name));
    writeSafetensors(join(staging, file), tensors);
    const weights = { file, format: "safetensors" as const, sha256: hashFile(join(staging, file)), files: [] };
    const entry: MemberEntry<ObservationInput> = { name, weights, ...headedNetwork, ...about };
    requireUsable({ dir: staging, trust: false }, entry);
    return { entry, notes: [] };
  });
}

async function locate({ source, fetch = {} }: AddRequest): Promise<Origin> {
  const parsed = parseSource(source);
  if (parsed.kind !== "local") return fetchedOrigin(source, await fetchSource(parsed, partsOf, fetch));
  const main = parsed.path;
  if (!existsSync(main)) throw new UserError(`there is no file ${main}`);
  const beside = (name: string): string | undefined => {
    const path = join(dirname(main), name);
    return existsSync(path) ? path : undefined;
  };
  const [config, preprocessor] = [beside("config.json"), beside("preprocessor_config.json")];
  if (statSync(main).isDirectory()) throw new UserError(`${main} is a folder: name the model's file in it`);
  const sha256 = hashFile(main);
  if (fetch.sha256 !== undefined && fetch.sha256 !== sha256) {
    throw new UserError(`${main} is refused: its sha256 is ${sha256} instead of ${fetch.sha256}; was it replaced?`);
  }
  const description = `file ${basename(main)}, sha256 ${sha256}`;
  return { main, parts: partsOf(main), config, preprocessor, description };
}

function fetchedOrigin(source: string, { main, parts, config, preprocessor, revision }: FetchedSource): Origin {
  const folder = dirname(main.name);
  const relative = (name: string): string => (folder === "." ? name : name.slice(folder.length + 1));
  const at = revision === undefined ? main.url : `${source} (${main.name} at commit ${revision})`;
  return {
    main: main.path,
    parts: parts.map((part) => relative(part.name)),
    config: config?.path,
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
  const published = publishedOf(origin);
  const draft = await stageFiles(inspection, origin, folder, wishes, published);
  const { main, parts, ...described } = draft;
  const input = completeInput(
    isComplete(described.input) ? described.input : ((await request.complete?.(described.input)) ?? described.input),
    request,
  );
  const entry: MemberEntry<ImageInput> = {
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
  requireUsable({ dir: staging, trust: trust ?? false }, entry);
  return { entry, notes: described.notes };
}

/** Names the user's files where a message names their copies. */
function inUsersWords(error: unknown, staging: string, { name }: AddRequest, { main }: Origin): unknown {
  if (!(error instanceof UserError) || !error.message.includes(staging)) return error;
  const copy = join(staging, name, storedName(main));
  const message = error.message
    .replaceAll(copy, main)
    .replaceAll(join(staging, name), dirname(main))
    .replaceAll(join(staging, "hub.json"), main)
    .replaceAll(staging, dirname(main));
  return new UserError(message, { cause: error });
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
  published: Published,
): Promise<StagedDraft> {
  if (inspection.kind === "weights") {
    const draft = draftOfWeights(origin.main, inspection.tensors, wishes, published);
    const main = "weights.safetensors";
    await writeWeights(join(folder, main), inspection.tensors, draft);
    return { ...draft, main, parts: [] };
  }
  if (wishes.architecture !== undefined || wishes.prefix !== undefined) {
    throw new UserError(`${origin.main} brings its own network: --arch and --prefix are for weights alone`);
  }
  const main = storedName(origin.main);
  writeFileAtomic(join(folder, main), piecesOf(origin.main));
  for (const part of origin.parts) {
    mkdirSync(dirname(join(folder, part)), { recursive: true });
    const path = partPath(origin.main, part);
    refusePlaceholder(path);
    writeFileAtomic(join(folder, part), piecesOf(path));
  }
  const size = wishes.input?.size ?? published.input.size;
  const backbone = openGraphBackbone(inspection.format, join(folder, main), { features: wishes.features, size });
  try {
    return { ...draftOfGraph(backbone.graph, wishes, published.input), main, parts: origin.parts };
  } finally {
    backbone.dispose();
  }
}

/** The name in the hub of a model's main file. */
function storedName(path: string): string {
  const name = basename(path);
  return /^\w[\w.-]*$/.test(name) ? name : `model${/\.\w+$/.exec(name)?.[0] ?? ""}`;
}

/**
 * Path of a further file of a model. It must lie in the model's own folder and be no link, which could lead to any file
 * of the user's. Caches of Hugging Face's Hub hold links to their own folder of blobs.
 * @throws UserError naming both files when it is missing or lies elsewhere
 */
function partPath(main: string, part: string): string {
  const folder = dirname(main);
  const path = join(folder, part);
  if (!existsSync(path)) {
    throw new UserError(`${main} keeps weights in the file ${quoted(part)}, which is missing: put it into ${folder}`);
  }
  const real = realpathSync(path);
  if (real === join(realpathSync(folder), part)) return path;
  const repository = /^(.*\/models--[^/]+)\/snapshots\//.exec(resolve(path))?.[1];
  if (repository !== undefined && dirname(real) === join(realpathSync(repository), "blobs")) return path;
  throw new UserError(
    `${main} keeps weights in ${quoted(part)}, which is a link or lies behind one: put a copy in its place`,
  );
}

async function writeWeights(
  path: string,
  tensors: ReadonlyMap<string, LazyTensor>,
  { keys, adapted }: Draft,
): Promise<void> {
  const read = new Map<string, Tensor>();
  try {
    for (const key of keys) {
      const tensor = await tensors.get(key)?.read();
      if (!tensor) continue;
      read.set(key, key === adapted ? adaptedChannels(tensor) : tensor);
      if (key === adapted) tensor.dispose();
    }
    writeSafetensors(path, read);
  } finally {
    disposeTree(read);
  }
}

function isComplete(input: Partial<ImageInput>): boolean {
  return input.size !== undefined && input.mean !== undefined && input.std !== undefined;
}

function completeInput(input: Partial<ImageInput>, { source }: AddRequest): ImageInput {
  const { size, sides, mean, std, interpolation = "bilinear", channelOrder = "rgb" } = input;
  if (size !== undefined && mean && std) {
    return { kind: "image", size, ...(sides === undefined ? {} : { sides }), mean, std, interpolation, channelOrder };
  }
  const missing = [
    ...(size === undefined ? ["the side of its images (--size 224)"] : []),
    ...(mean && std ? [] : ["how they are normalised (--normalize imagenet|half|unit, or --mean and --std)"]),
  ];
  throw new UserError(`${source} does not say ${missing.join(" and ")}: a wrong guess would cost accuracy, so say it`);
}
