/** Opening a model.json: layers models (Keras topologies) and graph models (TensorFlow's GraphDef as JSON). */
import { disposeTree, scope, UserError } from "../../torch/index.ts";
import type { GraphModel, GraphModelOptions } from "../graph-model.ts";
import { openNetwork } from "../open-network.ts";
import { graphNetwork } from "./graph/network.ts";
import { isRecord, readJson } from "./json.ts";
import { layersNetwork } from "./layers/network.ts";
import { parseManifest } from "./manifest.ts";
import { Parameters } from "./parameters.ts";
import { fileOf } from "./source.ts";
import { loadWeights } from "./weights.ts";

/**
 * Reads a model.json and its shards into a trainable network. The caller disposes it.
 * @throws UserError naming the file and what is wrong: damaged or missing files, unsupported layers or operators (all
 * at once), a network that cannot take images, an unknown features tensor
 */
export function openTfjs(path: string, options: GraphModelOptions = {}): GraphModel {
  const json = readJson(path);
  if (!isRecord(json)) throw new UserError(`${path} is not a TensorFlow.js model: give the path of its model.json`);
  const { modelTopology: topology, weightsManifest: manifest } = json;
  if (!isRecord(topology)) throw new UserError(`${path} is not a TensorFlow.js model: it has no "modelTopology"`);
  const groups = parseManifest(manifest ?? [], path);
  return scope(() => {
    const { tensors, files } = loadWeights(groups, path);
    const parameters = new Parameters(path, tensors);
    try {
      const isGraph = Array.isArray(topology["node"]);
      const parsed = isGraph ? graphNetwork(json, path, parameters) : layersNetwork(topology, path, parameters);
      return openNetwork(fileOf(parsed, parameters, [path, ...files]), options);
    } catch (error) {
      parameters.dispose();
      throw error;
    } finally {
      disposeTree(tensors);
    }
  });
}
