/** Reductions along dimensions. */

import type { Call, Writer, Written } from "../call.ts";
import type { Name } from "../graph-builder.ts";
import { Rows } from "../trace.ts";

/** An operator with dimensions and whether they stay, in this order from argument 1 on. */
function reduced(op: string): Writer {
  return (call: Call): Written => reduce(call, op, call.operand(0), call.dimensions(1), call.flag(2));
}

function reduce(call: Call, op: string, x: Name, axes: readonly number[], keeps: boolean): Name {
  return call.node(op, [x], { axes, keepdims: Number(keeps) });
}

export const mean = reduced("ReduceMean");
export const amax = reduced("ReduceMax");
export const amin = reduced("ReduceMin");
export const logsumexp = reduced("ReduceLogSumExp");

export function sum(call: Call): Written {
  // Alone among reductions it takes its axes as an input already.
  const axes = call.graph.ints(call.dimensions(1));
  return call.node("ReduceSum", [call.operand(0), axes], { keepdims: Number(call.flag(2)) });
}

export function prod(call: Call): Written {
  return reduce(call, "ReduceProd", call.operand(0), [call.dimension(1)], call.flag(2));
}

/** Of all elements; the overload along a dimension gives where they are, too. */
function extreme(op: string): Writer {
  return (call: Call): Written => {
    if (call.has(1)) return call.fail("gives positions besides the extremes");
    return reduce(call, op, call.operand(0), call.dimensions(1), false);
  };
}

export const max = extreme("ReduceMax");
export const min = extreme("ReduceMin");

function position(op: string): Writer {
  return (call: Call): Written => {
    if (!call.has(1)) return call.fail("counts positions over all images");
    return call.node(op, [call.input(0)], { axis: call.dimension(1), keepdims: Number(call.flag(2)) });
  };
}

export const argmax = position("ArgMax");
export const argmin = position("ArgMin");

/** Mean square of the distance from the mean, over n - correction. */
function variance(call: Call): Written {
  const dims = call.dimensions(1);
  const keeps = call.flag(3);
  const count = dims.reduce((product, dim) => product * call.side(0, dim), 1);
  const x = call.operand(0);
  const distance = call.node("Sub", [x, reduce(call, "ReduceMean", x, dims, true)]);
  const mean = reduce(call, "ReduceMean", call.node("Mul", [distance, distance]), dims, keeps);
  return call.node("Mul", [mean, call.scalar(count / (count - call.number(2, 1)))]);
}

export { variance as var };

export function linalg_vector_norm(call: Call): Written {
  const order = call.number(1, 2);
  const op = new Map([
    [1, "ReduceL1"],
    [2, "ReduceL2"],
  ]).get(order);
  if (op !== undefined) return reduce(call, op, call.operand(0), call.dimensions(2), call.flag(3));
  if (!(order > 0) || order === Number.POSITIVE_INFINITY) return call.fail(`has the order ${order}`);
  const powers = call.node("Pow", [call.node("Abs", [call.operand(0)]), call.scalar(order)]);
  const axes = call.graph.ints(call.dimensions(2));
  const total = call.node("ReduceSum", [powers, axes], { keepdims: Number(call.flag(3)) });
  return call.node("Pow", [total, call.scalar(1 / order)]);
}

/** Largest or smallest elements, and where they are. */
export function topk(call: Call): Written {
  const attributes = {
    axis: call.dimension(2, undefined, -1),
    largest: Number(call.flag(3, true)),
    sorted: Number(call.flag(4, true)),
  };
  return call.graph.nodes("TopK", [call.input(0), call.graph.ints([call.number(1)])], attributes, 2);
}

export function cumsum(call: Call): Written {
  return call.node("CumSum", [call.operand(0), call.graph.index(call.dimension(1))]);
}

/** True where any, or all, of the elements are. */
function truth(op: string): Writer {
  return (call: Call): Written => {
    if (call.result.shape.some((size) => size instanceof Rows)) return call.fail("reduces along single dimensions");
    const numbers = call.graph.cast(call.operand(0, "bool"), "int32");
    return call.graph.cast(reduce(call, op, numbers, call.dimensions(1), false), "bool");
  };
}

export const any = truth("ReduceMax");
export const all = truth("ReduceMin");
