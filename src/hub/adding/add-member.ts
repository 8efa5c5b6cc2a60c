/**
 * Addition of a model to a hub. It is looked into (inspect.ts), and its entry is proposed (propose.ts). Its files are copied into a
 * folder of their own below the hub and tried out there (verify.ts). Only then is it listed in hub.json (change.ts).
 * Weights are rewritten as safetensors with just the tensors that are used, under their own names.
 */
import { createHash, type Hash } from "node:crypto";
import { existsSync, mkdirSync, realpathSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { FetchOptions } from "../../fetch/index.ts";
import {
  changed,
  type LazyTensor,
  piecesOf,
  quoted,
  refusePlaceholder,
  writeFileAtomic,
  writeSafetensors,
} from "../../io/index.ts";
import { openGraphBackbone } from "../../models/index.ts";
import { disposeTree, type Tensor, UserError } from "../../torch/index.ts";
import type { MemberReport } from "../hub.ts";
import { refuseProgram } from "../load-member.ts";
import {
  headedNetwork,
  type ImageInput,
  type MemberEntry,
  type MemberInput,
  type ObservationInput,
} from "../manifest.ts";
import { requireUsable } from "../verify.ts";
import { openStaging, publish, requireFreeName } from "./change.ts";
import { inspect, type Model } from "./inspect.ts";
import { type Draft, draftOfGraph, draftOfWeights, type Wishes } from "./propose.ts";

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
  report: MemberReport;
}

/**
 * Adds a model and returns its entry. The hub's other members are not touched; a failure leaves the hub as it was.
 * @throws UserError saying what is wrong with the name, the source or the model, or what must be said of it
 */
export async function addMember(request: AddRequest): Promise<AddedMember> {
  const { hub, name, source, wishes, trust = false } = request;
  requireFreeName(hub, name);
  const model = await inspect(source, { under: wishes.under, trust, fetch: request.fetch });
  const { content, main } = model;
  if (content.kind === "graph" && content.format === "torchscript" && !trust) refuseProgram(name, main);
  using staging = openStaging(hub);
  const folder = join(staging.folder, name);
  try {
    const { draft, weights } = await stage(model, wishes, folder);
    const input = await completeInput(draft.input, request);
    const entry = { name, ...draft.entry, weights, input, source: model.description };
    const report = requireUsable(staging.folder, entry, trust);
    publish(hub, staging, entry);
    const remark = content.kind === "weights" && content.note !== undefined ? [content.note] : [];
    return { entry, notes: [...draft.notes, ...remark], report };
  } catch (error) {
    throw inUsersWords(error, folder, main);
  }
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
  requireFreeName(hub, name);
  using staging = openStaging(hub);
  const file = `${name}/weights.safetensors`;
  mkdirSync(join(staging.folder, name));
  const sha256 = hashed((hash) => writeSafetensors(join(staging.folder, file), tensors, {}, { hash }));
  const weights = { file, format: "safetensors" as const, sha256, files: [] };
  const entry: MemberEntry<ObservationInput> = { name, weights, ...headedNetwork, ...about };
  const report = requireUsable(staging.folder, entry, false);
  publish(hub, staging, entry);
  return { entry, notes: [], report };
}

/** Hash of what `write` writes. */
function hashed(write: (hash: Hash) => void): string {
  const hash = createHash("sha256");
  write(hash);
  return hash.digest("hex");
}

interface Staged {
  draft: Draft;
  weights: MemberEntry["weights"];
}

/** Makes the folder of a member, with its files. */
async function stage(model: Model, wishes: Wishes, folder: string): Promise<Staged> {
  const { content, main, published } = model;
  const name = basename(folder);
  mkdirSync(folder);
  if (content.kind === "weights") {
    const draft = draftOfWeights(main, content.tensors, wishes, published);
    const file = "weights.safetensors";
    const sha256 = await writeWeights(join(folder, file), content.tensors, draft);
    return { draft, weights: { file: `${name}/${file}`, format: "safetensors", sha256, files: [] } };
  }
  if (wishes.architecture !== undefined || wishes.prefix !== undefined) {
    throw new UserError(`${main} brings its own network: --arch and --prefix are for weights alone`);
  }
  const { format } = content;
  const file = storedName(main);
  const sha256 = copy(main, join(folder, file));
  // It may have been replaced since it was hashed, and the user may have named the hash.
  if (sha256 !== model.sha256) throw changed(main);
  const files = model.parts.map((part) => {
    const path = partPath(main, part);
    refusePlaceholder(path);
    mkdirSync(dirname(join(folder, part)), { recursive: true });
    return { file: `${name}/${part}`, sha256: copy(path, join(folder, part)) };
  });
  const size = wishes.input?.size ?? published.input.size;
  const backbone = openGraphBackbone(format, join(folder, file), { features: wishes.features, size });
  try {
    const draft = draftOfGraph(backbone.graph, wishes, published.input);
    return { draft, weights: { file: `${name}/${file}`, format, sha256, files } };
  } finally {
    backbone.dispose();
  }
}

/** Copies a file and returns the hash of what was copied. */
function copy(from: string, to: string): string {
  return hashed((hash) => writeFileAtomic(to, piecesOf(from), { hash }));
}

/** Names the user's files where a message names their copies. */
function inUsersWords(error: unknown, folder: string, main: string): unknown {
  const staging = dirname(folder);
  if (!(error instanceof UserError) || !error.message.includes(staging)) return error;
  const message = error.message
    .replaceAll(join(folder, storedName(main)), main)
    .replaceAll(folder, dirname(main))
    .replaceAll(join(staging, "hub.json"), main)
    .replaceAll(staging, dirname(main));
  return new UserError(message, { cause: error });
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

/** Writes the tensors that are used and returns the file's hash. */
async function writeWeights(
  path: string,
  tensors: ReadonlyMap<string, LazyTensor>,
  { keys, changes }: Draft,
): Promise<string> {
  const read = new Map<string, Tensor>();
  try {
    for (const key of keys) {
      const tensor = await tensors.get(key)?.read();
      if (!tensor) continue;
      const change = changes.get(key);
      read.set(key, change ? change(tensor) : tensor);
      if (change) tensor.dispose();
    }
    return hashed((hash) => writeSafetensors(path, read, {}, { hash }));
  } finally {
    disposeTree(read);
  }
}

/** The input, with what the person at the terminal answers where there is one. */
async function completeInput(
  stated: Partial<ImageInput>,
  { source, complete }: Pick<AddRequest, "source" | "complete">,
): Promise<ImageInput> {
  const isComplete = stated.size !== undefined && stated.mean && stated.std;
  const input = isComplete ? stated : ((await complete?.(stated)) ?? stated);
  const { size, sides, mean, std, interpolation = "bilinear", channelOrder = "rgb" } = input;
  if (size !== undefined && mean && std) {
    return { kind: "image", size, ...(sides === undefined ? {} : { sides }), mean, std, interpolation, channelOrder };
  }
  const missing = [
    ...(size === undefined ? ["the side of its images (--size 224)"] : []),
    ...(mean && std ? [] : ["how its images are normalised (--normalize imagenet|half|unit, or --mean and --std)"]),
  ];
  throw new UserError(`${source} does not say ${missing.join(" and ")}: a wrong guess would cost accuracy, so say it`);
}
