/** What kind of model a file holds: told by its content where the format has a mark, else by its name. */
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { isTorchScript, type LazyTensor, readTorchArchive, stateDictOf, streamSafetensors } from "../../io/index.ts";
import type { GraphFormat } from "../../models/index.ts";
import { UserError } from "../../torch/index.ts";
import { partsOf } from "../sources/index.ts";

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
  "safetensors (or an index of its shards), PyTorch .pth and .pt, ONNX, a TensorFlow.js model.json, and TorchScript";

/**
 * Looks into a model's file; of weights only names and shapes are read.
 * @param under dotted path of the state dict inside a PyTorch file that has several
 * @throws UserError naming the file when it is missing, damaged, or of no known format
 */
export async function inspect(path: string, under?: string): Promise<Inspection> {
  const head = readHead(path);
  const weights = (tensors: ReadonlyMap<string, LazyTensor>): WeightsFile => ({ kind: "weights", tensors });
  const name = basename(path).toLowerCase();
  if (name.endsWith(".safetensors.index.json")) return weights(await readShards(path));
  if (name.endsWith(".json")) return { kind: "graph", format: "tfjs" };
  if (name.endsWith(".onnx")) return { kind: "graph", format: "onnx" };
  if (head.toString("latin1", 8, 9) === "{") return weights((await streamSafetensors(path)).tensors);
  const isZip = head.toString("latin1", 0, 4) === "PK\u0003\u0004";
  if (isZip && (await isTorchScript(path))) return { kind: "graph", format: "torchscript" };
  if (isZip || head[0] === 0x80) return weights(stateDictOf(await readTorchArchive(path), under));
  throw new UserError(`${path} is of no known format: hubs take ${known}`);
}

function readHead(path: string): Buffer {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) throw new UserError(`there is no file ${path}`);
  if (stat.isDirectory()) throw new UserError(`${path} is a folder: name the model's file in it`);
  if (!stat.isFile()) throw new UserError(`${path} is not a file`);
  const head = Buffer.alloc(16);
  const descriptor = openSync(path, "r");
  try {
    return head.subarray(0, readSync(descriptor, head));
  } finally {
    closeSync(descriptor);
  }
}

async function readShards(path: string): Promise<Map<string, LazyTensor>> {
  const all = new Map<string, LazyTensor>();
  for (const shard of partsOf(path)) {
    const { tensors } = await streamSafetensors(join(dirname(path), shard));
    for (const [name, tensor] of tensors) {
      if (all.has(name)) throw new UserError(`${path}: two of its shards have a tensor "${name}"`);
      all.set(name, tensor);
    }
  }
  return all;
}
