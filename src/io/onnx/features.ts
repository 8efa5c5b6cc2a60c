/** Which value of a network serves as features, and which holds its scores. n images, d features, S classes. */
import { UserError } from "../../torch/index.ts";
import { absent, type Graph, type GraphNode } from "./graph.ts";
import type { Shapes } from "./program.ts";
import { quoted, shapeText } from "./text.ts";

export interface Choice {
  readonly slot: number;
  readonly width: number;
  /** Names of what could serve, the reader's choice first. */
  readonly candidates: readonly string[];
  /** The slot of scores [n, S], when the graph goes on to a classifier. */
  readonly scores: number | undefined;
}

/** What may follow the last layer of a classifier. */
const closing: ReadonlySet<string> = new Set(
  "Add Sub Mul Div Softmax LogSoftmax Sigmoid Flatten Reshape Squeeze Unsqueeze Cast Identity Dropout".split(" "),
);
/** Names that a message lists. */
const shownNames = 10;

/**
 * What the last layer of a classifier reads: a Gemm or a MatMul with [n, d], or a Conv with [n, d, 1, 1], from which only
 * closing operators lead to the first output. The first output itself where there is no such layer.
 * @param shapes of all floating tensors in a run on `images` images
 * @throws UserError when the wished tensor does not exist, or none can serve
 */
export function chooseFeatures(graph: Graph, shapes: Shapes, images: number, wish: string | undefined): Choice {
  const width = (slot: number): number | undefined => {
    const shape = shapes.get(slot);
    if (!shape || shape.length < 2 || shape.length > 4 || shape[0] !== images || shape.includes(0)) return undefined;
    return shape.length === 3 ? shape[2] : shape[1];
  };
  const [output = absent] = graph.outputs;
  const own = headInput(graph, shapes, images) ?? output;
  const made = graph.nodes.flatMap(({ outputs }) => outputs).reverse();
  const vectors = made.filter((slot) => shapes.get(slot)?.length === 2);
  const maps = made.filter((slot) => shapes.get(slot)?.length === 4).slice(0, 1);
  const slots = [...new Set([own, ...graph.outputs, ...vectors, ...maps])].filter((slot) => width(slot) !== undefined);
  const nameOf = (slot: number): string => graph.names[slot] ?? "";
  const candidates = slots.map(nameOf);
  const chosen = wish === undefined ? slots[0] : graph.slotOf(wish);
  const found = chosen === undefined ? undefined : width(chosen);
  if (chosen !== undefined && found !== undefined) {
    const isScores = output !== chosen && shapes.get(output)?.length === 2 && width(output) !== undefined;
    return { slot: chosen, width: found, candidates, scores: isScores ? output : undefined };
  }
  const listed = candidates.slice(0, shownNames).map(quoted).join(", ");
  const advice = listed === "" ? "it has none that can" : `tensors that can: ${listed}`;
  if (wish === undefined) {
    const shape = shapes.get(output);
    const problem = shape ? `; its output has the shape ${shapeText(shape)} for ${images} images` : "";
    throw new UserError(`${graph.path}: no tensor can serve as features${problem}; ${advice}`);
  }
  const shape = chosen === undefined ? undefined : shapes.get(chosen);
  const problem = shape ? `it has the shape ${shapeText(shape)} for ${images} images` : "no node makes such a tensor";
  throw new UserError(`${graph.path}: ${quoted(wish)} cannot serve as features: ${problem}; ${advice}`);
}

function headInput(graph: Graph, shapes: Shapes, images: number): number | undefined {
  const producers = new Map(graph.nodes.flatMap((node) => node.outputs.map((slot) => [slot, node] as const)));
  const isImages = (slot: number): boolean => shapes.get(slot)?.[0] === images && !graph.constants.has(slot);
  let current = graph.outputs[0] ?? absent;
  for (let node = producers.get(current); node; node = producers.get(current)) {
    if (isHead(node, shapes)) return node.inputs[0];
    if (!closing.has(node.op)) return undefined;
    const sources = node.inputs.filter((slot) => isImages(slot));
    const [source] = sources;
    if (source === undefined || sources.length > 1) return undefined;
    current = source;
  }
  return undefined;
}

function isHead(node: GraphNode, shapes: Shapes): boolean {
  const shape = shapes.get(node.inputs[0] ?? absent);
  if (node.op === "Gemm" || node.op === "MatMul") return shape?.length === 2;
  return node.op === "Conv" && shape?.length === 4 && shape[2] === 1 && shape[3] === 1;
}
