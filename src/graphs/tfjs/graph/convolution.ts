/** Convolutions, matrix products, pooling and normalisation of graph models. */
import { ops, type Tensor, UserError } from "../../../torch/index.ts";
import type { Layout } from "../../graph-model.ts";
import type { Context, Convolution } from "../../step.ts";
import { broadcast, sizeOf } from "../../values.ts";
import { prelu } from "../activations.ts";
import { normalised } from "../parameters.ts";
import {
  channelOf,
  convolution,
  convolutionLink,
  convolvedOf,
  type Padding,
  type Pair,
  pool,
  transposedConvolution,
} from "../spatial.ts";
import { linked, tensorsOf } from "../step.ts";
import type { Get, Operands, Operator } from "./operator.ts";

const positive = { min: 1, max: 2 ** 16 };

function layoutOf({ attributes }: Operands): Layout {
  const format = attributes.string("data_format", "NHWC");
  if (format === "NHWC" || format === "NCHW") return format;
  return attributes.fail(`the data format "${format.slice(0, 20)}" is not supported`);
}

/** The two spatial entries of a list over all four dimensions. */
function spatial({ attributes }: Operands, key: string, layout: Layout): Pair {
  const list = attributes.ints(key, positive, [1, 1, 1, 1]);
  const [first = 1, second = 1] = layout === "NHWC" ? list.slice(1, 3) : list.slice(2, 4);
  const outer = layout === "NHWC" ? [list[0], list[3]] : [list[0], list[1]];
  if (list.length === 2) return [list[0] ?? 1, list[1] ?? 1];
  if (list.length !== 4 || outer.some((step) => step !== 1)) {
    attributes.fail(`"${key}" [${list.join(", ")}] must be 1 over images and channels`);
  }
  return [first, second];
}

function paddingOf({ attributes }: Operands, layout: Layout): Padding {
  const name = attributes.string("padding", "VALID").toUpperCase();
  if (name === "SAME") return "same";
  if (name === "VALID") return "valid";
  if (name !== "EXPLICIT") attributes.fail(`the padding "${name.slice(0, 20)}" is not supported`);
  const pads = attributes.ints("explicit_paddings", { min: 0, max: 2 ** 16 }, []);
  if (pads.length !== 8) attributes.fail(`"explicit_paddings" has ${pads.length} numbers, needs 8`);
  const [top = 0, bottom = 0, left = 0, right = 0] = layout === "NHWC" ? pads.slice(2, 6) : pads.slice(4, 8);
  return [
    [top, bottom],
    [left, right],
  ];
}

/** Steps of fused operators after the product: a bias, then an activation. */
interface Epilogue {
  bias: Get<Tensor> | undefined;
  name: string;
  activation: (x: Tensor, values: readonly Tensor[]) => Tensor;
}

function epilogueOf(node: Operands): Epilogue {
  const fused = node.attributes.strings("fused_ops").map((name) => name.toLowerCase());
  const hasBias = fused[0] === "biasadd";
  const bias = hasBias ? node.tensor(2) : undefined;
  const [name = "linear", ...more] = hasBias ? fused.slice(1) : fused;
  if (more.length > 0) node.fail(`it fuses ${fused.join(", ")}, which is not supported`);
  if (name === "prelu") {
    const alpha = node.tensor(hasBias ? 3 : 2);
    return { bias, name, activation: (x, values) => prelu(x, alpha(values)) };
  }
  const slope = node.attributes.float("leakyrelu_alpha", 0.2);
  const simple: Readonly<Record<string, (x: Tensor) => Tensor>> = {
    linear: (x) => x,
    relu: (x) => ops.relu(x),
    relu6: (x) => ops.hardtanh(x, 0, 6),
    elu: (x) => ops.elu(x),
    leakyrelu: (x) => ops.leaky_relu(x, slope),
    sigmoid: (x) => ops.sigmoid(x),
    tanh: (x) => ops.tanh(x),
  };
  const activation = Object.hasOwn(simple, name) ? simple[name] : undefined;
  if (!activation) return node.fail(`it fuses ${fused.join(", ")}, which is not supported`);
  return { bias, name, activation };
}

function conv(kind: "kernel" | "depthwise", fused: boolean): Operator {
  return (node) => {
    const layout = layoutOf(node);
    const x = node.tensor(0);
    const kernel = node.kernel(1, kind);
    const epilogue = fused ? epilogueOf(node) : undefined;
    const options = {
      layout,
      strides: spatial(node, "strides", layout),
      dilations: spatial(node, "dilations", layout),
      padding: paddingOf(node, layout),
      depthwise: kind === "depthwise",
    };
    const given = (values: readonly Tensor[], context: Context) =>
      [x(values), kernel(values), epilogue?.bias?.(values), options, context] as const;
    const of: Convolution["of"] = (inputs, context) => convolvedOf(...given(tensorsOf(inputs), context));
    const run = (values: readonly Tensor[], context: Context) => {
      const made = convolution(...given(values, context));
      return epilogue ? epilogue.activation(made, values) : made;
    };
    return linked(run, convolutionLink(epilogue?.name ?? "linear", layout, of));
  };
}

