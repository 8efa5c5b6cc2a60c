/**
 * Which tensors of a file are trained. A floating constant is a parameter when its value reaches, through nothing but
 * differentiable nodes,
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
import type { GraphNode } from "./graph.ts";

/** What an input does in a node. */
type Place = "fixed" | "weight" | "operand";

const all = "all";

/** Inputs through which no gradient goes, or none that is wanted. */
const fixedInputs: Readonly<Record<string, readonly number[] | typeof all>> = {
  Reshape: [1],
  Expand: [1],
  Tile: [1],
  Slice: [1, 2, 3, 4],
  Gather: [1],
  GatherElements: [1],
  GatherND: [1],
  ScatterElements: [1],
  ScatterND: [1],
  Squeeze: [1],
  Unsqueeze: [1],
  Split: [1],
  Pad: [1, 2, 3],
  Resize: [1, 2, 3],
  Upsample: [1],
  Clip: [1, 2],
  TopK: [1],
  CumSum: [1],
  Trilu: [1],
  Compress: [1],
  Where: [0],
  Pow: [1],
  Mod: all,
  Attention: [3],
  BatchNormalization: [1, 2, 3, 4],
  Dropout: [1, 2],
  CastLike: [1],
  ReduceMean: [1],
  ReduceSum: [1],
  ReduceMax: [1],
  ReduceMin: [1],
  ReduceProd: [1],
  ReduceL1: [1],
  ReduceL2: [1],
  ReduceSumSquare: [1],
  ReduceLogSumExp: [1],
  ReduceLogSum: [1],
  AffineGrid: [1],
  Shape: all,
  Size: all,
  ConstantOfShape: all,
  EyeLike: all,
  Range: all,
  OneHot: all,
  NonZero: all,
  ArgMax: all,
  ArgMin: all,
  Equal: all,
  Greater: all,
  GreaterOrEqual: all,
  Less: all,
  LessOrEqual: all,
  And: all,
  Or: all,
  Xor: all,
  Not: all,
  IsNaN: all,
  IsInf: all,
  Floor: all,
  Ceil: all,
  Round: all,
  Sign: all,
};

const weightInputs: Readonly<Record<string, readonly number[] | typeof all>> = {
  Conv: [1, 2],
  ConvTranspose: [1, 2],
  Gemm: all,
  MatMul: all,
  Einsum: all,
  PRelu: [1],
  LayerNormalization: [1, 2],
  GroupNormalization: [1, 2],
  InstanceNormalization: [1, 2],
  RMSNormalization: [1],
  "com.microsoft.FusedConv": [1, 2],
  "com.microsoft.FusedGemm": all,
  "com.microsoft.FusedMatMul": all,
  "com.microsoft.BiasGelu": [1],
  "com.microsoft.FastGelu": [1],
  "com.microsoft.SkipLayerNormalization": [2, 3, 4],
};

/** Arithmetic, in which a constant that goes on to a place for weights may still be a mere number. */
const arithmetic: ReadonlySet<string> = new Set("Add Sub Mul Div Pow Min Max Sum Mean Where".split(" "));

function placeOf(node: GraphNode, i: number): Place {
  const holds = (table: Readonly<Record<string, readonly number[] | typeof all>>): boolean => {
    const places = Object.hasOwn(table, node.op) ? table[node.op] : undefined;
    return places === all || (places?.includes(i) ?? false);
  };
  return holds(fixedInputs) ? "fixed" : holds(weightInputs) ? "weight" : "operand";
}

/** Whether input i of a node may take weights. */
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
 * What becomes of each slot's value.
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

/** Where a constant goes through a node that works on constants only. */
function passedOn(node: GraphNode, weights: Set<number>, operands: Set<number>): Set<number> | undefined {
  const outputs = present(node.outputs);
  if (outputs.some((slot) => weights.has(slot))) return arithmetic.has(node.op) ? operands : weights;
  return outputs.some((slot) => operands.has(slot)) ? operands : undefined;
}
