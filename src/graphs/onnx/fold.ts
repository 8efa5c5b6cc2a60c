/** Constant folding: values that are the same in every run, computed once. */
import { ops, type Tensor, type UserError } from "../../torch/index.ts";
import { OverBudget } from "../budget.ts";
import { present } from "../features.ts";
import { needed, Program } from "../program.ts";
import { HostArray, isFloating, type Value } from "../values.ts";
import type { Constants } from "./constants.ts";
import type { Constant, Graph, GraphNode } from "./graph.ts";
import { stepOf } from "./step.ts";
import { constantOf } from "./tensors.ts";

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
 * Computes what depends on constants only, releases the constants that nothing else needs, and gives the nodes that are
 * left. Those that cannot be computed stay: a run says what is wrong with them, if one needs them at all.
 * @throws UserError when the constants take more than a run may
 */
export function fold(
  graph: Graph,
  nodes: readonly GraphNode[],
  constants: Constants,
  wanted: readonly number[],
): GraphNode[] {
  const made = new Set<number>();
  const isFixed = (node: GraphNode): boolean => {
    const fixed = present(node.inputs).every((slot) => constants.has(slot) || made.has(slot));
    if (fixed) for (const slot of present(node.outputs)) made.add(slot);
    return fixed;
  };
  const fixed = new Set(nodes.filter(isFixed));
  const others = nodes.filter((node) => !fixed.has(node));
  const read = new Set([...wanted, ...others.flatMap(({ inputs }) => present(inputs))]);
  const results = [...made].filter((slot) => read.has(slot));
  const steps = Array.from(fixed, (node) => stepOf(graph, node, constants));
  const plan = {
    file: graph.path,
    steps,
    input: graph.input.slot,
    constant: (slot: number) => constants.get(slot, "float32", "cpu"),
  };
  const onFailure = (_: unknown, error: UserError): void => {
    // A run would only fill the memory again before it fails.
    if (error instanceof OverBudget) throw error;
  };
  const values = new Program(plan, results).run(undefined, { onFailure });
  for (const [i, slot] of results.entries()) {
    const value = values[i];
    if (value) constants.set(slot, owned(value));
  }
  const missing = results.filter((_, i) => values[i] === undefined);
  const kept = new Set(needed([...fixed], missing));
  const left = nodes.filter((node) => !fixed.has(node) || kept.has(node));
  constants.keepOnly(new Set([...wanted, ...left.flatMap(({ inputs }) => present(inputs))]));
  return left;
}

/** A handle of its own where a constant was given on. */
function owned(value: Value): Value {
  if (value instanceof HostArray) return value;
  return widened(value.kept ? ops.alias(value) : value);
}
