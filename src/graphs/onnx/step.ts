/** Nodes as steps of a program: their operators' functions on values. */
import type { BatchNorm2d } from "../../nn/index.ts";
import { Tensor } from "../../torch/index.ts";
import type { Context, Link, Step } from "../step.ts";
import { HostArray, kindOf, maximumHostElements, sizeOf, type Value } from "../values.ts";
import { Call } from "./call.ts";
import type { Constants } from "./constants.ts";
import type { Graph, GraphNode } from "./graph.ts";
import { filteringOf } from "./ops/convolution.ts";
import { operators } from "./ops/index.ts";

/** A node with the constants of its network, and with its layer where it has one. */
export function stepOf(graph: Graph, node: GraphNode, constants: Constants, norm?: BatchNorm2d): Step<number> {
  const { op, label, inputs, outputs } = node;
  const callOn = (values: readonly (Value | undefined)[], context: Context): Call => {
    const { dtype, device } = context;
    const tensorOf = (array: HostArray): Tensor => constants.tensorOf(array, dtype, device);
    return new Call({ node, graph, inputs: values, context, norm, tensorOf });
  };
  return {
    label,
    inputs,
    outputs,
    isOverwritable: operators.get(op)?.isOverwritable ?? false,
    link: linkOf(graph, node, callOn, norm),
    run: (values, context) => {
      const call = callOn(values, context);
      const operator = operators.get(op) ?? call.fail("has an unsupported operator");
      const made = operator(call);
      if (!call.onHost) return made;
      const all = made instanceof Tensor || made instanceof HostArray ? [made] : made;
      return all.map((value) => settled(value, context.device));
    },
  };
}

/** The part of a node in a chain over images in two dimensions. */
function linkOf(
  graph: Graph,
  node: GraphNode,
  callOn: (values: readonly (Value | undefined)[], context: Context) => Call,
  norm: BatchNorm2d | undefined,
): Link | undefined {
  const [, second, third] = node.inputs;
  const constant = (slot: number | undefined) => (slot === undefined ? undefined : graph.constants.get(slot));
  if (node.op === "Relu") return { kind: "activation", activation: "relu" };
  if (node.op === "BatchNormalization") return norm && { kind: "norm", channel: 1, norm };
  if (node.op === "Conv" && constant(second)?.shape.length === 4) {
    return { kind: "convolution", channel: 1, of: (values, context) => filteringOf(callOn(values, context)) };
  }
  if (node.op !== "Clip") return undefined;
  const bound = (name: string, slot: number | undefined): number | undefined => {
    if (graph.opset < 11) return node.attributes.float(name);
    const given = constant(slot);
    return given instanceof HostArray ? given.data[0] : undefined;
  };
  const isSix = bound("min", second) === 0 && bound("max", third) === 6;
  return isSix ? { kind: "activation", activation: "relu6" } : undefined;
}

/** A result of arrays: an array when short, else a tensor where the images are. */
function settled(value: Value, device: string): Value {
  if (value instanceof HostArray) return value;
  if (sizeOf(value.shape) > maximumHostElements) return value.to({ device });
  return new HostArray(kindOf(value), value.shape, value.toNumbers());
}
