/** Windows over the spatial dimensions: strides, dilations, padding. */
import type { Call } from "../call.ts";

export interface Windows {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
}

/** The largest size that a window, stride or padding may have. */
const largest = 2 ** 20;

/** An attribute with one number for each dimension. */
export function perDimension(call: Call, name: string, count: number, otherwise: number, least = 1): number[] {
  const values = call.ints(name);
  if (!values || values.length === 0) return new Array<number>(count).fill(otherwise);
  if (values.length !== count) call.fail(`has ${values.length} numbers as its "${name}" instead of ${count}`);
  for (const value of values) if (value < least || value > largest) call.fail(`has ${value} in its "${name}"`);
  return values;
}

/** Pixels added before each dimension, then those after each; with `auto_pad` so that only the stride divides. */
export function padsOf(call: Call, sides: readonly number[], windows: Windows): number[] {
  const auto = call.string("auto_pad", "NOTSET");
  if (auto === "NOTSET") return perDimension(call, "pads", 2 * sides.length, 0, 0);
  if (auto === "VALID") return new Array<number>(2 * sides.length).fill(0);
  if (auto !== "SAME_UPPER" && auto !== "SAME_LOWER") return call.fail("has an unknown kind of padding");
  const totals = sides.map((side, i) => {
    const stride = windows.strides[i] ?? 1;
    return Math.max((Math.ceil(side / stride) - 1) * stride + reach(windows, i) - side, 0);
  });
  const small = totals.map((total) => Math.floor(total / 2));
  const large = totals.map((total) => Math.ceil(total / 2));
  return auto === "SAME_UPPER" ? [...small, ...large] : [...large, ...small];
}

/** Pixels that a window spans. */
export function reach({ kernel, dilations }: Windows, i: number): number {
  return ((kernel[i] ?? 1) - 1) * (dilations[i] ?? 1) + 1;
}

/** Number of windows in each dimension; with `ceil` a last one may hang over, unless it begins outside. */
export function windowCounts(
  call: Call,
  sides: readonly number[],
  windows: Windows,
  pads: readonly number[],
  ceil: boolean,
): number[] {
  return sides.map((side, i) => {
    const [before, after] = [pads[i] ?? 0, pads[i + sides.length] ?? 0];
    const stride = windows.strides[i] ?? 1;
    const room = side + before + after - reach(windows, i);
    if (room < 0) return call.fail(`has windows of ${reach(windows, i)} pixels for ${side + before + after}`);
    const count = Math.floor(room / stride) + 1;
    if (!ceil || room % stride === 0) return count;
    return count * stride < side + before ? count + 1 : count;
  });
}

/** The padding of each dimension where it is the same on both sides. */
export function even(pads: readonly number[]): number[] | undefined {
  const rank = pads.length / 2;
  const first = pads.slice(0, rank);
  return first.every((pad, i) => pad === pads[i + rank]) ? first : undefined;
}
