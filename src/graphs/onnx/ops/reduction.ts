/** Reductions along dimensions. */
import { ops, type Tensor } from "../../../torch/index.ts";
import type { Call, OperatorFunction, Result } from "../call.ts";
import { all, upTo } from "./support.ts";

/** Axes are an attribute first, and an input from operator set 13 (ReduceSum) or 18 (the others) on. */
function reduction(fn: (x: Tensor, dims: number[], keepdim: boolean) => Tensor): OperatorFunction {
  return Object.assign((call: Call) => reduced(call, fn), { fixed: [1] });
}

function reduced(call: Call, fn: (x: Tensor, dims: number[], keepdim: boolean) => Tensor): Tensor {
  const axes = call.intsOf("axes", 1);
  const x = call.tensor(0);
  if ((!axes || axes.length === 0) && call.flag("noop_with_empty_axes")) return ops.alias(x);
  const dims = axes && axes.length > 0 ? axes.map((axis) => call.along(axis)) : upTo(x.dim()).map((i) => call.along(i));
  if (new Set(dims).size !== dims.length) call.fail(`reduces a dimension twice (${dims.join(", ")})`);
  if (dims.length === 0) return ops.alias(x);
  return fn(x, dims, call.flag("keepdims", true));
}

export const ReduceMean = reduction((x, dims, keepdim) => x.mean(dims, keepdim));
export const ReduceSum = reduction((x, dims, keepdim) => x.sum(dims, keepdim));
export const ReduceMax = reduction((x, dims, keepdim) => x.amax(dims, keepdim));
export const ReduceMin = reduction((x, dims, keepdim) => x.amin(dims, keepdim));

export const ReduceProd = reduction((x, dims, keepdim) => {
  const ordered = [...dims].sort((a, b) => b - a);
  return ordered.reduce((product, dim) => ops.prod(product, dim, keepdim), x);
});

export const ReduceL1 = reduction((x, dims, keepdim) => x.abs().sum(dims, keepdim));
export const ReduceL2 = reduction((x, dims, keepdim) => x.norm(2, dims, keepdim));
export const ReduceSumSquare = reduction((x, dims, keepdim) => x.square().sum(dims, keepdim));
export const ReduceLogSumExp = reduction((x, dims, keepdim) => x.logsumexp(dims, keepdim));
export const ReduceLogSum = reduction((x, dims, keepdim) => x.sum(dims, keepdim).log());

export function ArgMax(call: Call): Result {
  return extreme(call, (x, axis, keepdim) => ops.argmax(x, axis, keepdim));
}
ArgMax.fixed = all;

export function ArgMin(call: Call): Result {
  return extreme(call, (x, axis, keepdim) => ops.argmin(x, axis, keepdim));
}
ArgMin.fixed = all;

function extreme(call: Call, fn: (x: Tensor, axis: number, keepdim: boolean) => Tensor): Tensor {
  if (call.flag("select_last_index")) call.fail("asks for the last of several equal elements, which is not supported");
  return fn(call.tensor(0), call.along(call.int("axis", 0)), call.flag("keepdims", true));
}

/** The k largest or smallest elements and where they are. */
export function TopK(call: Call): Result {
  const axis = call.along(call.int("axis", -1));
  const k = call.opset >= 10 ? call.number(1) : call.int("k", -1);
  return ops.topk(call.tensor(0), k, axis, call.flag("largest", true), call.flag("sorted", true));
}
TopK.fixed = [1];
