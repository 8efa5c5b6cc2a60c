/** Looks into a graph: which of its values serve as features and scores, found by its structure and by one run. */
import { quoted } from "../../io/index.ts";
import { Tensor } from "../../torch/index.ts";
import { measuring, type Part, proposalsOf, type Structure } from "../features.ts";
import { arranged, type Sides } from "../graph-model.ts";
import { type Found, findFeatures } from "../probe.ts";
import { isFloating, sizeOf } from "../values.ts";
import { absent, type Graph, type GraphNode } from "./graph.ts";
import type { Images } from "./input.ts";
import { buildNetwork, disposeNetwork, type Network, narrowed, neededNodes, refuseUnsupported } from "./network.ts";
import { operators } from "./ops/index.ts";
import { Program } from "./program.ts";
import { takesWeights } from "./trained.ts";

/** What was found, and the network with just what it needs. */
export interface Discovery extends Found<number> {
  readonly network: Network;
}

const fused = ["FusedConv", "FusedGemm", "FusedMatMul"].map((name) => `com.microsoft.${name}`);
const layers: ReadonlySet<string> = new Set(["Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum", ...fused]);
/** Outputs that are looked at as scores. */
const maximumOutputs = 64;

/**
 * Chooses features and scores, and builds what they need. The caller disposes the network.
 * @throws UserError when nothing can serve as features, or what is needed cannot be run
 */
export function discover(graph: Graph, images: Images, wish: string | undefined, sides: Sides): Discovery {
  const structure = structureOf(graph);
  const wished = wish === undefined ? undefined : { name: quoted(wish), value: graph.slotOf(wish) };
  const proposals = proposalsOf(structure);
  const usable = proposals.filter(({ runs }) => runs);
  if (wished?.value !== undefined) refuseUnsupported(graph, neededNodes(graph.nodes, [wished.value]));
  else if (usable.length === 0) {
    const needed = proposals.length > 0 ? proposals.map(({ value }) => value) : graph.outputs;
    refuseUnsupported(graph, neededNodes(graph.nodes, needed));
  }
  const outputs = graph.outputs.slice(0, maximumOutputs).filter((slot) => isRunnable(graph, slot));
  const wanted = new Set([...usable.map(({ value }) => value), ...outputs]);
  if (wished?.value !== undefined) wanted.add(wished.value);
  const network = buildNetwork(graph, [...wanted]);
  const program = new Program(network, [...wanted]);
  try {
    const found = findFeatures({
      file: graph.path,
      structure,
      proposals: usable,
      wish: wished,
      batch: images.batch,
      sides,
      channel: 1,
      name: (slot: number) => quoted(graph.names[slot] ?? ""),
      run: (probed, { made, failed }) => {
        program.run(arranged(probed, images, graph.path), {
          onFailure: (node, error) => {
            for (const slot of node.outputs) failed(slot, error);
          },
          watch: (slot, value) => {
            const isTensor = value instanceof Tensor && isFloating(value.dtype);
            made(slot, value.shape, isTensor ? value : undefined);
          },
        });
      },
    });
    const kept = [found.features, ...(found.scores === undefined ? [] : [found.scores])];
    return { ...found, network: narrowed(network, kept) };
  } catch (error) {
    disposeNetwork(network);
    throw error;
  }
}

function structureOf(graph: Graph): Structure<number> {
  const varying = new Set([graph.input.slot]);
  for (const { op, inputs, outputs } of graph.nodes) {
    if (measuring.has(op)) continue;
    if (inputs.some((slot) => varying.has(slot))) for (const slot of outputs) varying.add(slot);
  }
  varying.delete(absent);
  const elements = (slot: number): number => sizeOf(graph.constants.get(slot)?.shape ?? [0]);
  const varies = (slot: number): boolean => varying.has(slot);
  const parts = graph.nodes.map((node): Part<number> => {
    const inputs = node.inputs.filter((slot) => slot !== absent);
    const isLayer = layers.has(node.op) && inputs.filter(varies).length === 1 && hasWeights(node, varies);
    const outputs = node.outputs.filter((slot) => slot !== absent);
    const isActivated = fused.includes(node.op) && activates(node);
    return { kind: node.op, inputs, outputs, isLayer, isActivated, runs: runs(graph, node) };
  });
  return { parts, outputs: graph.outputs, varies, elements };
}

function activates({ attributes }: GraphNode): boolean {
  return attributes.has("activation") && attributes.string("activation") !== "Sigmoid";
}

function hasWeights(node: GraphNode, varies: (slot: number) => boolean): boolean {
  return node.inputs.some((slot, i) => slot !== absent && !varies(slot) && takesWeights(node, i));
}

function runs({ problems }: Graph, { op, inputs }: GraphNode): boolean {
  return operators.has(op) && !inputs.some((slot) => problems.has(slot));
}

function isRunnable(graph: Graph, slot: number): boolean {
  return !graph.problems.has(slot) && neededNodes(graph.nodes, [slot]).every((node) => runs(graph, node));
}
