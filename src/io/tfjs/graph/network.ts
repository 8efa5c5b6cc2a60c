/** From a GraphDef to steps; weights become parameters, other constants stay as they are. */
import { UserError } from "../../../torch/index.ts";
import type { Parameters } from "../parameters.ts";
import type { Network, Step } from "../plan.ts";
import { listed, shown } from "../text.ts";
import { type Graph, type GraphNode, parseGraph } from "./nodes.ts";
import { Operands, type Surroundings } from "./operator.ts";
import { affine, convolutions, matrixProducts, operators, passing, weightInputs } from "./operators.ts";

const outputLimit = 1024;

/**
 * The steps of a graph model (its whole model.json).
 * @throws UserError listing all unsupported operators, or naming the node that is wrong
 */
export function graphNetwork(json: Record<string, unknown>, file: string, parameters: Parameters): Network {
  const graph = parseGraph(json, file);
  const silent = new Set(["Const", "Placeholder"]);
  const unknown = [...new Set(graph.nodes.map((node) => node.op))].filter(
    (op) => !operators.has(op) && !silent.has(op),
  );
  if (unknown.length > 0) {
    throw new UserError(`${file} has operators that are not supported: ${listed(unknown.sort())}`);
  }
  const [image, ...more] = graph.nodes.filter((node) => node.op === "Placeholder");
  if (!image || more.length > 0) {
    const names = [image, ...more].flatMap((node) => (node ? [node.name] : []));
    throw new UserError(`${file}: the model needs one input, the images, but reads ${listed(names) || "none"}`);
  }
  const around = surroundings(graph, image, file, parameters);
  const counts = outputCounts(graph, file);
  const active = graph.nodes.filter((node) => !silent.has(node.op));
  const steps = active.map((node) => stepOf(node, around, counts.get(node.name) ?? 1));
  const inputShape = image.attributes.shape("shape") ?? graph.inputShape ?? [];
  const layout = inputShape[1] === 3 && inputShape[3] !== 3 ? "NCHW" : "NHWC";
  return { steps, input: image.name, inputShape, layout, outputs: graph.outputs };
}

/** Which tensors are weights, and which weights are trained. */
function surroundings(graph: Graph, image: GraphNode, file: string, parameters: Parameters): Surroundings {
  const constants = new Map<string, string>();
  const trained = new Set<string>();
  // Tensors that weights have had a part in: what comes before them only prepares the images.
  const learned = new Set<string>();
  const baseName = (tensor: string): string => tensor.split(":")[0] ?? "";
  for (const node of graph.nodes) {
    if (node.op === "Const") {
      if (!parameters.has(node.name))
        throw new UserError(`${file}: there is no weight for the constant ${shown(node.name)}`);
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

function stepOf(node: GraphNode, around: Surroundings, outputs: number): Step {
  const operands = new Operands(node, around);
  const operator = operators.get(node.op) ?? operands.fail("it is not supported");
  const run = operator(operands);
  const names = Array.from({ length: outputs }, (_, k) => (k === 0 ? node.name : `${node.name}:${k}`));
  return { kind: node.op, outputs: names, inputs: operands.inputs, run, role: roleOf(node, around) };
}

/** Only products with weights are layers. */
function roleOf(node: GraphNode, { constants }: Surroundings): Step["role"] {
  if (!constants.has(node.inputs[1] ?? "")) return undefined;
  if (matrixProducts.has(node.op)) return "dense";
  return convolutions.has(node.op) ? "convolution" : undefined;
}

/** How many outputs of each node are read: the first always counts. */
function outputCounts(graph: Graph, file: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const tensor of [...graph.nodes.flatMap((node) => node.inputs), ...graph.outputs]) {
    const [name = "", index = "0"] = tensor.split(":");
    const count = Number(index) + 1;
    if (count > outputLimit) throw new UserError(`${file}: output ${index} of ${shown(name)} is read`);
    counts.set(name, Math.max(counts.get(name) ?? 1, count));
  }
  return counts;
}
