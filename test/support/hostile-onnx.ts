/** Small ONNX files with something wrong, for tests that every one of them is refused. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toBinary } from "@bufbuild/protobuf";
import { openOnnx } from "../../src/graphs/index.ts";
import {
  type GraphProto,
  type ModelProto,
  ModelProtoSchema,
  type TensorProto,
} from "../../src/graphs/onnx/onnx-pb.generated.ts";
import { scope, zeros } from "../../src/torch/index.ts";
import { floats, type GraphSpec, model, type NodeSpec } from "../fixtures/onnx/builder.ts";

export const folder = mkdtempSync(join(tmpdir(), "hub-pathway-hostile-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

export function written(content: ModelProto | Uint8Array): string {
  const path = join(folder, "model.onnx");
  writeFileSync(path, content instanceof Uint8Array ? content : toBinary(ModelProtoSchema, content));
  return path;
}

/** Opens a file, and runs all that its output needs. */
export function open(path: string): void {
  using opened = openOnnx(path, { size: 16, features: "out" });
  const side = opened.input.sides?.[0] ?? 16;
  scope(() => void opened.eval().forward(zeros([1, 3, side, side])));
}

export const conv: NodeSpec = { op: "Conv", inputs: ["image", "w"], outputs: ["c"] };
export const pool: NodeSpec = { op: "GlobalAveragePool", inputs: ["c"] };
export const w = floats("w", [2, 3, 1, 1], [1, 2, 3, 4, 5, 6]);
export const sound: GraphSpec = { nodes: [conv, pool], initializers: [w] };

/** A sound model with something changed. */
export function changed(change: (model: ModelProto, graph: GraphProto) => void, spec: GraphSpec = sound): ModelProto {
  const made = model(spec);
  change(made, made.graph as GraphProto);
  return made;
}

/** Nodes after a sound beginning. */
export function graph(nodes: readonly NodeSpec[], initializers: readonly TensorProto[] = []): ModelProto {
  return model({ nodes: [conv, ...nodes], initializers: [w, ...initializers] });
}
