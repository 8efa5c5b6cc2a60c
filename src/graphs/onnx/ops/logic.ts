/** Comparisons, truth values, choices. */
import { ops, type Tensor } from "../../../torch/index.ts";
import type { Call, OperatorFunction, Result } from "../call.ts";
import { all, fitting, unary } from "./support.ts";

function comparison(fn: (a: Tensor, b: Tensor) => Tensor): OperatorFunction {
  const run = (call: Call): Tensor => fn(...(fitting(call, [0, 1]) as [Tensor, Tensor]));
  return Object.assign(run, { fixed: all });
}

export const Equal = comparison((a, b) => ops.eq(a, b));
export const Greater = comparison((a, b) => ops.gt(a, b));
export const GreaterOrEqual = comparison((a, b) => ops.ge(a, b));
export const Less = comparison((a, b) => ops.lt(a, b));
export const LessOrEqual = comparison((a, b) => ops.le(a, b));
export const And = comparison((a, b) => ops.logical_and(a, b));
export const Or = comparison((a, b) => ops.logical_or(a, b));
export const Xor = comparison((a, b) => ops.logical_xor(a, b));
export const Not = unary((x) => ops.logical_not(x), { fixed: all });
export const IsNaN = unary((x) => ops.isnan(x), { fixed: all });

export function IsInf(call: Call): Result {
  const x = call.tensor(0);
  const positive = call.flag("detect_positive", true);
  const negative = call.flag("detect_negative", true);
  if (positive && negative) return ops.isinf(x);
  if (!positive && !negative) return ops.ne(x, x).logical_and(ops.eq(x, x));
  return ops.isinf(x).logical_and(positive ? ops.gt(x, 0) : ops.lt(x, 0));
}
IsInf.fixed = all;

export function Where(call: Call): Result {
  const [condition, a, b] = fitting(call, [0, 1, 2]) as [Tensor, Tensor, Tensor];
  return ops.where(condition, a, b);
}
Where.fixed = [0];
