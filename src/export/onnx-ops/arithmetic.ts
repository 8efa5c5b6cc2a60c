/** Arithmetic, element by element, in the type of the result. */
import type { Call, Written } from "../call.ts";
import { binary, unary } from "./support.ts";

export const mul = binary("Mul");
export const pow = binary("Pow");
export const maximum = binary("Max");
export const minimum = binary("Min");
export const neg = unary("Neg");
export const abs = unary("Abs");
export const exp = unary("Exp");
export const log = unary("Log");
export const sqrt = unary("Sqrt");
export const reciprocal = unary("Reciprocal");
export const floor = unary("Floor");
export const ceil = unary("Ceil");
export const round = unary("Round");
export const sign = unary("Sign");
export const erf = unary("Erf");
export const sin = unary("Sin");
export const cos = unary("Cos");
export const tan = unary("Tan");
export const asin = unary("Asin");
export const acos = unary("Acos");
export const atan = unary("Atan");
export const sinh = unary("Sinh");
export const cosh = unary("Cosh");
export const asinh = unary("Asinh");
export const acosh = unary("Acosh");
export const atanh = unary("Atanh");

/** The second operand times `alpha`, where that is given. */
function scaled(call: Call): string {
  const alpha = call.number(2, 1);
  return alpha === 1 ? call.operand(1) : call.node("Mul", [call.operand(1), call.scalar(alpha)]);
}

export function add(call: Call): Written {
  return call.node("Add", [call.operand(0), scaled(call)]);
}

export function sub(call: Call): Written {
  return call.node("Sub", [call.operand(0), scaled(call)]);
}

/** With a rounding mode as the operator of that overload has it. */
export function div(call: Call): Written {
  const quotient = call.node("Div", [call.operand(0), call.operand(1)]);
  if (!call.has(2)) return quotient;
  const isFloating = call.result.dtype.startsWith("float");
  if (call.text(2) !== "floor" || !isFloating) return call.fail(`rounds by "${call.text(2)}" in ${call.result.dtype}`);
  return call.node("Floor", [quotient]);
}

export function square(call: Call): Written {
  return call.node("Mul", [call.operand(0), call.operand(0)]);
}

export function rsqrt(call: Call): Written {
  return call.node("Reciprocal", [call.node("Sqrt", [call.operand(0)])]);
}

export function log1p(call: Call): Written {
  return call.node("Log", [call.node("Add", [call.operand(0), call.scalar(1)])]);
}

export function expm1(call: Call): Written {
  return call.node("Sub", [call.node("Exp", [call.operand(0)]), call.scalar(1)]);
}

/** The rest with the sign of the dividend. */
export function fmod(call: Call): Written {
  return call.node("Mod", [call.operand(0), call.operand(1)], { fmod: 1 });
}

/** The rest with the sign of the divisor. */
export function remainder(call: Call): Written {
  const [a, b] = [call.operand(0), call.operand(1)];
  if (!call.result.dtype.startsWith("float")) return call.node("Mod", [a, b]);
  const whole = call.node("Floor", [call.node("Div", [a, b])]);
  return call.node("Sub", [a, call.node("Mul", [whole, b])]);
}
