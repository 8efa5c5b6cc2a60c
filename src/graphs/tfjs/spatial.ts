/**
 * Convolution and pooling with TensorFlow's rules. Tensors are logically [n, H, W, C] over channels-last memory (or
 * [n, C, H, W]); libtorch's kernels see them as [n, C, H, W] through a view, so that nothing is copied.
 */
import { conv2d, convTransposeNd, ones, ops, type Tensor, UserError } from "../../torch/index.ts";
import { isRectifier } from "../chains.ts";
import type { Layout } from "../graph-model.ts";
import type { Channel, Context, Convolution, Convolved, Link } from "../step.ts";
import { sizeOf } from "../values.ts";

export type Pair = readonly [number, number];
/** "same" (TensorFlow's), "valid", or pixels: [[top, bottom], [left, right]]. */
export type Padding = "same" | "valid" | readonly [Pair, Pair];

/** As libtorch sees images. @throws UserError for anything but four dimensions */
export function channelsFirst(x: Tensor, layout: Layout): Tensor {
  if (x.dim() !== 4) throw new UserError(`it needs images of 4 dimensions, not of shape [${x.shape.join(", ")}]`);
  return layout === "NHWC" ? x.permute([0, 3, 1, 2]) : x;
}

/** Back from libtorch's view. */
export function inLayout(x: Tensor, layout: Layout): Tensor {
  return layout === "NHWC" ? x.permute([0, 2, 3, 1]) : x;
}

interface Windows {
  readonly kernel: Pair;
  readonly strides: Pair;
  readonly dilations: Pair;
  readonly padding: Padding;
}

/** Pixels to add before and after one dimension; SAME puts the odd one after. */
function padsOf(size: number, k: 0 | 1, { kernel, strides, dilations, padding }: Windows): Pair {
  if (padding === "valid") return [0, 0];
  if (padding !== "same") return padding[k];
  const reach = (kernel[k] - 1) * dilations[k] + 1;
  const total = Math.max((Math.ceil(size / strides[k]) - 1) * strides[k] + reach - size, 0);
  return [Math.floor(total / 2), Math.ceil(total / 2)];
}

/** The operator's own padding where both sides are alike, else an explicitly padded input. */
function padded(
  x: Tensor,
  windows: Windows,
  value: number,
  context: Context,
): { x: Tensor; padding: Pair; counts: Pair } {
  const [, , height = 0, width = 0] = x.shape;
  const [top, bottom] = padsOf(height, 0, windows);
  const [left, right] = padsOf(width, 1, windows);
  const counts: Pair = [
    outputSize(height + top + bottom, 0, windows, "height"),
    outputSize(width + left + right, 1, windows, "width"),
  ];
  // Pooling refuses more padding than half a window, which TensorFlow's rule never needs.
  if (top === bottom && left === right) return { x, padding: [top, left], counts };
  context.allow([x.size(0), x.size(1), height + top + bottom, width + left + right]);
  return { x: ops.constant_pad_nd(x, [left, right, top, bottom], value), padding: [0, 0], counts };
}

function outputSize(padded: number, k: 0 | 1, { kernel, strides, dilations }: Windows, what: string): number {
  const reach = (kernel[k] - 1) * dilations[k] + 1;
  const size = Math.floor((padded - reach) / strides[k]) + 1;
  if (size > 0) return size;
  throw new UserError(`a window of ${reach} pixels does not fit a ${what} of ${padded}`);
}

export interface ConvolutionOptions {
  readonly layout: Layout;
  readonly strides: Pair;
  readonly dilations: Pair;
  readonly padding: Padding;
  /** Channels in one group; the groups follow from the kernel when left out. */
  readonly depthwise?: boolean | undefined;
}

/** What a convolution with a kernel in libtorch's layout [out, in / groups, h, w] computes. */
export function convolvedOf(
  x: Tensor,
  kernel: Tensor,
  bias: Tensor | undefined,
  options: ConvolutionOptions,
  context: Context,
): Convolved {
  const [out = 0, perGroup = 0, height = 0, width = 0] = kernel.shape;
  const images = channelsFirst(x, options.layout);
  const channels = images.size(1);
  const groups = perGroup === 0 ? 0 : channels / perGroup;
  if (!Number.isInteger(groups) || groups === 0 || out % groups !== 0 || (options.depthwise && perGroup !== 1)) {
    throw new UserError(`a kernel of ${perGroup} to ${out} channels does not fit images of ${channels} channels`);
  }
  const windows: Windows = { ...options, kernel: [height, width] };
  const { x: ready, padding, counts } = padded(images, windows, 0, context);
  const shape = [images.size(0), out, ...counts];
  context.allow(shape, sizeOf(shape) * perGroup * height * width);
  return { x: ready, weight: kernel, bias, stride: options.strides, padding, dilation: options.dilations, groups };
}

