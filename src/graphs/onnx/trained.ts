/**
 * Choice of the tensors of a file that are trained. A floating constant is a parameter when its value reaches, through
 * nothing but differentiable nodes,
 * - a place for weights (the kernel or bias of a convolution, a factor of a matrix product, the scale and shift of a
 *   normalisation, the slope of PRelu) of a node that works on the images, whatever its size; or
 * - any other differentiable input of such a node (a sum, a product, a concatenation: position embeddings, class tokens,
 *   layer scales), when it has more than one element and a node with weights came before. Earlier ones are the mean and
 *   deviation of the images.
 * Everything else stays as it is: numbers (a single element in arithmetic), shapes, indices, bounds, scales of a resize;
 * masks, which come as 0 and one number of at most -100, or as a square of zeros; and the ones and zeros that stand in
 * an InstanceNormalization without scale and shift of its own. BatchNormalization has its statistics in a layer
 * (norms.ts). The rule is this project's choice: a file does not say what its exporter trained.
 */
import { present } from "../features.ts";
import type { Traits } from "./call.ts";
import type { GraphNode } from "./graph.ts";
import { operators } from "./ops/index.ts";

/** Role of an input in a node. */
type Place = "fixed" | "weight" | "operand";

/** Arithmetic, in which a constant that goes on to a place for weights may still be a mere number. */
const arithmetic: ReadonlySet<string> = new Set("Add Sub Mul Div Pow Min Max Sum Mean Where".split(" "));

function placeOf(node: GraphNode, i: number): Place {
  const { fixed, weights }: Traits = operators.get(node.op) ?? {};
  const holds = (inputs: Traits["fixed"]): boolean => inputs === "all" || (inputs?.includes(i) ?? false);
  return holds(fixed) ? "fixed" : holds(weights) ? "weight" : "operand";
}

/** True when input i of a node may take weights. */
export function takesWeights(node: GraphNode, i: number): boolean {
  return placeOf(node, i) === "weight";
}

export interface Uses {
  /** Slots whose values reach a place for weights, whatever their size. */
  readonly weights: ReadonlySet<number>;
  /** Slots whose values reach another differentiable input. */
  readonly operands: ReadonlySet<number>;
}

/**
 * Use of each slot's value.
 * @param nodes in an order in which they run
 * @param isBlank whether a node's scale and shift stand there only because the operator needs them
 * @param isMask whether a value that only depends on constants hides places rather than adds to them
 */
export function usesOf(
  nodes: readonly GraphNode[],
  images: number,
  isBlank: (node: GraphNode) => boolean,
  isMask: (slot: number) => boolean,
): Uses {
  const flowing = new Set<number | undefined>([images]);
  const weighted = new Set<number | undefined>();
  for (const node of nodes) {
    const through = node.inputs.filter((slot, i) => flowing.has(slot) && placeOf(node, i) !== "fixed");
    if (through.length === 0) continue;
    const isOwn = (slot: number | undefined, i: number): boolean =>
      slot !== undefined && !flowing.has(slot) && placeOf(node, i) === "weight";
    const ownWeights = node.inputs.some(isOwn);
    const isLate = ownWeights || node.op === "BatchNormalization" || through.some((slot) => weighted.has(slot));
    for (const slot of present(node.outputs)) {
      flowing.add(slot);
      if (isLate) weighted.add(slot);
    }
  }
  const weights = new Set<number>();
  const operands = new Set<number>();
  for (const node of nodes.toReversed()) {
    const onImages = node.outputs.some((slot) => flowing.has(slot));
    const isLate = node.outputs.some((slot) => weighted.has(slot));
    for (const [i, slot] of node.inputs.entries()) {
      const place = placeOf(node, i);
      if (slot === undefined || place === "fixed" || flowing.has(slot) || isBlank(node)) continue;
      if (!onImages) passedOn(node, weights, operands)?.add(slot);
      else if (place === "weight") weights.add(slot);
      else if (isLate && !isMask(slot)) operands.add(slot);
    }
  }
  return { weights, operands };
}

/** Set into which a constant goes on through a node that works on constants only. */
function passedOn(node: GraphNode, weights: Set<number>, operands: Set<number>): Set<number> | undefined {
  const outputs = present(node.outputs);
  if (outputs.some((slot) => weights.has(slot))) return arithmetic.has(node.op) ? operands : weights;
  return outputs.some((slot) => operands.has(slot)) ? operands : undefined;
}
