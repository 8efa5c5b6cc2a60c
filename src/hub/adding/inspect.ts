/**
 * A model's main file: what kind of model it holds, told by its content where the format has a mark, else by its name, and
 * the further files that it names (shards, external data).
 */
import { basename, dirname, join } from "node:path";
import { checkedPath } from "../../fetch/index.ts";
import { onnxParts } from "../../graphs/index.ts";
import {
  describeText,
  isTorchScript,
  type LazyTensor,
  readHead,
  readRegular,
  readTorchArchive,
  refuseForeign,
  refusePlaceholder,
  stateDictOf,
  streamSafetensors,
} from "../../io/index.ts";
import type { GraphFormat } from "../../models/index.ts";
import { UserError } from "../../torch/index.ts";

/** Tensors by name, whose network is still to be found. */
export interface WeightsFile {
  readonly kind: "weights";
  readonly tensors: ReadonlyMap<string, LazyTensor>;
}

/** A file that brings its own network. */
export interface GraphFile {
  readonly kind: "graph";
  readonly format: GraphFormat;
}

export type Inspection = WeightsFile | GraphFile;

const known =
  "safetensors and PyTorch .pth, .pt and .bin (or an index of their shards), ONNX, a TensorFlow.js model.json, and TorchScript";

/**
 * Looks into a model's file; of weights only names and shapes are read.
 * @param under dotted path of the state dict inside a PyTorch file that has several
 * @throws UserError naming the file when it is missing, damaged, or of no known format
 */
export async function inspect(path: string, under?: string): Promise<Inspection> {
  refuseForeign(path);
  const head = readHead(path);
  const weights = (tensors: ReadonlyMap<string, LazyTensor>): WeightsFile => ({ kind: "weights", tensors });
  const name = basename(path).toLowerCase();
  if (name.endsWith(".index.json")) return weights(await readShards(path));
  if (name.endsWith(".json")) return { kind: "graph", format: "tfjs" };
  if (name.endsWith(".onnx")) return { kind: "graph", format: "onnx" };
  if (head.toString("latin1", 8, 9) === "{") return weights((await streamSafetensors(path)).tensors);
  const isZip = head.toString("latin1", 0, 4) === "PK\u0003\u0004";
  if (isZip && (await isTorchScript(path))) return { kind: "graph", format: "torchscript" };
  if (isZip || head[0] === 0x80) return weights(stateDictOf(await readTorchArchive(path), under));
  // The first field of an ONNX file is its version.
  const hint = head[0] === 8 && (head[1] ?? 99) < 20 ? "; if it is an ONNX file, give it the ending .onnx" : "";
  throw new UserError(`${path} ${describeText(head) ?? "is of no known format"}: hubs take ${known}${hint}`);
}

async function readShards(path: string): Promise<Map<string, LazyTensor>> {
  const all = new Map<string, LazyTensor>();
  for (const shard of partsOf(path)) {
    for (const [name, tensor] of await readShard(join(dirname(path), shard))) {
      if (all.has(name)) throw new UserError(`${path}: two of its shards have a tensor "${name}"`);
      all.set(name, tensor);
    }
  }
  return all;
}

async function readShard(path: string): Promise<ReadonlyMap<string, LazyTensor>> {
  refusePlaceholder(path);
  if (path.endsWith(".safetensors")) return (await streamSafetensors(path)).tensors;
  return stateDictOf(await readTorchArchive(path));
}

const maximumJsonBytes = 256e6;
const maximumParts = 10_000;

/**
 * Names of the further files of a model, relative to its folder and inside of it, each once.
 * @throws UserError when the main file cannot be read as what its name says, or names files outside its folder
 */
export function partsOf(path: string): string[] {
  refuseForeign(path);
  const names = new Set(namedBy(path));
  if (names.size > maximumParts) throw new UserError(`${path} names ${names.size} further files, which no model needs`);
  for (const name of names) checkedPath(name, path);
  return [...names];
}

function namedBy(path: string): readonly string[] {
  if (path.endsWith(".onnx")) return onnxParts(path).map((name) => name.replace(/^(\.\/)+/, ""));
  if (path.endsWith(".index.json")) return indexedShards(path);
  if (path.endsWith(".json")) return manifestShards(path);
  return [];
}

function indexedShards(path: string): readonly string[] {
  const map = field(readJson(path), "weight_map");
  if (typeof map !== "object" || map === null)
    throw new UserError(`${path} has no "weight_map": is it an index of shards?`);
  return Object.values(map).map((name) => nameIn(name, path));
}

function manifestShards(path: string): readonly string[] {
  const groups = field(readJson(path), "weightsManifest");
  if (!Array.isArray(groups))
    throw new UserError(
      `${path} is no TensorFlow.js model, for it has no "weightsManifest", and no index of shards (*.index.json)`,
    );
  return groups.flatMap((group: unknown) => {
    const paths = field(group, "paths");
    if (!Array.isArray(paths)) throw new UserError(`${path} has a group of weights without "paths"`);
    return paths.map((name: unknown) => nameIn(name, path).replace(/^(\.\/)+/, ""));
  });
}

function readJson(path: string): unknown {
  const bytes = readRegular(path, { maximumBytes: maximumJsonBytes, what: "a description of a model" });
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    throw new UserError(`${path} is not JSON: is it the model's description?`);
  }
}

function field(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined;
}

function nameIn(value: unknown, path: string): string {
  if (typeof value === "string") return value;
  throw new UserError(`${path} names a file that is no text`);
}
