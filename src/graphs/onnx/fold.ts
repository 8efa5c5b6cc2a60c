/** What is the same in every run, computed once. */
import { ops, type Tensor, UserError } from "../../torch/index.ts";
import { Budget } from "../budget.ts";
import { HostArray, isFloating, sizeOf, type Value } from "../values.ts";
import { Call, type Run } from "./call.ts";
import type { Constants } from "./constants.ts";
import { execute } from "./execute.ts";
import { absent, type Constant, type Graph, type GraphNode } from "./graph.ts";
import { constantOf } from "./tensors.ts";

/** Elements that folding may hold at a time; the masks of the largest published networks have a tenth. */
const foldedElements = 2 ** 24;

/** Training in half precision would lose small steps; the run's precision is chosen elsewhere. */
export function widened(tensor: Tensor): Tensor {
  const dtype = isFloating(tensor.dtype) ? "float32" : tensor.dtype === "bool" ? "bool" : "int64";
  if (tensor.dtype === dtype) return tensor;
  using narrow = tensor;
  return narrow.to({ dtype });
}

export function fixedOf(constant: Constant): Value {
  const value = constant instanceof HostArray ? constant : constantOf(constant);
  return value instanceof HostArray ? value : widened(value);
}

/**
 * Computes the nodes whose inputs are all constants, releasing what no other node reads, and gives the nodes that are
 * left.
 * @throws UserError when the constants hold more than any network needs
 */
export function fold(
  graph: Graph,
  nodes: readonly GraphNode[],
  constants: Constants,
  wanted: readonly number[],
): GraphNode[] {
  const run: Run = {
    path: graph.path,
    opset: graph.opset,
    floating: "float32",
    device: "cpu",
    budget: new Budget(1, 0),
    batch: undefined,
    isConstant: () => true,
    tensorOf: (array) => constants.tensorOf(array, "float32", "cpu"),
  };
  // The wanted ones have a reader more, who never comes.
  const readers = new Map<number, number>(wanted.map((slot) => [slot, 1]));
  for (const { inputs } of nodes) for (const slot of inputs) readers.set(slot, (readers.get(slot) ?? 0) + 1);
  const made = new Map<number, number>();
  let held = 0;
  const release = (slot: number): void => {
    if ((readers.get(slot) ?? 0) > 0) return;
    constants.delete(slot);
    held -= made.get(slot) ?? 0;
    made.delete(slot);
  };
  return nodes.filter((node) => {
    if (!node.inputs.every((slot) => slot === absent || constants.has(slot))) return true;
    const inputs = node.inputs.map((slot) => constants.get(slot, "float32", "cpu"));
    const call = new Call(node, run, inputs, {});
    const values = attempt(() => execute(call));
    // A run says what is wrong with it, if one needs it at all.
    if (!values) return true;
    for (const [i, slot] of node.outputs.entries()) {
      const value = values[i];
      if (slot === absent || !value) continue;
      constants.set(slot, owned(value, inputs));
      made.set(slot, sizeOf(value.shape));
      held += sizeOf(value.shape);
    }
    if (held > foldedElements) call.fail("makes more constants than any network needs");
    for (const slot of node.inputs) readers.set(slot, (readers.get(slot) ?? 0) - 1);
    for (const slot of [...node.inputs, ...node.outputs]) release(slot);
    return false;
  });
}

function attempt<T>(fn: () => T): T | undefined {
  try {
    return fn();
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/** A handle of its own where the node gave one of its inputs on. */
function owned(value: Value, inputs: readonly (Value | undefined)[]): Value {
  if (value instanceof HostArray) return value;
  return widened(inputs.includes(value) ? ops.alias(value) : value);
}
