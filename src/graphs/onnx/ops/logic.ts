/** Comparisons, truth values, choices. */
import { ops, type Tensor } from "../../../torch/index.ts";
import type { Call, Result } from "../call.ts";
import { fitting } from "./support.ts";

function compare(call: Call, fn: (a: Tensor, b: Tensor) => Tensor): Tensor {
  const [a, b] = fitting(call, [0, 1]) as [Tensor, Tensor];
  return fn(a, b);
}

export function Equal(call: Call): Result {
  return compare(call, ops.eq);
}

export function Greater(call: Call): Result {
  return compare(call, ops.gt);
}

export function GreaterOrEqual(call: Call): Result {
  return compare(call, ops.ge);
}

export function Less(call: Call): Result {
  return compare(call, ops.lt);
}

export function LessOrEqual(call: Call): Result {
  return compare(call, ops.le);
}

export function And(call: Call): Result {
  return compare(call, ops.logical_and);
}

export function Or(call: Call): Result {
  return compare(call, ops.logical_or);
}

export function Xor(call: Call): Result {
  return compare(call, ops.logical_xor);
}

export function Not(call: Call): Result {
  return ops.logical_not(call.tensor(0));
}

export function IsNaN(call: Call): Result {
  return ops.isnan(call.tensor(0));
}

export function IsInf(call: Call): Result {
  const x = call.tensor(0);
  const positive = call.flag("detect_positive", true);
  const negative = call.flag("detect_negative", true);
  if (positive && negative) return ops.isinf(x);
  if (!positive && !negative) return ops.ne(x, x).logical_and(ops.eq(x, x));
  return ops.isinf(x).logical_and(positive ? ops.gt(x, 0) : ops.lt(x, 0));
}

export function Where(call: Call): Result {
  const [condition, a, b] = fitting(call, [0, 1, 2]) as [Tensor, Tensor, Tensor];
  return ops.where(condition, a, b);
}
