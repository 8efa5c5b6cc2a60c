/** From a GraphDef to steps; weights become parameters, other constants stay as they are. */
import { listed, quoted, shown } from "../../../io/index.ts";
import { UserError } from "../../../torch/index.ts";
import type { Problem } from "../../features.ts";
import { imagesOf } from "../../graph-model.ts";
import type { Parameters } from "../parameters.ts";
import { brokenStep, onTensors, type Parsed, type TfjsStep } from "../step.ts";
import { type Graph, type GraphNode, parseGraph } from "./nodes.ts";
import { Operands, type Surroundings } from "./operator.ts";
import { affine, operators, passing, products, weightInputs } from "./operators.ts";

const outputLimit = 1024;

/**
 * The steps of a graph model (its whole model.json). Nodes that cannot run become steps that say so.
 * @throws UserError naming the node that is wrong, or when the model takes no images
 */
export function graphNetwork(json: Record<string, unknown>, file: string, parameters: Parameters): Parsed {
  const graph = parseGraph(json, file);
  const image = imageOf(graph, file);
  const around = surroundings(graph, image, file, parameters);
  const counts = outputCounts(graph, file);
  const silent = (node: GraphNode): boolean => node === image || node.op === "Const";
  const active = [...graph.nodes, ...graph.stuck].filter((node) => !silent(node));
  const looping = new Set(graph.stuck);
  const steps = active.map((node) => stepOf(node, around, counts.get(node.name) ?? 1, file, looping.has(node)));
  const inputShape = image.attributes.shape("shape") ?? graph.inputShape ?? [];
  const images = imagesOf(image.name, inputShape, "NHWC", file);
  return { file, steps, images, channel: channelOf(active), outputs: graph.outputs };
}

/** Dimension in which the convolutions have the channels. */
function channelOf(nodes: readonly GraphNode[]): 1 | 3 {
  const formats = nodes
    .filter(({ op }) => products.has(op))
    .map(({ attributes }) => attributes.string("data_format", ""));
  return formats.includes("NCHW") && !formats.includes("NHWC") ? 1 : 3;
}

/** The only input that may hold images; others are steps that cannot run. */
function imageOf(graph: Graph, file: string): GraphNode {
  const inputs = graph.nodes.filter((node) => node.op === "Placeholder");
  const [first] = inputs;
  if (!first) throw new UserError(`${file}: the model needs one input, the images, but reads none`);
  const holding = inputs.filter((node) => (node.attributes.shape("shape") ?? new Array<number>(4)).length === 4);
  const [image = first, ...more] = inputs.length === 1 ? inputs : holding;
  if (more.length === 0 && (inputs.length === 1 || holding.length === 1)) return image;
  throw new UserError(
    `${file}: the model needs one input, the images, but reads ${listed(inputs.map(({ name }) => name))}`,
  );
}

/** Tensors that are weights, and the weights that are trained. */
function surroundings(graph: Graph, image: GraphNode, file: string, parameters: Parameters): Surroundings {
  const constants = new Map<string, string>();
  const trained = new Set<string>();
  // Tensors that weights have had a part in: what comes before them only prepares the images.
  const learned = new Set<string>();
  const baseName = (tensor: string): string => tensor.split(":")[0] ?? "";
  for (const node of graph.nodes) {
    if (node.op === "Const") {
      if (!parameters.has(node.name))
        throw new UserError(`${file}: there is no weight for the constant ${quoted(node.name)}`);
      constants.set(node.name, node.name);
      continue;
    }
    const source = passing.has(node.op) ? constants.get(node.inputs[0] ?? "") : undefined;
    if (source !== undefined) {
      constants.set(node.name, source);
      continue;
    }
    if (node === image) continue;
    const follows = node.inputs.some((input) => learned.has(baseName(input)));
    const always = weightInputs.get(node.op) ?? [];
    let uses = false;
    for (const [i, input] of node.inputs.entries()) {
      const weight = constants.get(input);
      if (weight === undefined) continue;
      const scales = affine.has(node.op) && follows && parameters.stored(weight).numel() > 1;
      if (!always.includes(i) && !scales) continue;
      trained.add(weight);
      uses = true;
    }
    if (follows || uses) learned.add(node.name);
  }
  return { parameters, constants, trained };
}

function stepOf(node: GraphNode, around: Surroundings, outputs: number, file: string, loops: boolean): TfjsStep {
  const names = Array.from({ length: outputs }, (_, k) => (k === 0 ? node.name : `${node.name}:${k}`));
  const operator = operators.get(node.op);
  const broken = (problem: Problem): TfjsStep => {
    const inputs = node.inputs.filter((input) => !around.constants.has(input));
    return brokenStep({ kind: node.op, outputs: names, inputs }, problem);
  };
  if (node.op === "Placeholder") {
    const only = "holds no images, but a member of a hub sees nothing else";
    return broken(new UserError(`${file}: its input ${quoted(node.name)} ${only}`));
  }
  if (!operator) return broken("unsupported");
  if (loops) return broken(new UserError(`${file}: ${quoted(node.name)} depends on itself in a circle`));
  try {
    const operands = new Operands(node, around);
    const run = operator(operands);
    const { inputs, weights, usedNorm: norm } = operands;
    const links = { inputs, outputs: names, weights: [...weights], norm };
    const label = `${shown(node.op)} ${quoted(node.name)}`;
    return { kind: node.op, label, ...links, ...layerOf(node, around), ...onTensors(run) };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return broken(error);
  }
}

/** Only products with weights are layers. */
function layerOf(node: GraphNode, { constants }: Surroundings): Pick<TfjsStep, "isLayer" | "isActivated"> {
  const isLayer = products.has(node.op) && constants.has(node.inputs[1] ?? "");
  const fused = node.attributes.strings("fused_ops").filter((name) => !/^(biasadd|sigmoid)$/i.test(name));
  return { isLayer, isActivated: fused.length > 0 };
}

/** Number of outputs of each node that are read: the first always counts. */
function outputCounts(graph: Graph, file: string): Map<string, number> {
  const counts = new Map<string, number>();
  const read = [...graph.nodes, ...graph.stuck].flatMap((node) => node.inputs);
  for (const tensor of [...read, ...graph.outputs]) {
    const [name = "", index = "0"] = tensor.split(":");
    const count = Number(index) + 1;
    if (count > outputLimit) throw new UserError(`${file}: output ${index} of ${quoted(name)} is read`);
    counts.set(name, Math.max(counts.get(name) ?? 1, count));
  }
  return counts;
}
