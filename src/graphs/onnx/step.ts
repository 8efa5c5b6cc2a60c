/** Nodes as steps of a program: their operators' functions on values. */
import type { BatchNorm2d } from "../../nn/index.ts";
import { Tensor } from "../../torch/index.ts";
import type { Step } from "../program.ts";
import { HostArray, kindOf, maximumHostElements, sizeOf, type Value } from "../values.ts";
import { Call } from "./call.ts";
import type { Constants } from "./constants.ts";
import type { Graph, GraphNode } from "./graph.ts";
import { operators } from "./ops/index.ts";

/** A node with the constants of its network, and with its layer where it has one. */
export function stepOf(graph: Graph, node: GraphNode, constants: Constants, norm?: BatchNorm2d): Step<number> {
  const { op, label, inputs, outputs } = node;
  return {
    label,
    inputs,
    outputs,
    isOverwritable: operators.get(op)?.isOverwritable ?? false,
    run: (values, context) => {
      const { dtype, device } = context;
      const tensorOf = (array: HostArray): Tensor => constants.tensorOf(array, dtype, device);
      const call = new Call({ node, graph, inputs: values, context, norm, tensorOf });
      const operator = operators.get(op) ?? call.fail("has an unsupported operator");
      const made = operator(call);
      if (!call.onHost) return made;
      const all = made instanceof Tensor || made instanceof HostArray ? [made] : made;
      return all.map((value) => settled(value, device));
    },
  };
}

/** A result of arrays: an array when short, else a tensor where the images are. */
function settled(value: Value, device: string): Value {
  if (value instanceof HostArray) return value;
  if (sizeOf(value.shape) > maximumHostElements) return value.to({ device });
  return new HostArray(kindOf(value), value.shape, value.toNumbers());
}