export function convolution(...given: Parameters<typeof convolvedOf>): Tensor {
  const { x, weight, bias, stride, padding, dilation, groups } = convolvedOf(...given);
  const [, , , { layout }] = given;
  return inLayout(conv2d(x, weight, bias, stride, padding, dilation, groups), layout);
}

/** Part in a chain of a convolution with an activation, "linear" for none; undefined where a chain cannot compute it. */
export function convolutionLink(activation: string, layout: Layout, of: Convolution["of"]): Link | undefined {
  if (isRectifier(activation)) return { kind: "convolution", channel: channelOf(layout), of, activation };
  return activation === "linear" ? { kind: "convolution", channel: channelOf(layout), of } : undefined;
}

/** Dimension of the channels. */
export const channelOf = (layout: Layout): Channel => (layout === "NHWC" ? 3 : 1);

export interface TransposedOptions {
  readonly layout: Layout;
  readonly strides: Pair;
  readonly padding: Padding;
  /** Height and width of the result. */
  readonly size: Pair;
}

/** The gradient of a convolution as a layer: kernel in libtorch's layout [in, out, h, w]. */
export function transposedConvolution(
  x: Tensor,
  kernel: Tensor,
  bias: Tensor | undefined,
  options: TransposedOptions,
  context: Context,
): Tensor {
  const images = channelsFirst(x, options.layout);
  const [into = 0, out = 0, ...sides] = kernel.shape;
  if (images.size(1) !== into) {
    throw new UserError(`a kernel of ${into} to ${out} channels does not fit images of ${images.size(1)} channels`);
  }
  const { strides, size } = options;
  const windows: Windows = {
    kernel: [sides[0] ?? 1, sides[1] ?? 1],
    strides,
    dilations: [1, 1],
    padding: options.padding,
  };
  const full = ([0, 1] as const).map((k) => (images.size(2 + k) - 1) * strides[k] + windows.kernel[k]);
  context.allow([images.size(0), out, ...full], images.numel() * out * windows.kernel[0] * windows.kernel[1]);
  context.allow([images.size(0), out, ...size]);
  // A window that the forward convolution would have placed beyond the edge is cut off; what none reached is empty.
  const [top] = padsOf(size[0], 0, windows);
  const [left] = padsOf(size[1], 1, windows);
  const edges = [-left, left + size[1] - (full[1] ?? 0), -top, top + size[0] - (full[0] ?? 0)];
  const whole = edges.every((edge) => edge === 0);
  const all = convTransposeNd(images, kernel, whole ? (bias ?? null) : null, {
    stride: strides,
    padding: [0, 0],
    outputPadding: [0, 0],
    dilation: [1, 1],
    groups: 1,
  });
  if (whole) return inLayout(all, options.layout);
  const cut = ops.constant_pad_nd(all, edges);
  return inLayout(bias ? cut.add(bias.view([-1, 1, 1])) : cut, options.layout);
}

export interface PoolOptions extends Windows {
  readonly layout: Layout;
  readonly kind: "max" | "avg";
}

/** Pooling; averages leave padding out. */
export function pool(x: Tensor, options: PoolOptions, context: Context): Tensor {
  const { kernel, strides, kind, layout } = options;
  const images = channelsFirst(x, layout);
  const border = kind === "max" ? Number.NEGATIVE_INFINITY : 0;
  const { x: ready, padding, counts } = padded(images, options, border, context);
  const shape = [images.size(0), images.size(1), ...counts];
  context.allow(shape, sizeOf(shape) * kernel[0] * kernel[1]);
  if (kind === "max") return inLayout(ops.max_pool2d(ready, kernel, strides, padding), layout);
  if (ready === images) return inLayout(ops.avg_pool2d(ready, kernel, strides, padding, false, false), layout);
  const sums = ops.avg_pool2d(ready, kernel, strides, 0, false, false, 1);
  return inLayout(sums.div(pixelsInWindows(images, options, context)), layout);
}

/** Number of real pixels that each window covers, [1, 1, H', W']. */
function pixelsInWindows(images: Tensor, options: PoolOptions, context: Context): Tensor {
  const { dtype, device } = images;
  const mask = ones([1, 1, images.size(2), images.size(3)], { dtype, device });
  const { x } = padded(mask, options, 0, context);
  return ops.avg_pool2d(x, options.kernel, options.strides, 0, false, false, 1);
}
