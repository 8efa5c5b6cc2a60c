/** Helpers of several operators. */
import type { Call, Writer, Written } from "../call.ts";
import type { Name } from "../graph-builder.ts";

/** An operator of one tensor that ONNX has under another name. */
export function unary(op: string): Writer {
  return (call: Call): Written => call.node(op, [call.operand(0)]);
}

/** An operator of two tensors or numbers in the type of the result. */
export function binary(op: string): Writer {
  return (call: Call): Written => call.node(op, [call.operand(0), call.operand(1)]);
}

/** Parts of a dimension from `start` to before `end`. */
export function sliced(call: Call, x: Name, dim: number, start: number, end: number, step = 1): Name {
  const { graph } = call;
  return call.node("Slice", [x, graph.ints([start]), graph.ints([end]), graph.ints([dim]), graph.ints([step])]);
}

/** 0, 1, ..., n - 1. */
export function upTo(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}

/** Greater than every index: the end of a dimension of any size. */
export const toTheEnd = Number.MAX_SAFE_INTEGER;
