/** BatchNormalization nodes as layers, so that the hub's policy for BatchNorm reaches them. */
import { BatchNorm2d } from "../../nn/index.ts";
import { noGrad, scope, UserError } from "../../torch/index.ts";
import { present } from "../features.ts";
import { HostArray, isFloating, shapeText } from "../values.ts";
import type { Constant, Graph, GraphNode } from "./graph.ts";

export interface NamedNorm {
  readonly name: string;
  readonly layer: BatchNorm2d;
}

/** The slots of scale, shift, mean and variance. */
export function statisticsOf(node: GraphNode): readonly number[] {
  return present(node.inputs.slice(1, 5));
}

/** True when scale, shift, mean and variance are all constants of the file. */
export function isLayer(node: GraphNode, graph: Graph): boolean {
  const slots = statisticsOf(node);
  return node.op === "BatchNormalization" && slots.length === 4 && slots.every((slot) => graph.constants.has(slot));
}

/**
 * A layer for each node; nodes with the same four constants share one, as the network did. The name is that of the scale
 * without its ".weight", or else that of the node's output, where that is taken.
 * @param taken names of parameters outside of the layers
 * @throws UserError when the constants are no vectors of the same length
 */
export function normLayers(
  graph: Graph,
  nodes: readonly GraphNode[],
  taken: ReadonlySet<string>,
): Map<GraphNode, NamedNorm> {
  const made = new Map<GraphNode, NamedNorm>();
  const shared = new Map<string, NamedNorm>();
  const names = new Set<string>();
  try {
    for (const node of nodes) {
      if (!isLayer(node, graph)) continue;
      const key = statisticsOf(node).join();
      let norm = shared.get(key);
      if (!norm) {
        const own = nameOf(graph, node);
        const isTaken = names.has(own) || taken.has(`${own}.weight`) || taken.has(`${own}.bias`);
        const name = isTaken ? (graph.names[node.outputs[0] ?? -1] ?? key) : own;
        names.add(name);
        norm = { name, layer: layerOf(graph, node) };
        shared.set(key, norm);
      }
      made.set(node, norm);
    }
    return made;
  } catch (error) {
    for (const { layer } of shared.values()) layer.dispose();
    throw error;
  }
}

function nameOf(graph: Graph, node: GraphNode): string {
  const scale = graph.names[node.inputs[1] ?? -1] ?? "";
  return scale.endsWith(".weight") ? scale.slice(0, -".weight".length) : (graph.names[node.outputs[0] ?? -1] ?? scale);
}

/** ONNX's momentum is the part that stays, PyTorch's the part that is replaced. */
function layerOf(graph: Graph, node: GraphNode): BatchNorm2d {
  const constants = statisticsOf(node).map((slot) => graph.constants.get(slot) as Constant);
  const [first] = constants;
  const channels = first?.shape[0] ?? 0;
  for (const constant of constants) {
    const isFloat = constant instanceof HostArray ? constant.kind === "float" : isFloating(constant.dtype);
    if (constant.shape.length === 1 && constant.shape[0] === channels && channels > 0 && isFloat) continue;
    const shapes = constants.map(({ shape }) => shapeText(shape)).join(", ");
    throw new UserError(`${graph.path}: ${node.label} has statistics of the shapes ${shapes}: all must be [C]`);
  }
  const eps = node.attributes.float("epsilon") ?? 1e-5;
  const momentum = 1 - (node.attributes.float("momentum") ?? 0.9);
  const layer = new BatchNorm2d(channels, { eps, momentum });
  try {
    const targets = [layer.weight, layer.bias, layer.running_mean, layer.running_var];
    for (const [i, target] of targets.entries()) fill(target, constants[i] as Constant);
  } catch (error) {
    layer.dispose();
    throw error;
  }
  return layer;
}

function fill(target: BatchNorm2d["weight"], constant: Constant): void {
  scope(() =>
    noGrad(() => {
      if (constant instanceof HostArray) target.copyFrom(Float32Array.from(constant.data));
      else target.copy_(constant.read());
    }),
  );
}
