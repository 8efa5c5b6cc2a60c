/** Activations. */
import { quoted } from "../../../io/index.ts";
import { ops, type Tensor } from "../../../torch/index.ts";
import { sizeOf } from "../../values.ts";
import type { Call, Result } from "../call.ts";
import { fitting, unary } from "./support.ts";

export function Relu(call: Call): Result {
  const x = call.tensor(0);
  return call.context.mayOverwrite ? ops.relu_(x) : ops.relu(x);
}

export function LeakyRelu(call: Call): Result {
  return ops.leaky_relu(call.tensor(0), call.float("alpha", 0.01));
}

/** The slope is broadcast to the input. */
export function PRelu(call: Call): Result {
  const [x, slope] = fitting(call, [0, 1]) as [Tensor, Tensor];
  return ops.where(ops.ge(x, 0), x, x.mul(slope));
}
PRelu.weights = [1];

export function Elu(call: Call): Result {
  return ops.elu(call.tensor(0), call.float("alpha", 1));
}

export function Selu(call: Call): Result {
  const gamma = call.float("gamma", 1.0507009873554805);
  return ops.elu(call.tensor(0), call.float("alpha", 1.6732632423543772), gamma);
}

/** max(0, x) + min(0, alpha (exp(x / alpha) - 1)). */
export function Celu(call: Call): Result {
  const alpha = call.float("alpha", 1);
  return ops.elu(call.tensor(0), alpha, 1, 1 / alpha);
}

export const Sigmoid = unary((x) => x.sigmoid());

/** max(0, min(1, alpha x + beta)). */
export function HardSigmoid(call: Call): Result {
  const alpha = call.float("alpha", 0.2);
  const beta = call.float("beta", 0.5);
  const x = call.tensor(0);
  if (Math.abs(alpha - 1 / 6) < 1e-6 && beta === 0.5) return ops.hardsigmoid(x);
  return x.mul(alpha).add(beta).clamp(0, 1);
}

export const HardSwish = unary((x) => ops.hardswish(x));

/** x σ(alpha x). */
export function Swish(call: Call): Result {
  const alpha = call.float("alpha", 1);
  const x = call.tensor(0);
  return alpha === 1 ? ops.silu(x) : x.mul(x.mul(alpha).sigmoid());
}

export const Tanh = unary((x) => x.tanh());
export const Softplus = unary((x) => x.softplus());

/** x / (1 + |x|). */
export function Softsign(call: Call): Result {
  const x = call.tensor(0);
  return x.div(x.abs().add(1));
}

export const Mish = unary((x) => ops.mish(x));

export function Gelu(call: Call): Result {
  const approximate = call.string("approximate", "none");
  if (approximate !== "none" && approximate !== "tanh")
    return call.fail(`has the unknown approximation ${quoted(approximate)}`);
  return call.tensor(0).gelu(approximate);
}

/** x where it exceeds alpha, else 0. */
export function ThresholdedRelu(call: Call): Result {
  const x = call.tensor(0);
  return ops.where(ops.gt(x, call.float("alpha", 1)), x, x.mul(0));
}

/** x + bias below -lambd, x - bias above lambd, else 0. */
export function Shrink(call: Call): Result {
  const [lambd, bias] = [call.float("lambd", 0.5), call.float("bias", 0)];
  const x = call.tensor(0);
  const moved = ops.where(ops.gt(x, 0), x.sub(bias), x.add(bias));
  return ops.where(ops.gt(x.abs(), lambd), moved, x.mul(0));
}

/** Bounds are attributes up to operator set 10, then inputs. */
export function Clip(call: Call): Result {
  const bound = (name: string, input: number): number | undefined => {
    return call.opset < 11 ? call.node.attributes.float(name) : call.has(input) ? call.number(input) : undefined;
  };
  const [min, max] = [bound("min", 1), bound("max", 2)];
  const x = call.tensor(0);
  if (min === undefined && max === undefined) return ops.alias(x);
  if (call.context.mayOverwrite && min !== undefined && max !== undefined) return ops.hardtanh_(x, min, max);
  return x.clamp(min ?? null, max ?? null);
}
Clip.fixed = [1, 2];

export function Softmax(call: Call): Result {
  return alongAxis(call, (x, axis) => x.softmax(axis));
}

export function LogSoftmax(call: Call): Result {
  return alongAxis(call, (x, axis) => x.log_softmax(axis));
}

/** Up to operator set 12 everything from the axis on is normalised together. */
function alongAxis(call: Call, fn: (x: Tensor, axis: number) => Tensor): Tensor {
  const x = call.tensor(0);
  if (call.opset >= 13) return fn(x, call.along(call.int("axis", -1)));
  const axis = call.along(call.int("axis", 1));
  if (axis === x.dim() - 1) return fn(x, axis);
  const leading = x.shape.slice(0, axis);
  return fn(x.reshape([...leading, sizeOf(x.shape.slice(axis))]), axis).reshape(x.shape);
}
