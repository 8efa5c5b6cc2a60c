/** Activations, element by element or along one dimension. Those that came late to ONNX are written by older operators. */
import type { Call, Written } from "../call.ts";
import { unary } from "./support.ts";

export const relu = unary("Relu");
export const sigmoid = unary("Sigmoid");
export const tanh = unary("Tanh");
export const selu = unary("Selu");

export function clamp(call: Call): Written {
  const [low, high] = [1, 2].map((i) => (call.has(i) ? call.operand(i) : ""));
  return call.node("Clip", [call.operand(0), low ?? "", high ?? ""]);
}

export function hardtanh(call: Call): Written {
  const [low, high] = [call.number(1, -1), call.number(2, 1)];
  return call.node("Clip", [call.operand(0), call.scalar(low), call.scalar(high)]);
}

export function leaky_relu(call: Call): Written {
  return call.node("LeakyRelu", [call.operand(0)], { alpha: { float: call.number(1, 0.01) } });
}

/** With scales of both sides they are other functions, which nothing here calls. */
export function elu(call: Call): Written {
  if (call.number(2, 1) !== 1 || call.number(3, 1) !== 1) return call.fail("has scales of its own");
  return call.node("Elu", [call.operand(0)], { alpha: { float: call.number(1, 1) } });
}

export function hardsigmoid(call: Call): Written {
  return call.node("HardSigmoid", [call.operand(0)], { alpha: { float: 1 / 6 }, beta: { float: 0.5 } });
}

export function hardswish(call: Call): Written {
  return call.node("Mul", [call.operand(0), hardsigmoid(call) as string]);
}

export function silu(call: Call): Written {
  const x = call.operand(0);
  return call.node("Mul", [x, call.node("Sigmoid", [x])]);
}

export function mish(call: Call): Written {
  const x = call.operand(0);
  return call.node("Mul", [x, call.node("Tanh", [call.node("Softplus", [x])])]);
}

/** log(1 + exp(beta x)) / beta; above the threshold it is x to the precision of the type. */
export function softplus(call: Call): Written {
  const beta = call.number(1, 1);
  if (beta === 1) return call.node("Softplus", [call.operand(0)]);
  const scaled = call.node("Mul", [call.operand(0), call.scalar(beta)]);
  return call.node("Div", [call.node("Softplus", [scaled]), call.scalar(beta)]);
}

/** x / 2 (1 + erf(x / √2)), or with the tanh that approximates it. */
export function gelu(call: Call): Written {
  const x = call.operand(0);
  const half = (inner: string): string => {
    return call.node("Mul", [call.node("Mul", [x, call.node("Add", [inner, call.scalar(1)])]), call.scalar(0.5)]);
  };
  if (call.text(1, "none") === "none") {
    return half(call.node("Erf", [call.node("Div", [x, call.scalar(Math.SQRT2)])]));
  }
  const cube = call.node("Mul", [call.node("Mul", [call.node("Mul", [x, x]), x]), call.scalar(0.044715)]);
  const inner = call.node("Mul", [call.node("Add", [x, cube]), call.scalar(Math.sqrt(2 / Math.PI))]);
  return half(call.node("Tanh", [inner]));
}

export function softmax(call: Call): Written {
  return call.node("Softmax", [call.operand(0)], { axis: call.dimension(1) });
}

export function log_softmax(call: Call): Written {
  return call.node("LogSoftmax", [call.operand(0)], { axis: call.dimension(1) });
}
