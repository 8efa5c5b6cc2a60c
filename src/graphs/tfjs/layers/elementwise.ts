/** Layers of Keras that work number by number: activations, normalisation, sums and products. */
import { quoted } from "../../../io/index.ts";
import { ops, type Tensor, UserError } from "../../../torch/index.ts";
import { isRectifier } from "../../chains.ts";
import type { Context, Link } from "../../step.ts";
import { broadcast } from "../../values.ts";
import { prelu } from "../activations.ts";
import { isInt } from "../json.ts";
import { normalised } from "../parameters.ts";
import { activationNameOf, activationOf, type Builder, type Call, unary } from "./layer.ts";

export const activation: Builder = ({ config }) => unary(activationOf(config), endOf(activationNameOf(config)));

const endOf = (activation: string): Link | undefined =>
  isRectifier(activation) ? { kind: "activation", activation } : undefined;

/** Dropout and noise rest: what is dropped in training is the method's choice, not the file's. */
export const identity: Builder = () => unary((x) => x);

export const relu: Builder = ({ config }) => {
  const slope = config.has("negative_slope") ? Number(config.raw("negative_slope")) : 0;
  const threshold = config.has("threshold") ? Number(config.raw("threshold")) : 0;
  if (slope !== 0 || threshold !== 0) config.fail("a ReLU with a slope or a threshold is not supported");
  if (!config.has("max_value")) return unary((x) => ops.relu(x), endOf("relu"));
  const max = config.number("max_value");
  if (max < 0) config.fail(`"max_value" ${max} is negative`);
  return unary((x) => ops.hardtanh(x, 0, max), max === 6 ? endOf("relu6") : undefined);
};

export const leakyRelu: Builder = ({ config }) => {
  const slope = config.number("alpha", config.number("negative_slope", 0.3));
  return unary((x) => ops.leaky_relu(x, slope));
};

export const elu: Builder = ({ config }) => {
  const alpha = config.number("alpha", 1);
  return unary((x) => ops.elu(x, alpha));
};

export const thresholdedRelu: Builder = ({ config }) => {
  const theta = config.number("theta", 1);
  return unary((x) => x.mul(x.gt(theta).to({ dtype: x.dtype })));
};

export const softmax: Builder = ({ config }) => {
  const axis = config.int("axis", { min: -16, max: 16 }, -1);
  return unary((x) => ops.softmax(x, axis));
};

export const preluLayer: Builder = (layer) => {
  const raw = layer.config.raw("shared_axes") ?? [];
  const shared = (Array.isArray(raw) ? (raw as unknown[]) : [raw]).filter((axis) => isInt(axis, { min: 1, max: 16 }));
  // The rank is not known here; the weight's own is checked when it meets its input.
  const alpha = layer.weight("alpha", undefined);
  for (const axis of shared) {
    if (alpha.shape[axis - 1] !== 1) layer.config.fail(`alpha is ${alpha}, but dimension ${axis} is shared`);
  }
  return unary((x, context) => {
    context.allow(broadcast([x.shape, alpha.shape]));
    return prelu(x, alpha);
  });
};

export const rescaling: Builder = ({ config }) => {
  const scale = config.number("scale");
  const offset = config.number("offset", 0);
  return unary((x) => x.mul(scale).add(offset));
};

export const batchNormalization: Builder = (layer) => {
  const { config } = layer;
  const raw = config.raw("axis");
  const axis: unknown = Array.isArray(raw) && raw.length === 1 ? raw[0] : (raw ?? -1);
  if (!isInt(axis, { min: -16, max: 16 })) config.fail(`"axis" must be one dimension, is ${quoted(raw)}`);
  const epsilon = config.number("epsilon", 1e-3);
  if (!(epsilon >= 0)) config.fail(`"epsilon" ${epsilon} is negative`);
  const momentum = 1 - config.number("momentum", 0.99);
  const norm = layer.norm({
    epsilon,
    momentum,
    center: config.boolean("center", true),
    scale: config.boolean("scale", true),
  });
  // Images have four dimensions.
  const channel = axis === -1 || axis === 3 ? 3 : axis === 1 || axis === -3 ? 1 : undefined;
  return unary((x) => normalised(norm, x, Number(axis)), channel && { kind: "norm", channel, norm });
};

export const layerNormalization: Builder = (layer) => {
  const { config } = layer;
  const raw = config.raw("axis") ?? -1;
  const axes = (Array.isArray(raw) ? (raw as unknown[]) : [raw]).filter((axis) => isInt(axis, { min: -16, max: 16 }));
  if (axes.length === 0) config.fail(`"axis" must be dimensions, is ${quoted(raw)}`);
  const epsilon = config.number("epsilon", 1e-3);
  const any = axes.map(() => undefined);
  const gamma = config.boolean("scale", true) ? layer.weight("gamma", any) : undefined;
  const beta = config.boolean("center", true) ? layer.weight("beta", any) : undefined;
  return unary((x) => {
    const dims = axes.map((axis) => (axis < 0 ? axis + x.dim() : axis)).toSorted((a, b) => a - b);
    if (dims.some((dim, i) => dim !== x.dim() - dims.length + i)) {
      throw new UserError(
        `it normalises dimensions ${dims.join(", ")} of ${x.dim()}: only the last ones are supported`,
      );
    }
    return ops.layer_norm(x, x.shape.slice(-dims.length), gamma, beta, epsilon);
  });
};

/** Inputs of fewer dimensions get new ones behind the first, as in Keras. */
function merged(inputs: readonly Tensor[], context: Context, fn: (a: Tensor, b: Tensor) => Tensor): Tensor {
  const rank = Math.max(...inputs.map((x) => x.dim()));
  const alike = inputs.map((x) => {
    if (x.dim() === rank) return x;
    return x.reshape([x.size(0), ...new Array<number>(rank - x.dim()).fill(1), ...x.shape.slice(1)]);
  });
  context.allow(broadcast(alike.map((x) => x.shape)));
  return alike.reduce((a, b) => fn(a, b));
}

function merge(fn: (a: Tensor, b: Tensor) => Tensor): Builder {
  return ({ config }): Call => {
    return (inputs, context) => {
      if (inputs.length < 2) config.fail(`it merges ${inputs.length} inputs, but needs two at least`);
      return merged(inputs, context, fn);
    };
  };
}

export const add = merge((a, b) => a.add(b));
export const subtract = merge((a, b) => a.sub(b));
export const multiply = merge((a, b) => a.mul(b));
export const maximum = merge((a, b) => ops.maximum(a, b));
export const minimum = merge((a, b) => ops.minimum(a, b));
export const average: Builder = (layer) => {
  const sum = add(layer);
  return (inputs, context) => sum(inputs, context).div(inputs.length);
};
