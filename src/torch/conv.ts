/** Convolutions, kept clear of a fault of the library. B images, C channels, H and W pixels. */
import { ops, type Tensor } from "./tensor.ts";

export type Pair = number | readonly number[];

/** Channels that oneDNN's AVX-512 kernels take at a time. */
const channelBlock = 16;

function sides(pair: Pair): [number, number] {
  return typeof pair === "number" ? [pair, pair] : [pair[0] ?? 1, pair[1] ?? pair[0] ?? 1];
}

/** Filters [out, C, 1, 1] of fewer channels than oneDNN takes at a time: with a stride they meet the fault. */
export function isNarrowPointwise(weight: Tensor): boolean {
  const [, channels = 0, height, width] = weight.shape;
  return weight.dim() === 4 && height === 1 && width === 1 && channels < channelBlock;
}

/**
 * `aten::conv2d`: [B, C, H, W] to [B, out, H', W'].
 *
 * A strided 1 x 1 convolution of fewer than 16 channels takes its pixels first and then goes without a stride, which is
 * the same. On channels-last images, the backward pass of the strided form writes beyond its memory as soon as there is
 * more than one thread (oneDNN issue 6035; also in PyTorch 2.13 for Python).
 */
export function conv2d(
  input: Tensor,
  weight: Tensor,
  bias?: Tensor | null,
  stride: Pair = 1,
  padding: Pair = 0,
  dilation: Pair = 1,
  groups = 1,
): Tensor {
  const [down, right] = sides(stride);
  const strided = down !== 1 || right !== 1;
  if (!strided || groups !== 1 || !isNarrowPointwise(weight) || sides(padding).some((side) => side !== 0)) {
    return ops.conv2d(input, weight, bias, stride, padding, dilation, groups);
  }
  const rows = ops.slice(input, -2, undefined, undefined, down);
  return ops.conv2d(ops.slice(rows, -1, undefined, undefined, right), weight, bias);
}

export interface Windows {
  readonly stride: readonly number[];
  readonly padding: readonly number[];
  readonly dilation: readonly number[];
  readonly groups: number;
}

/**
 * Convolution over one to three spatial dimensions: [B, C, ...] with weights [out, C / groups, ...] to [B, out, ...].
 *
 * `aten::convolution` does the same but is not among the operators that autocast knows: it computes in float32 and
 * refuses images that an operator before it left in bfloat16.
 */
export function convNd(input: Tensor, weight: Tensor, bias: Tensor | null, windows: Windows): Tensor {
  const { stride, padding, dilation, groups } = windows;
  const conv = weight.dim() === 3 ? ops.conv1d : weight.dim() === 5 ? ops.conv3d : conv2d;
  return conv(input, weight, bias, stride, padding, dilation, groups);
}

/** The transposed form of `convNd`: [B, C, ...] with weights [C, out / groups, ...] to [B, out, ...]. */
export function convTransposeNd(
  input: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  windows: Windows & { readonly outputPadding: readonly number[] },
): Tensor {
  const { stride, padding, outputPadding, dilation, groups } = windows;
  const conv =
    weight.dim() === 3 ? ops.conv_transpose1d : weight.dim() === 5 ? ops.conv_transpose3d : ops.conv_transpose2d;
  return conv(input, weight, bias, stride, padding, outputPadding, groups, dilation);
}
