/** Pooling over one or two spatial dimensions, and over all of them. n images, C channels. */
import { ones, ops, type Tensor } from "../../../torch/index.ts";
import { sizeOf } from "../../values.ts";
import type { Call, Result } from "../call.ts";
import { padsOf, perDimension, reach, type Windows, windowCounts } from "./spatial.ts";
import { upTo } from "./support.ts";

interface Pooling extends Windows {
  /** The input with a spatial dimension more where it had one. */
  readonly x: Tensor;
  /** Pixels before each dimension, then after each, that the file adds. */
  readonly pads: readonly number[];
  /** Those and, at the end, what the last windows hang over. */
  readonly reaching: readonly number[];
  readonly counts: readonly number[];
  readonly wasFlat: boolean;
}

function pooling(call: Call): Pooling {
  const x = call.tensor(0);
  const rank = x.dim() - 2;
  if (rank !== 1 && rank !== 2) return call.fail(`pools [${x.shape}]; images [n, C, H, W] are supported`);
  const kernel = perDimension(call, "kernel_shape", rank, 0);
  if (kernel.includes(0)) call.fail("does not say how large its windows are");
  const windows = {
    kernel,
    strides: perDimension(call, "strides", rank, 1),
    dilations: perDimension(call, "dilations", rank, 1),
  };
  const sides = x.shape.slice(2);
  const pads = padsOf(call, sides, windows);
  const counts = windowCounts(call, sides, windows, pads, call.flag("ceil_mode"));
  const shape = [...x.shape.slice(0, 2), ...counts];
  call.allow(shape, sizeOf(shape) * sizeOf(kernel));
  const reaching = pads.map((pad, i) => {
    if (i < rank) return pad;
    const k = i - rank;
    const needed = ((counts[k] ?? 1) - 1) * (windows.strides[k] ?? 1) + reach(windows, k);
    return Math.max(pad, needed - (sides[k] ?? 0) - (pads[k] ?? 0));
  });
  if (rank === 2) return { ...windows, x, pads, reaching, counts, wasFlat: false };
  const wide = (values: readonly number[], first: number): number[] => [first, ...values];
  const wideEnds = ([before = 0, after = 0]: readonly number[]): number[] => [0, before, 0, after];
  return {
    kernel: wide(windows.kernel, 1),
    strides: wide(windows.strides, 1),
    dilations: wide(windows.dilations, 1),
    x: x.unsqueeze(2),
    pads: wideEnds(pads),
    reaching: wideEnds(reaching),
    counts: wide(counts, 1),
    wasFlat: true,
  };
}

/** [top, left, bottom, right] onto images. */
function padded(call: Call, x: Tensor, pads: readonly number[], value: number): Tensor {
  const [top = 0, left = 0, bottom = 0, right = 0] = pads;
  if (pads.every((pad) => pad === 0)) return x;
  call.allow([x.size(0), x.size(1), x.size(2) + top + bottom, x.size(3) + left + right]);
  return ops.constant_pad_nd(x, [left, right, top, bottom], value);
}

/**
 * Padding [top, left] that libtorch's pooling can do: equal on both sides and at most half a window. Undefined for
 * others.
 */
function ownPadding({ reaching, kernel }: Pooling): readonly [number, number] | undefined {
  const [top = 0, left = 0, bottom = 0, right = 0] = reaching;
  const fits = top === bottom && left === right && 2 * top <= (kernel[0] ?? 1) && 2 * left <= (kernel[1] ?? 1);
  return fits ? [top, left] : undefined;
}

/** Cut to the number of windows that the file means: more than needed may have been reached. */
function finished(x: Tensor, { counts, wasFlat }: Pooling): Tensor {
  const [height = 1, width = 1] = counts;
  const cut = x.size(2) === height && x.size(3) === width ? x : x.narrow(2, 0, height).narrow(3, 0, width);
  return wasFlat ? cut.squeeze(2) : cut;
}

export function MaxPool(call: Call): Result {
  if ((call.node.outputs[1] ?? -1) >= 0) return call.fail("gives where the maxima were, which is not supported");
  const pool = pooling(call);
  const { kernel, strides, dilations } = pool;
  const own = ownPadding(pool);
  const x = own ? pool.x : padded(call, pool.x, pool.reaching, Number.NEGATIVE_INFINITY);
  return finished(ops.max_pool2d(x, kernel, strides, own ?? 0, dilations), pool);
}

export function AveragePool(call: Call): Result {
  const pool = pooling(call);
  const { kernel, strides, dilations, x, pads, reaching } = pool;
  const countsPadding = call.flag("count_include_pad");
  if (dilations.some((dilation) => dilation !== 1)) return dilatedAverage(call, pool, countsPadding);
  const own = ownPadding(pool);
  if (own && (countsPadding ? pads.join() === reaching.join() : true)) {
    return finished(ops.avg_pool2d(x, kernel, strides, own, false, countsPadding), pool);
  }
  const sums = ops.avg_pool2d(padded(call, x, reaching, 0), kernel, strides, 0, false, false, 1);
  return finished(sums.div(pixels(call, pool, countsPadding)), pool);
}

/** Number of pixels that each window covers, [1, 1, H', W']; those beyond the file's padding never count. */
function pixels(call: Call, pool: Pooling, countsPadding: boolean): Tensor {
  const { x, kernel, strides } = pool;
  return ops.avg_pool2d(counted(call, pool, x, countsPadding), kernel, strides, 0, false, false, 1);
}

/** Ones where pixels count, zeros in the rest of what windows reach. */
function counted(call: Call, { pads, reaching }: Pooling, x: Tensor, countsPadding: boolean): Tensor {
  const [, , bottom = 0, right = 0] = reaching.map((pad, i) => pad - (pads[i] ?? 0));
  const [top = 0, left = 0, below = 0, beside = 0] = pads;
  const options = { dtype: x.dtype, device: x.device };
  const [height, width] = [x.size(2), x.size(3)];
  if (!countsPadding) return padded(call, ones([1, 1, height, width], options), reaching, 0);
  const whole = ones([1, 1, height + top + below, width + left + beside], options);
  return padded(call, whole, [0, 0, bottom, right], 0);
}

/** libtorch's averages know no dilation: a convolution of each channel with ones. */
function dilatedAverage(call: Call, pool: Pooling, countsPadding: boolean): Tensor {
  const { kernel, strides, dilations, x } = pool;
  const sums = (images: Tensor): Tensor => {
    const channels = images.size(1);
    const weight = ones([channels, 1, ...kernel], { dtype: x.dtype, device: x.device });
    return ops.convolution(images, weight, null, strides, [0, 0], dilations, false, [0, 0], channels);
  };
  const total = sums(padded(call, x, pool.reaching, 0));
  return finished(total.div(sums(counted(call, pool, x, countsPadding))), pool);
}

function spatial(call: Call): { x: Tensor; dims: number[] } {
  const x = call.tensor(0);
  if (x.dim() < 3) return call.fail(`pools over the pixels of [${x.shape}], which has none`);
  return { x, dims: upTo(x.dim()).slice(2) };
}

export function GlobalAveragePool(call: Call): Result {
  const { x, dims } = spatial(call);
  return x.mean(dims, true);
}

export function GlobalMaxPool(call: Call): Result {
  const { x, dims } = spatial(call);
  return x.amax(dims, true);
}

export function GlobalLpPool(call: Call): Result {
  const { x, dims } = spatial(call);
  return x.norm(call.int("p", 2), dims, true);
}
