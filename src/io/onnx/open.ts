/** Opening an ONNX file. */
import { scope } from "../../torch/index.ts";
import type { GraphModelOptions } from "../graph-model.ts";
import { resolveGraph } from "./graph.ts";
import { imagesOf } from "./input.ts";
import { OnnxModel } from "./model.ts";
import { buildNetwork, disposeNetwork } from "./network.ts";
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
  const wish = options.features === undefined ? undefined : graph.slotOf(options.features);
  const wanted = [...new Set([...graph.outputs, ...(wish === undefined ? [] : [wish])])];
  return scope(() => {
    const network = buildNetwork(graph, wanted);
    try {
      return new OnnxModel(network, images, wanted, options);
    } catch (error) {
      disposeNetwork(network);
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
