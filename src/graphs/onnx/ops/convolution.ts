/** Convolutions over any number of spatial dimensions. n images, C channels. */
import { convNd, convTransposeNd, ops, type Tensor, type Windows } from "../../../torch/index.ts";
import { sizeOf } from "../../values.ts";
import type { Call, Result } from "../call.ts";
import { even, padsOf, perDimension, windowCounts } from "./spatial.ts";

/** Input, weights [out, C / groups, ...kernel], bias and windows of a Conv node, whose input has its own padding where sides differ. */
export function filteringOf(call: Call): Windows & { x: Tensor; weight: Tensor; bias: Tensor | undefined } {
  const [x, weight] = [call.tensor(0), call.tensor(1)];
  const sides = spatialSides(call, x, weight);
  const kernel = kernelOf(call, weight);
  const groups = call.int("group", 1);
  const [out = 0, perGroup = 0] = weight.shape;
  if (groups < 1 || x.size(1) !== perGroup * groups || out % groups !== 0) return misfit(call, x, weight, groups);
  const windows = {
    kernel,
    strides: perDimension(call, "strides", kernel.length, 1),
    dilations: perDimension(call, "dilations", kernel.length, 1),
  };
  const pads = padsOf(call, sides, windows);
  const counts = windowCounts(call, sides, windows, pads, false);
  const shape = [x.size(0), out, ...counts];
  call.allow(shape, sizeOf(shape) * perGroup * sizeOf(kernel));
  const same = even(pads);
  const bias = call.optionalTensor(2);
  const { strides: stride, dilations: dilation } = windows;
  const input = same ? x : padConstant(call, x, pads, 0);
  return { x: input, weight, bias: bias ?? undefined, stride, padding: same ?? zeros(kernel), dilation, groups };
}

export function Conv(call: Call): Result {
  const { x, weight, bias, ...windows } = filteringOf(call);
  return convNd(x, weight, bias ?? null, windows);
}
Conv.weights = [1, 2];
Conv.isLayer = true;
Conv.isOverwritable = true;

/** Weights [C, out / groups, ...kernel]. */
export function ConvTranspose(call: Call): Result {
  const [x, weight] = [call.tensor(0), call.tensor(1)];
  const sides = spatialSides(call, x, weight);
  const kernel = kernelOf(call, weight);
  const rank = kernel.length;
  const groups = call.int("group", 1);
  const [into = 0, perGroup = 0] = weight.shape;
  if (groups < 1 || into !== x.size(1) || into % groups !== 0) return misfit(call, x, weight, groups);
  const strides = perDimension(call, "strides", rank, 1);
  const dilations = perDimension(call, "dilations", rank, 1);
  const extra = perDimension(call, "output_padding", rank, 0, 0);
  const full = sides.map((side, i) => (side - 1) * at(strides, i) + (at(kernel, i) - 1) * at(dilations, i) + 1);
  const pads = transposedPads(call, full, sides, strides, extra);
  const counts = full.map((size, i) => size + at(extra, i) - at(pads, i) - at(pads, i + rank));
  if (counts.some((count) => count < 1)) return call.fail(`would make an image of ${counts.join(" x ")} pixels`);
  const shape = [x.size(0), perGroup * groups, ...full];
  call.allow(shape, x.numel() * perGroup * sizeOf(kernel));
  const bias = call.optionalTensor(2);
  const same = even(pads);
  // libtorch wants the extra side below the stride or the dilation.
  const takes = extra.every((size, i) => size < Math.max(at(strides, i), at(dilations, i)));
  const whole = { stride: strides, padding: zeros(kernel), outputPadding: zeros(kernel), dilation: dilations, groups };
  if (same && takes) return convTransposeNd(x, weight, bias, { ...whole, padding: same, outputPadding: extra });
  const all = convTransposeNd(x, weight, null, whole);
  const cut = padConstant(
    call,
    all,
    pads.map((pad, i) => (i < rank ? -pad : at(extra, i - rank) - pad)),
    0,
  );
  return bias ? cut.add(bias.view([-1, ...kernel.map(() => 1)])) : cut;
}
ConvTranspose.weights = [1, 2];
ConvTranspose.isLayer = true;
ConvTranspose.isOverwritable = true;

/** `output_shape` says how much is cut off; with SAME the result has stride times the input's size. */
function transposedPads(
  call: Call,
  full: readonly number[],
  sides: readonly number[],
  strides: readonly number[],
  extra: readonly number[],
): number[] {
  const rank = full.length;
  const auto = call.string("auto_pad", "NOTSET");
  const wished = call.ints("output_shape")?.slice(-rank);
  const isSame = auto === "SAME_UPPER" || auto === "SAME_LOWER";
  if (!wished && !isSame) {
    return auto === "VALID" ? zeros([...full, ...full]) : perDimension(call, "pads", 2 * rank, 0, 0);
  }
  if (wished && wished.length !== rank) call.fail(`has an output shape of ${wished.length} sizes`);
  const totals = full.map((size, i) => size + at(extra, i) - (wished ? at(wished, i) : at(sides, i) * at(strides, i)));
  // The odd one is cut off at the end with SAME_UPPER, else at the beginning.
  const small = totals.map((total) => Math.floor(total / 2));
  const large = totals.map((total) => Math.ceil(total / 2));
  return auto === "SAME_UPPER" ? [...small, ...large] : [...large, ...small];
}

function at(values: readonly number[], i: number): number {
  return values[i] ?? 0;
}

function zeros(like: readonly unknown[]): number[] {
  return like.map(() => 0);
}

/** Pads [begin of each spatial dimension, end of each] onto [n, C, ...]; negative ones cut. */
function padConstantOf(x: Tensor, pads: readonly number[], value: number): Tensor {
  const rank = pads.length / 2;
  // libtorch counts from the last dimension.
  const pairs = Array.from({ length: rank }, (_, i) => rank - 1 - i).flatMap((i) => [at(pads, i), at(pads, i + rank)]);
  return ops.constant_pad_nd(x, pairs, value);
}

function padConstant(call: Call, x: Tensor, pads: readonly number[], value: number): Tensor {
  const rank = pads.length / 2;
  call.allow(x.shape.map((size, i) => (i < 2 ? size : size + at(pads, i - 2) + at(pads, i - 2 + rank))));
  return padConstantOf(x, pads, value);
}

function spatialSides(call: Call, x: Tensor, weight: Tensor): readonly number[] {
  if (x.dim() < 3 || x.dim() > 5 || weight.dim() !== x.dim()) return misfit(call, x, weight, 1);
  return x.shape.slice(2);
}

function kernelOf(call: Call, weight: Tensor): readonly number[] {
  const kernel = weight.shape.slice(2);
  const said = call.ints("kernel_shape");
  if (said && said.join() !== kernel.join()) call.fail(`has kernels of ${kernel.join(" x ")}, not ${said.join(" x ")}`);
  if (kernel.some((size) => size < 1)) call.fail("has empty kernels");
  return kernel;
}

function misfit(call: Call, x: Tensor, weight: Tensor, groups: number): never {
  return call.fail(`in ${groups} group(s) has weights [${weight.shape}], which do not fit its input [${x.shape}]`);
}
