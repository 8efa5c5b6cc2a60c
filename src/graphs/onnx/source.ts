/** An ONNX graph as the search for features sees it. */
import { UserError } from "../../torch/index.ts";
import { type Part, type Problem, present, type Structure, varyingIn } from "../features.ts";
import type { GraphFile } from "../network.ts";
import { sizeOf } from "../values.ts";
import type { Graph, GraphNode } from "./graph.ts";
import { inputOf } from "./input.ts";
import { buildNetwork } from "./network.ts";
import { operators } from "./ops/index.ts";
import { takesWeights } from "./trained.ts";

export function fileOf(graph: Graph): GraphFile<number> {
  return {
    file: graph.path,
    files: graph.files,
    structure: structureOf(graph),
    images: inputOf(graph),
    channel: 1,
    nameOf: (slot) => graph.names[slot] ?? "",
    valueOf: graph.slotOf,
    build: (wanted) => buildNetwork(graph, wanted),
  };
}

function structureOf(graph: Graph): Structure<number> {
  const { nodes, input, outputs } = graph;
  const varying = varyingIn(
    nodes.map(({ op, inputs, outputs: made }) => ({ kind: op, inputs, outputs: made })),
    input.slot,
  );
  const varies = (slot: number): boolean => varying.has(slot);
  const parts = nodes.map((node): Part<number> => {
    const images = present(node.inputs).filter(varies);
    return {
      kind: node.op,
      inputs: node.inputs,
      outputs: node.outputs,
      isLayer: operators.get(node.op)?.isLayer === true && images.length === 1 && hasWeights(node, varies),
      isActivated: activates(node),
      problem: problemOf(graph, node),
    };
  });
  return { parts, outputs, varies, elements: (slot) => sizeOf(graph.constants.get(slot)?.shape ?? [0]) };
}

function problemOf({ problems }: Graph, { op, inputs }: GraphNode): Problem | undefined {
  if (!operators.has(op)) return "unsupported";
  const [problem] = present(inputs).flatMap((slot) => problems.get(slot) ?? []);
  return problem === undefined ? undefined : new UserError(problem);
}

function activates({ attributes }: GraphNode): boolean {
  return attributes.has("activation") && attributes.string("activation") !== "Sigmoid";
}

function hasWeights(node: GraphNode, varies: (slot: number) => boolean): boolean {
  return node.inputs.some((slot, i) => slot !== undefined && !varies(slot) && takesWeights(node, i));
}
