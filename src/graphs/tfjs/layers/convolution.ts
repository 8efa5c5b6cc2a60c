/** Convolution, dense and pooling layers of Keras. */
import { ops, type Tensor, UserError } from "../../../torch/index.ts";
import type { Convolution } from "../../step.ts";
import type { Fields } from "../json.ts";
import {
  type ConvolutionOptions,
  convolution,
  convolutionLink,
  convolvedOf,
  type Pair,
  type PoolOptions,
  pool,
  transposedConvolution,
} from "../spatial.ts";
import { tensorsOf } from "../step.ts";
import { activationNameOf, activationOf, type Builder, type Call, type Layer, layoutOf, only, unary } from "./layer.ts";

const positive = { min: 1, max: 2 ** 16 };

interface Window {
  kernel: Pair;
  strides: Pair;
  dilations: Pair;
  padding: "same" | "valid";
}

function windowOf(config: Fields): Window {
  return {
    kernel: config.pair("kernel_size", positive),
    strides: config.pair("strides", positive, [1, 1]),
    dilations: config.pair("dilation_rate", positive, [1, 1]),
    padding: config.choice("padding", ["valid", "same"], "valid"),
  };
}

function biasOf(layer: Layer, size: number | undefined): Tensor | undefined {
  return layer.config.boolean("use_bias", true) ? layer.weight("bias", [size]) : undefined;
}

/** TensorFlow.js forgets to save it: the kernel knows then. */
function multiplierOf(config: Fields): number | undefined {
  return config.has("depth_multiplier") ? config.int("depth_multiplier", positive) : undefined;
}

export const conv2d: Builder = (layer) => {
  const { config } = layer;
  const filters = config.int("filters", positive);
  const { kernel, ...window } = windowOf(config);
  const options = { layout: layoutOf(config), ...window };
  const weight = layer.weight("kernel", [...kernel, undefined, filters], "kernel");
  return convolutional(layer, weight, biasOf(layer, filters), options);
};

function convolutional({ config }: Layer, weight: Tensor, bias: Tensor | undefined, options: ConvolutionOptions): Call {
  const activation = activationOf(config);
  const of: Convolution["of"] = (inputs, context) => {
    return convolvedOf(only(tensorsOf(inputs)), weight, bias, options, context);
  };
  const link = convolutionLink(activationNameOf(config), options.layout, of);
  return unary((x, context) => activation(convolution(x, weight, bias, options, context)), link);
}

export const depthwiseConv2d: Builder = (layer) => {
  const { config } = layer;
  const multiplier = multiplierOf(config);
  const { kernel, ...window } = windowOf(config);
  const options = { layout: layoutOf(config), depthwise: true, ...window };
  const weight = layer.weight("depthwise_kernel", [...kernel, undefined, multiplier], "depthwise");
  return convolutional(layer, weight, biasOf(layer, weight.size(0)), options);
};

export const separableConv2d: Builder = (layer) => {
  const { config } = layer;
  const filters = config.int("filters", positive);
  const multiplier = multiplierOf(config);
  const { kernel, ...window } = windowOf(config);
  const layout = layoutOf(config);
  const depthwise = layer.weight("depthwise_kernel", [...kernel, undefined, multiplier], "depthwise");
  const pointwise = layer.weight("pointwise_kernel", [1, 1, depthwise.size(0), filters], "kernel");
  const bias = biasOf(layer, filters);
  const activation = activationOf(config);
  const first = { layout, depthwise: true, ...window };
  const second = { layout, strides: [1, 1], dilations: [1, 1], padding: "valid" } as const;
  return unary((x, context) => {
    const filtered = convolution(x, depthwise, undefined, first, context);
    return activation(convolution(filtered, pointwise, bias, second, context));
  });
};

export const conv2dTranspose: Builder = (layer) => {
  const { config } = layer;
  const filters = config.int("filters", positive);
  const { kernel, strides, dilations, padding } = windowOf(config);
  if (dilations.some((rate) => rate !== 1)) config.fail("dilated transposed convolutions are not supported");
  if (config.has("output_padding")) config.fail('"output_padding" is not supported');
  const layout = layoutOf(config);
  const weight = layer.weight("kernel", [...kernel, filters, undefined], "kernel");
  const bias = biasOf(layer, filters);
  const activation = activationOf(config);
  const sides = layout === "NHWC" ? ([1, 2] as const) : ([2, 3] as const);
  return unary((x, context) => {
    if (x.dim() !== 4) throw new UserError(`it needs images, not a tensor of ${x.dim()} dimensions`);
    const length = (k: 0 | 1): number => {
      return x.size(sides[k]) * strides[k] + (padding === "valid" ? Math.max(kernel[k] - strides[k], 0) : 0);
    };
    const options = { layout, strides, padding, size: [length(0), length(1)] } as const;
    return activation(transposedConvolution(x, weight, bias, options, context));
  });
};

export const dense: Builder = (layer) => {
  const units = layer.config.int("units", { min: 1, max: 2 ** 24 });
  const weight = layer.weight("kernel", [undefined, units]);
  const bias = biasOf(layer, units);
  const activation = activationOf(layer.config);
  return unary((x, context) => {
    context.allow([...x.shape.slice(0, -1), units], x.numel() * units);
    if (bias && x.dim() === 2) return activation(ops.addmm(bias, x, weight));
    const y = x.matmul(weight);
    return activation(bias ? y.add(bias) : y);
  });
};

function pooling(kind: "max" | "avg"): Builder {
  return ({ config }) => {
    const kernel = config.pair("pool_size", positive, [2, 2]);
    const strides = config.pair("strides", positive, kernel);
    const padding = config.choice("padding", ["valid", "same"], "valid");
    const options: PoolOptions = { kind, kernel, strides, dilations: [1, 1], padding, layout: layoutOf(config) };
    return unary((x, context) => pool(x, options, context));
  };
}

export const maxPooling2d = pooling("max");
export const averagePooling2d = pooling("avg");

function globalPooling(reduce: (x: Tensor, dims: readonly number[], keep: boolean) => Tensor): Builder {
  return ({ config }): Call => {
    const dims = layoutOf(config) === "NHWC" ? [1, 2] : [2, 3];
    const keep = config.boolean("keepdims", false);
    return unary((x) => {
      if (x.dim() !== 4) throw new UserError(`it needs images, not a tensor of ${x.dim()} dimensions`);
      return reduce(x, dims, keep);
    });
  };
}

export const globalAveragePooling2d = globalPooling((x, dims, keep) => x.mean(dims, keep));
export const globalMaxPooling2d = globalPooling((x, dims, keep) => x.amax(dims, keep));
