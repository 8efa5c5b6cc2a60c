/** Element-wise arithmetic with broadcasting. Numbers that are known beforehand are passed as numbers. */
import { ops, type Tensor } from "../../../torch/index.ts";
import { broadcastShape, HostArray, kindOf } from "../../values.ts";
import type { Call, OperatorFunction, Result, Traits } from "../call.ts";
import { all, fitting, unary } from "./support.ts";

type Binary = (a: Tensor, b: Tensor | number) => Tensor;

function combined(call: Call, fn: Binary, commutes = false): Tensor {
  const [a, b] = [call.value(0), call.value(1)];
  const left = call.operand(0, b);
  const right = call.operand(1, a);
  // A scalar tensor on the left keeps the dtype of what it meets.
  if (typeof right === "number" && !(a instanceof HostArray)) return fn(call.tensor(0), right);
  if (commutes && typeof left === "number" && !(b instanceof HostArray)) return fn(call.tensor(1), left);
  const [x, y] = fitting(call, [0, 1]) as [Tensor, Tensor];
  return fn(x, y);
}

function binary(fn: Binary, commutes = false, traits: Traits = {}): OperatorFunction {
  return Object.assign((call: Call) => combined(call, fn, commutes), traits);
}

export function Add(call: Call): Result {
  if (call.context.mayOverwrite && call.shape(0).length > 0) {
    const shape = broadcastShape(call.shape(0), call.shape(1));
    const x = call.tensor(0);
    if (shape?.join() === x.shape.join() && call.tensor(1).dtype === x.dtype) return x.add_(call.tensor(1));
  }
  return combined(call, (a, b) => ops.add(a, b), true);
}
Add.isOverwritable = true;

export const Sub = binary((a, b) => ops.sub(a, b));
export const Mul = binary((a, b) => ops.mul(a, b), true);

/** Integers are divided towards zero. */
export function Div(call: Call): Result {
  if (kindOf(call.value(0)) === "int") return combined(call, (a, b) => ops.divMode(a, b, { rounding_mode: "trunc" }));
  return combined(call, (a, b) => ops.div(a, b));
}

export const Pow = binary((a, b) => (b === 2 ? ops.square(a) : a.pow(b)), false, { fixed: [1] });

export function Mod(call: Call): Result {
  const [a, b] = fitting(call, [0, 1]) as [Tensor, Tensor];
  return call.flag("fmod") ? ops.fmod(a, b) : ops.remainder(a, b);
}
Mod.fixed = all;

function variadic(fn: (a: Tensor, b: Tensor) => Tensor): (call: Call) => Tensor {
  return (call) => {
    const [first, ...rest] = fitting(call, [...call.inputs.keys()]);
    if (!first) return call.fail("has no input");
    return rest.length === 0 ? ops.alias(first) : rest.reduce((a, b) => fn(a, b), first);
  };
}

export const Min = variadic((a, b) => ops.minimum(a, b));
export const Max = variadic((a, b) => ops.maximum(a, b));
export const Sum = variadic((a, b) => ops.add(a, b));

export function Mean(call: Call): Result {
  return ops.div(Sum(call), call.inputs.length);
}

export const Sqrt = unary((x) => x.sqrt());
export const Exp = unary((x) => x.exp());
export const Log = unary((x) => x.log());
export const Abs = unary((x) => x.abs());
export const Neg = unary((x) => x.neg());
export const Reciprocal = unary((x) => ops.reciprocal(x));
export const Floor = unary((x) => ops.floor(x), { fixed: all });
export const Ceil = unary((x) => ops.ceil(x), { fixed: all });

/** Halves go to the even number, as in libtorch. */
export const Round = unary((x) => ops.round(x), { fixed: all });
export const Sign = unary((x) => ops.sign(x), { fixed: all });
export const Sin = unary((x) => ops.sin(x));
export const Cos = unary((x) => ops.cos(x));
export const Tan = unary((x) => ops.tan(x));
export const Asin = unary((x) => ops.asin(x));
export const Acos = unary((x) => ops.acos(x));
export const Atan = unary((x) => ops.atan(x));
export const Sinh = unary((x) => ops.sinh(x));
export const Cosh = unary((x) => ops.cosh(x));
export const Asinh = unary((x) => ops.asinh(x));
export const Acosh = unary((x) => ops.acosh(x));
export const Atanh = unary((x) => ops.atanh(x));
export const Erf = unary((x) => ops.erf(x));

export function CumSum(call: Call): Result {
  const axis = call.along(call.number(1));
  const x = call.tensor(0);
  const ordered = call.flag("reverse") ? ops.flip(x, [axis]) : x;
  // Summing what comes before alone is the sum less the element itself.
  const total = ops.cumsum(ordered, axis);
  const sums = call.flag("exclusive") ? total.sub(ordered) : total;
  return call.flag("reverse") ? ops.flip(sums, [axis]) : sums;
}
CumSum.fixed = [1];
