/** A graph ready to run: its weights read, its layers made, everything that is the same in every run computed once. */
import { listed, shown } from "../../io/index.ts";
import { keep, noGrad, scope, type Tensor, UserError } from "../../torch/index.ts";
import { HostArray, isFloating, sizeOf } from "../values.ts";
import { Constants } from "./constants.ts";
import { fixedOf, fold, widened } from "./fold.ts";
import { absent, type Graph, type GraphNode } from "./graph.ts";
import { MaskSearch } from "./masks.ts";
import { isLayer, type NamedNorm, normLayers, statisticsOf } from "./norms.ts";
import { operators } from "./ops/index.ts";
import { usesOf } from "./trained.ts";

export interface Network {
  readonly graph: Graph;
  /** What is left to run, in order. */
  readonly nodes: readonly GraphNode[];
  /** Trained tensors by slot; they become the model's parameters. */
  readonly parameters: ReadonlyMap<number, Tensor>;
  readonly norms: ReadonlyMap<GraphNode, NamedNorm>;
  readonly constants: Constants;
}

/**
 * Reads what the wanted slots need. The caller disposes parameters, norms and constants.
 * @throws UserError for unsupported operators (all at once), damaged weights, or constants that cannot be computed
 */
export function buildNetwork(graph: Graph, wanted: readonly number[]): Network {
  const nodes = neededNodes(graph.nodes, wanted);
  refuseUnsupported(graph, nodes);
  const parameters = new Map<number, Tensor>();
  const constants = new Constants();
  let norms: ReadonlyMap<GraphNode, NamedNorm> = new Map();
  try {
    noGrad(() => readConstants(graph, nodes, wanted, parameters, constants));
    norms = normLayers(graph, nodes, new Set(Array.from(parameters.keys(), (slot) => graph.names[slot] ?? "")));
    const left = noGrad(() => scope(() => fold(graph, nodes, constants, wanted)));
    return { graph, nodes: left, parameters, norms, constants };
  } catch (error) {
    disposeNetwork({ parameters, norms, constants });
    throw error;
  }
}

export function disposeNetwork({ parameters, norms, constants }: Pick<Network, "parameters" | "norms" | "constants">) {
  for (const tensor of parameters.values()) tensor.dispose();
  for (const { layer } of new Set(norms.values())) layer.dispose();
  constants.dispose();
}

/** A network with only what the wanted slots need; the rest is disposed. */
export function narrowed(network: Network, wanted: readonly number[]): Network {
  const nodes = neededNodes(network.nodes, wanted);
  const used = new Set([...wanted, ...nodes.flatMap(({ inputs }) => inputs)]);
  const parameters = new Map([...network.parameters].filter(([slot]) => used.has(slot)));
  const norms = new Map(
    nodes.flatMap((node) => {
      const norm = network.norms.get(node);
      return norm ? [[node, norm] as const] : [];
    }),
  );
  for (const [slot, tensor] of network.parameters) if (!used.has(slot)) tensor.dispose();
  const layers = new Set([...norms.values()].map(({ layer }) => layer));
  for (const { layer } of new Set(network.norms.values())) if (!layers.has(layer)) layer.dispose();
  network.constants.keepOnly(used);
  return { ...network, nodes, parameters, norms };
}

/** The nodes that the wanted slots depend on. */
export function neededNodes(nodes: readonly GraphNode[], wanted: readonly number[]): GraphNode[] {
  const needed = new Set(wanted);
  const found: GraphNode[] = [];
  for (const node of nodes.toReversed()) {
    if (!node.outputs.some((slot) => needed.has(slot))) continue;
    found.push(node);
    for (const slot of node.inputs) if (slot !== absent) needed.add(slot);
  }
  return found.reverse();
}

const controlFlow: ReadonlySet<string> = new Set(["If", "Loop", "Scan", "SequenceMap"]);
const longestList = 15;

/**
 * Refuses nodes that cannot run.
 * @throws UserError for unsupported operators, all at once, or for the first value that cannot be had
 */
export function refuseUnsupported({ path, problems }: Graph, nodes: readonly GraphNode[]): void {
  const problem = nodes.flatMap(({ inputs }) => inputs.flatMap((slot) => problems.get(slot) ?? []))[0];
  if (problem !== undefined) throw new UserError(problem);
  const kinds = [...new Set(nodes.map(({ op }) => op))].filter((op) => !operators.has(op)).sort();
  if (kinds.length === 0) return;
  const quantised = kinds.filter((op) => /Quantize|QLinear|Integer$|\.QAttention|\.QGemm/.test(op));
  const flow = kinds.filter((op) => controlFlow.has(op));
  const advice = [
    ...(quantised.length > 0
      ? ["; a quantised network cannot be trained: take the file from before quantisation"]
      : []),
    ...(flow.length > 0 ? ["; sub-graphs are not run: export the network without branches and loops"] : []),
  ];
  throw new UserError(
    `${path} uses operators that are not supported: ${listed(kinds, longestList, shown)}${advice.join("")}`,
  );
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
    for (const slot of node.inputs) if (!inLayer.includes(slot)) used.add(slot);
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
    const constant = graph.constants.get(node.inputs[i + 1] ?? absent);
    if (!constant) return false;
    if (constant instanceof HostArray) return constant.data.every((value) => value === expected);
    return scope(() => constant.read().eq(expected).all().item() === 1);
  });
}
