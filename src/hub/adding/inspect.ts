/** What kind of model a file holds: told by its content where the format has a mark, else by its name. */
import { basename, dirname, join } from "node:path";
import {
  describeText,
  isTorchScript,
  type LazyTensor,
  readHead,
  readTorchArchive,
  refuseForeign,
  refusePlaceholder,
  stateDictOf,
  streamSafetensors,
} from "../../io/index.ts";
import type { GraphFormat } from "../../models/index.ts";
import { UserError } from "../../torch/index.ts";
import { partsOf } from "./parts.ts";

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
