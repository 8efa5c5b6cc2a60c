/** Comparisons and choices. */
import type { Call, Writer, Written } from "../call.ts";

function compared(op: string): Writer {
  return (call: Call): Written => {
    const dtype = call.common([0, 1]);
    return call.node(op, [call.operand(0, dtype), call.operand(1, dtype)]);
  };
}

function logical(op: string): Writer {
  return (call: Call): Written => call.node(op, [call.operand(0, "bool"), call.operand(1, "bool")]);
}

export const eq = compared("Equal");
export const lt = compared("Less");
export const le = compared("LessOrEqual");
export const gt = compared("Greater");
export const ge = compared("GreaterOrEqual");
export const logical_and = logical("And");
export const logical_or = logical("Or");
export const logical_xor = logical("Xor");

export function ne(call: Call): Written {
  return call.node("Not", [eq(call) as string]);
}

export function logical_not(call: Call): Written {
  return call.node("Not", [call.operand(0, "bool")]);
}

export function isnan(call: Call): Written {
  return call.node("IsNaN", [call.input(0)]);
}

export function isinf(call: Call): Written {
  return call.node("IsInf", [call.input(0)]);
}

export function where(call: Call): Written {
  return call.node("Where", [call.operand(0, "bool"), call.operand(1), call.operand(2)]);
}

export function masked_fill(call: Call): Written {
  return call.node("Where", [call.operand(1, "bool"), call.operand(2), call.operand(0)]);
}
