/** Opening an ONNX file. */
import { scope } from "../../torch/index.ts";
import type { GraphModelOptions } from "../graph-model.ts";
import { discover } from "./discover.ts";
import { resolveGraph } from "./graph.ts";
import { imagesOf } from "./input.ts";
import { OnnxModel } from "./model.ts";
import { disposeNetwork } from "./network.ts";
import { readModel } from "./wire.ts";

/**
 * Reads an ONNX file, and the files beside it that hold its weights, into a trainable network. The caller disposes it.
 * @throws UserError naming the file and what is wrong: damaged or missing files, unsupported operators (all at once), a
 * network that cannot take images, an unknown features tensor
 */
export function openOnnx(path: string, options: GraphModelOptions = {}): OnnxModel {
  const { model, rawData } = readModel(path);
  const graph = resolveGraph(path, model, rawData);
  const images = imagesOf(graph);
  const { size = 224 } = options;
  return scope(() => {
    const found = discover(graph, images, options.features, images.sides ?? [size, size]);
    try {
      return new OnnxModel(found, images, options);
    } catch (error) {
      disposeNetwork(found.network);
      throw error;
    }
  });
}

/**
 * The further files that hold an ONNX file's weights, as the file names them, each once; nothing is checked of them.
 * @throws UserError when the file is missing or no ONNX file
 */
export function onnxParts(path: string): string[] {
  const { graph } = readModel(path).model;
  const inNodes = (graph?.node ?? []).flatMap(({ attribute }) => attribute.flatMap(({ t }) => t ?? []));
  const entries = [...(graph?.initializer ?? []), ...inNodes].flatMap(({ externalData }) => externalData);
  return [...new Set(entries.filter(({ key }) => key === "location").map(({ value }) => value))];
}