export const conv2d = conv("kernel", false);
export const fusedConv2d = conv("kernel", true);
export const depthwiseConv2d = conv("depthwise", false);
export const fusedDepthwiseConv2d = conv("depthwise", true);

export const conv2dBackpropInput: Operator = (node) => {
  const layout = layoutOf(node);
  const size = node.ints(0);
  const kernel = node.kernel(1, "kernel");
  const x = node.tensor(2);
  const strides = spatial(node, "strides", layout);
  const padding = paddingOf(node, layout);
  return (values, context) => {
    const sizes = size(values);
    const [height = 0, width = 0] = layout === "NHWC" ? sizes.slice(1, 3) : sizes.slice(2, 4);
    if (height < 1 || width < 1) throw new UserError(`the result cannot have the shape [${sizes.join(", ")}]`);
    const images = x(values);
    const options = { layout, strides, padding, size: [height, width] } as const;
    return transposedConvolution(images, kernel(values), undefined, options, context);
  };
};

function pooling(kind: "max" | "avg"): Operator {
  return (node) => {
    const layout = layoutOf(node);
    const x = node.tensor(0);
    const options = {
      kind,
      layout,
      kernel: spatial(node, "ksize", layout),
      strides: spatial(node, "strides", layout),
      dilations: [1, 1],
      padding: paddingOf(node, layout),
    } as const;
    return (values, context) => pool(x(values), options, context);
  };
}

export const maxPool = pooling("max");
export const avgPool = pooling("avg");

export const fusedBatchNorm: Operator = (node) => {
  const axis = layoutOf(node) === "NHWC" ? -1 : 1;
  const epsilon = node.attributes.float("epsilon", 1e-3);
  if (epsilon < 0) node.fail(`"epsilon" ${epsilon} is negative`);
  const x = node.tensor(0);
  // Inference graphs do not say how fast the statistics followed in training: Keras' default.
  const norm = node.norm({ epsilon, momentum: 0.01 });
  return linked((values) => normalised(norm, x(values), axis), { kind: "norm", channel: axis === 1 ? 1 : 3, norm });
};

export const biasAdd: Operator = (node) => {
  const layout = layoutOf(node);
  const x = node.tensor(0);
  const bias = node.tensor(1);
  const by = node.vector(1);
  const add = (values: readonly Tensor[]): Tensor => {
    const input = x(values);
    const added = bias(values);
    if (added.dim() !== 1) throw new UserError(`the bias has ${added.dim()} dimensions, needs 1`);
    const first = layout === "NCHW" && input.dim() > 2;
    if (added.size(0) !== input.size(first ? 1 : -1)) {
      throw new UserError(`a bias of ${added.size(0)} does not fit [${input.shape.join(", ")}]`);
    }
    return input.add(first ? added.view([-1, ...new Array<number>(input.dim() - 2).fill(1)]) : added);
  };
  return linked(add, by && { kind: "shift", channel: channelOf(layout), by });
};

function matrices(fused: boolean, keys: readonly [string, string]): Operator {
  return (node) => {
    const a = node.tensor(0);
    const b = node.tensor(1);
    const turnA = node.attributes.boolean(keys[0], false);
    const turnB = node.attributes.boolean(keys[1], false);
    const epilogue = fused ? epilogueOf(node) : undefined;
    return (values, context) => {
      const [left, right] = [turned(a(values), turnA), turned(b(values), turnB)];
      const batch = broadcast([left.shape.slice(0, -2), right.shape.slice(0, -2)]);
      const shape = [...batch, left.size(-2), right.size(-1)];
      context.allow(shape, sizeOf(shape) * left.size(-1));
      const bias = epilogue?.bias?.(values);
      const flat = bias?.dim() === 1 && left.dim() === 2 && right.dim() === 2;
      const product = flat && bias ? ops.addmm(bias, left, right) : left.matmul(right);
      const made = bias && !flat ? product.add(bias) : product;
      return epilogue ? epilogue.activation(made, values) : made;
    };
  };
}

function turned(x: Tensor, turn: boolean): Tensor {
  if (x.dim() < 2) throw new UserError(`a matrix is needed, not a tensor of shape [${x.shape.join(", ")}]`);
  return turn ? x.transpose(-2, -1) : x;
}

export const matMul = matrices(false, ["transpose_a", "transpose_b"]);
export const fusedMatMul = matrices(true, ["transpose_a", "transpose_b"]);
export const batchMatMul = matrices(false, ["adj_x", "adj_y"]);
