/** Element-wise arithmetic with broadcasting. Numbers that are known beforehand are passed as numbers. */
import { ops, type Tensor } from "../../../torch/index.ts";
import { broadcastShape, HostArray, kindOf } from "../../values.ts";
import type { Call, Result } from "../call.ts";
import { fitting } from "./support.ts";

type Binary = (a: Tensor, b: Tensor | number) => Tensor;

function binary(call: Call, fn: Binary, commutes = false): Tensor {
  const [a, b] = [call.value(0), call.value(1)];
  const left = call.operand(0, b);
  const right = call.operand(1, a);
  // A scalar tensor on the left keeps the dtype of what it meets.
  if (typeof right === "number" && !(a instanceof HostArray)) return fn(call.tensor(0), right);
  if (commutes && typeof left === "number" && !(b instanceof HostArray)) return fn(call.tensor(1), left);
  const [x, y] = fitting(call, [0, 1]) as [Tensor, Tensor];
  return fn(x, y);
}

export function Add(call: Call): Result {
  if (call.context.mayOverwrite && call.shape(0).length > 0) {
    const shape = broadcastShape(call.shape(0), call.shape(1));
    const x = call.tensor(0);
    if (shape?.join() === x.shape.join() && call.tensor(1).dtype === x.dtype) return x.add_(call.tensor(1));
  }
  return binary(call, (a, b) => ops.add(a, b), true);
}

export function Sub(call: Call): Result {
  return binary(call, (a, b) => ops.sub(a, b));
}

export function Mul(call: Call): Result {
  return binary(call, (a, b) => ops.mul(a, b), true);
}

/** Integers are divided towards zero. */
export function Div(call: Call): Result {
  if (kindOf(call.value(0)) === "int") return binary(call, (a, b) => ops.divMode(a, b, { rounding_mode: "trunc" }));
  return binary(call, (a, b) => ops.div(a, b));
}

export function Pow(call: Call): Result {
  return binary(call, (a, b) => (b === 2 ? ops.square(a) : a.pow(b)));
}

export function Mod(call: Call): Result {
  const [a, b] = fitting(call, [0, 1]) as [Tensor, Tensor];
  return call.flag("fmod") ? ops.fmod(a, b) : ops.remainder(a, b);
}

function variadic(call: Call, fn: (a: Tensor, b: Tensor) => Tensor): Tensor {
  const [first, ...rest] = fitting(call, [...call.inputs.keys()]);
  if (!first) return call.fail("has no input");
  return rest.length === 0 ? ops.alias(first) : rest.reduce(fn, first);
}

export function Min(call: Call): Result {
  return variadic(call, ops.minimum);
}

export function Max(call: Call): Result {
  return variadic(call, ops.maximum);
}

export function Sum(call: Call): Result {
  return variadic(call, (a, b) => ops.add(a, b));
}

export function Mean(call: Call): Result {
  return ops.div(
    variadic(call, (a, b) => ops.add(a, b)),
    call.inputs.length,
  );
}

export function Sqrt(call: Call): Result {
  return call.tensor(0).sqrt();
}

export function Exp(call: Call): Result {
  return call.tensor(0).exp();
}

export function Log(call: Call): Result {
  return call.tensor(0).log();
}

export function Abs(call: Call): Result {
  return call.tensor(0).abs();
}

export function Neg(call: Call): Result {
  return call.tensor(0).neg();
}

export function Reciprocal(call: Call): Result {
  return ops.reciprocal(call.tensor(0));
}

export function Floor(call: Call): Result {
  return ops.floor(call.tensor(0));
}

export function Ceil(call: Call): Result {
  return ops.ceil(call.tensor(0));
}

/** Halves go to the even number, as in libtorch. */
export function Round(call: Call): Result {
  return ops.round(call.tensor(0));
}

export function Sign(call: Call): Result {
  return ops.sign(call.tensor(0));
}

export function Sin(call: Call): Result {
  return ops.sin(call.tensor(0));
}

export function Cos(call: Call): Result {
  return ops.cos(call.tensor(0));
}

export function Tan(call: Call): Result {
  return ops.tan(call.tensor(0));
}

export function Asin(call: Call): Result {
  return ops.asin(call.tensor(0));
}

export function Acos(call: Call): Result {
  return ops.acos(call.tensor(0));
}

export function Atan(call: Call): Result {
  return ops.atan(call.tensor(0));
}

export function Sinh(call: Call): Result {
  return ops.sinh(call.tensor(0));
}

export function Cosh(call: Call): Result {
  return ops.cosh(call.tensor(0));
}

export function Asinh(call: Call): Result {
  return ops.asinh(call.tensor(0));
}

export function Acosh(call: Call): Result {
  return ops.acosh(call.tensor(0));
}

export function Atanh(call: Call): Result {
  return ops.atanh(call.tensor(0));
}

export function Erf(call: Call): Result {
  return ops.erf(call.tensor(0));
}

export function CumSum(call: Call): Result {
  const axis = call.along(call.number(1));
  const x = call.tensor(0);
  const ordered = call.flag("reverse") ? ops.flip(x, [axis]) : x;
  // Summing what comes before alone is the sum less the element itself.
  const total = ops.cumsum(ordered, axis);
  const sums = call.flag("exclusive") ? total.sub(ordered) : total;
  return call.flag("reverse") ? ops.flip(sums, [axis]) : sums;
}
