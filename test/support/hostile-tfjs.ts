/** Small TensorFlow.js models that hostile tests break: images, a 1 x 1 convolution, pooling, two classes. */
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openTfjs } from "../../src/graphs/index.ts";
import { inferenceMode, scope, zeros } from "../../src/torch/index.ts";
import { temporaryFolder } from "./small-hub.ts";

export const folder = temporaryFolder();
let models = 0;

/** Opens a model and runs it once; of a graph, everything that its last node needs. */
export function open(path: string): void {
  using model = openTfjs(path, { features: lastNode(path) });
  scope(() => void inferenceMode(() => model.forward(zeros([1, 3, 8, 8]))));
}

function lastNode(path: string): string | undefined {
  // A pipe would never end, and some files are huge.
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat?.isFile() || stat.size > 1e8) return undefined;
  try {
    return JSON.parse(readFileSync(path, "utf8")).modelTopology.node.at(-1).name;
  } catch {
    return undefined;
  }
}

export type Json = Record<string, unknown>;

export interface Parts {
  topology?: unknown;
  weights?: Json[];
  /** Names of the shards. */
  paths?: unknown;
  /** Bytes of the one shard that is written (default: what a sound model needs). */
  bytes?: number;
  /** Text of the whole model.json instead. */
  text?: string | Buffer;
  more?: Json;
  /** Changes to the folder before it is read. */
  prepare?: (folder: string) => void;
}

export const kernel = { name: "kernel", shape: [1, 1, 3, 4], dtype: "float32" };
export const matrix = { name: "matrix", shape: [4, 2], dtype: "float32" };

export type Node = { name: string; op: string; input?: unknown; attr?: unknown };
const type = { type: "DT_FLOAT" };
export const texts = (...values: string[]) => ({ s: Buffer.from(values.join("")).toString("base64") });
export const placeholder: Node = {
  name: "x",
  op: "Placeholder",
  attr: { dtype: type, shape: { shape: { dim: ["-1", "8", "8", "3"].map((size) => ({ size })) } } },
};
export const constant = (name: string): Node => ({ name, op: "Const", attr: { dtype: type } });
const ones = { list: { i: ["1", "1", "1", "1"] } };
export const convolution: Node = {
  name: "conv",
  op: "Conv2D",
  input: ["x", "kernel"],
  attr: { strides: ones, dilations: ones, padding: texts("SAME") },
};
export const axes = { name: "axes", shape: [2], dtype: "int32" };

/** Images, a convolution, then the given nodes. */
export function graph(...nodes: Node[]): Json {
  return { node: [placeholder, constant("kernel"), convolution, ...nodes] };
}

export const mean: Node[] = [constant("axes"), { name: "pooled", op: "Mean", input: ["conv", "axes"] }];
const dense: Node[] = [constant("matrix"), { name: "scores", op: "MatMul", input: ["pooled", "matrix"] }];
export const whole = graph(...mean, ...dense);
export const wholeWeights = [kernel, axes, matrix];
/** Zeros, but for the axes 1 and 2 at their place. */
export const wholeBytes = 12 * 4 + 2 * 4 + 8 * 4;

export function written({
  topology = whole,
  weights = wholeWeights,
  paths,
  bytes,
  text,
  more,
  prepare,
}: Parts): string {
  const own = join(folder, `model${models++}`);
  mkdirSync(own);
  const data = Buffer.alloc(bytes ?? wholeBytes);
  if (data.length >= 56) data.writeInt32LE(1, 48) + data.writeInt32LE(2, 52);
  writeFileSync(join(own, "shard.bin"), data);
  const manifest = [{ paths: paths ?? ["shard.bin"], weights }];
  const json = { format: "graph-model", modelTopology: topology, weightsManifest: manifest, ...more };
  const path = join(own, "model.json");
  writeFileSync(path, text ?? JSON.stringify(json));
  prepare?.(own);
  return path;
}
