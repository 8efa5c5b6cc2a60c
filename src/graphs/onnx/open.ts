/** Opening an ONNX file. */
import type { GraphModel, GraphModelOptions } from "../graph-model.ts";
import { openNetwork } from "../open-network.ts";
import { resolveGraph } from "./graph.ts";
import { fileOf } from "./source.ts";
import { readModel } from "./wire.ts";

/**
 * Reads an ONNX file, and the files beside it that hold its weights, into a trainable network: weights (see trained.ts) are
 * parameters under their names in the file, BatchNormalization nodes are BatchNorm2d children; other constants are part of
 * the graph and not of its state. The caller disposes it.
 * @throws UserError naming the file and what is wrong: damaged or missing files, unsupported operators (all at once), a
 * network that cannot take images, an unknown features tensor
 */
export function openOnnx(path: string, options: GraphModelOptions = {}): GraphModel {
  const { model, rawData } = readModel(path);
  return openNetwork(fileOf(resolveGraph(path, model, rawData)), options);
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
