/** An ONNX graph ready to run: its weights read, its layers made, everything that is the same in every run computed once. */
import type { BatchNorm2d } from "../../nn/index.ts";
import { type Dtype, keep, noGrad, scope, type Tensor } from "../../torch/index.ts";
import { present } from "../features.ts";
import type { Network } from "../network.ts";
import { needed } from "../program.ts";
import type { Step } from "../step.ts";
import { HostArray, isFloating, sizeOf, type Value } from "../values.ts";
import { Constants } from "./constants.ts";
import { fixedOf, fold, widened } from "./fold.ts";
import type { Graph, GraphNode } from "./graph.ts";
import { MaskSearch } from "./masks.ts";
import { isLayer, type NamedNorm, normLayers, statisticsOf } from "./norms.ts";
import { stepOf } from "./step.ts";
import { usesOf } from "./trained.ts";

/**
 * Reads what the wanted slots need.
 * @throws UserError for damaged weights
 */
export function buildNetwork(graph: Graph, wanted: readonly number[]): Network<number> {
  const nodes = needed(graph.nodes, wanted);
  const parameters = new Map<number, Tensor>();
  const constants = new Constants();
  let norms: ReadonlyMap<GraphNode, NamedNorm> = new Map();
  try {
    noGrad(() => readConstants(graph, nodes, wanted, parameters, constants));
    norms = normLayers(graph, nodes, new Set(Array.from(parameters.keys(), (slot) => graph.names[slot] ?? "")));
    const left = noGrad(() => scope(() => fold(graph, nodes, constants, wanted)));
    return new OnnxNetwork(graph, left, { parameters, constants, norms });
  } catch (error) {
    new OnnxNetwork(graph, [], { parameters, constants, norms }).dispose();
    throw error;
  }
}

interface Tensors {
  /** Trained tensors by slot. */
  readonly parameters: ReadonlyMap<number, Tensor>;
  readonly constants: Constants;
  readonly norms: ReadonlyMap<GraphNode, NamedNorm>;
}

class OnnxNetwork implements Network<number> {
  readonly file: string;
  readonly input: number;
  readonly steps: readonly Step<number>[];
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly buffers = new Map<string, Tensor>();
  readonly norms: ReadonlyMap<string, BatchNorm2d>;
  readonly #graph: Graph;
  /** Nodes that are left to run, in order. */
  readonly #nodes: readonly GraphNode[];
  readonly #tensors: Tensors;

  constructor(graph: Graph, nodes: readonly GraphNode[], tensors: Tensors) {
    const { parameters, constants, norms } = tensors;
    this.file = graph.path;
    this.input = graph.input.slot;
    this.steps = nodes.map((node) => stepOf(graph, node, constants, norms.get(node)?.layer));
    this.parameters = new Map(Array.from(parameters, ([slot, tensor]) => [graph.names[slot] ?? "", tensor]));
    this.norms = new Map(Array.from(norms.values(), ({ name, layer }) => [name, layer]));
    this.#graph = graph;
    this.#nodes = nodes;
    this.#tensors = tensors;
  }

  constant(slot: number, dtype: Dtype, device: string): Value | undefined {
    const { parameters, constants } = this.#tensors;
    return parameters.get(slot) ?? constants.get(slot, dtype, device);
  }

  narrowed(wanted: readonly number[]): OnnxNetwork {
    const { parameters, constants, norms } = this.#tensors;
    const nodes = needed(this.#nodes, wanted);
    const slots = new Set([...wanted, ...nodes.flatMap(({ inputs }) => present(inputs))]);
    const left = { constants, parameters: filtered(parameters, slots), norms: filtered(norms, new Set(nodes)) };
    for (const [slot, tensor] of parameters) if (!slots.has(slot)) tensor.dispose();
    const layers = new Set(Array.from(left.norms.values(), ({ layer }) => layer));
    for (const { layer } of new Set(norms.values())) if (!layers.has(layer)) layer.dispose();
    constants.keepOnly(slots);
    return new OnnxNetwork(this.#graph, nodes, left);
  }

  release(): void {
    this.#tensors.constants.dispose();
  }

  dispose(): void {
    for (const tensor of this.parameters.values()) tensor.dispose();
    for (const { layer } of new Set(this.#tensors.norms.values())) layer.dispose();
    this.release();
  }
}

function filtered<K, T>(map: ReadonlyMap<K, T>, keys: ReadonlySet<K>): Map<K, T> {
  return new Map([...map].filter(([key]) => keys.has(key)));
}

function readConstants(
  graph: Graph,
  nodes: readonly GraphNode[],
  wanted: readonly number[],
  parameters: Map<number, Tensor>,
  constants: Constants,
): void {
  const masks = new MaskSearch(graph, nodes);
  const { weights, operands } = usesOf(
    nodes,
    graph.input.slot,
    (node) => isBlank(graph, node),
    (slot) => masks.isMask(slot),
  );
  const used = new Set(wanted);
  for (const node of nodes) {
    const inLayer = isLayer(node, graph) ? statisticsOf(node) : [];
    for (const slot of present(node.inputs)) if (!inLayer.includes(slot)) used.add(slot);
  }
  for (const [slot, constant] of graph.constants) {
    if (!used.has(slot)) continue;
    const mayTrain = weights.has(slot) || (operands.has(slot) && sizeOf(constant.shape) > 1);
    if (!mayTrain || constant instanceof HostArray || !isFloating(constant.dtype)) {
      constants.set(slot, fixedOf(constant));
      continue;
    }
    parameters.set(slot, keep(widened(constant.read())));
  }
}

/** Ones and zeros where InstanceNormalization needs a scale and shift that the network does not have. */
function isBlank(graph: Graph, node: GraphNode): boolean {
  if (node.op !== "InstanceNormalization") return false;
  return [1, 0].every((expected, i) => {
    const slot = node.inputs[i + 1];
    const constant = slot === undefined ? undefined : graph.constants.get(slot);
    if (!constant) return false;
    if (constant instanceof HostArray) return constant.data.every((value) => value === expected);
    return scope(() => constant.read().eq(expected).all().item() === 1);
  });
}
