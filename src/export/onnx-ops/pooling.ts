/** Pooling over the pixels of [n, C, H, W]. */
import type { Call, Written } from "../call.ts";
import type { Name } from "../graph-builder.ts";
import { separable } from "./separable.ts";
import { upTo } from "./support.ts";

/** Windows of a pooling; each list has one number for each spatial dimension. */
interface Windows {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly padding: readonly number[];
  readonly dilations: readonly number[];
  /**
   * Pixels that the last windows reach beyond the padding. ONNX's own way to allow that counts windows otherwise than
   * libtorch, so that the padding at the end is written out instead.
   */
  readonly beyond: readonly number[];
}

function windowsOf(call: Call, dilation: number | undefined): Windows {
  const kernel = call.ints(1, 2);
  const strides = call.has(2) && call.sizes(2).length > 0 ? call.ints(2, 2) : kernel;
  const padding = call.ints(3, 2, 0);
  const dilations = dilation === undefined ? [1, 1] : call.ints(dilation, 2, 1);
  const beyond = upTo(2).map((i) => {
    const count = call.result.shape.at(i - 2);
    if (typeof count !== "number") return call.fail("works along the images themselves");
    const [side, k = 1, s = 1, p = 0, d = 1] = [call.side(0, i - 2), kernel[i], strides[i], padding[i], dilations[i]];
    return Math.max(0, (count - 1) * s + (k - 1) * d + 1 - side - 2 * p);
  });
  return { kernel, strides, padding, dilations, beyond };
}

export function max_pool2d(call: Call): Written {
  const { kernel, strides, padding, dilations, beyond } = windowsOf(call, 4);
  const pads = [...padding, ...padding.map((pad, i) => pad + (beyond[i] ?? 0))];
  return call.node("MaxPool", [call.input(0)], { kernel_shape: kernel, strides, pads, dilations });
}

/** Means of the pixels that are there; padding counts as zeros where asked for, what is beyond it never. */
export function avg_pool2d(call: Call): Written {
  const { kernel, strides, padding, beyond } = windowsOf(call, undefined);
  const counts = call.flag(5, true) && padding.some((pad) => pad > 0);
  const attributes = { kernel_shape: kernel, strides };
  if (!call.has(6) && !counts) {
    const pads = [...padding, ...padding.map((pad, i) => pad + (beyond[i] ?? 0))];
    return call.node("AveragePool", [call.input(0)], { ...attributes, pads, count_include_pad: 0 });
  }
  if (!call.has(6)) {
    const padded = zeroPadded(call, padding, padding);
    return call.node("AveragePool", [padded], { ...attributes, pads: [0, 0, ...beyond], count_include_pad: 0 });
  }
  // Sums over a divisor of its own.
  const padded = zeroPadded(
    call,
    padding,
    padding.map((pad, i) => pad + (beyond[i] ?? 0)),
  );
  const means = call.node("AveragePool", [padded], { ...attributes, pads: [0, 0, 0, 0] });
  return call.node("Mul", [means, call.scalar(((kernel[0] ?? 1) * (kernel[1] ?? 1)) / call.number(6))]);
}

function zeroPadded(call: Call, before: readonly number[], after: readonly number[]): Name {
  if ([...before, ...after].every((pad) => pad === 0)) return call.input(0);
  const lead = call
    .shape(0)
    .slice(2)
    .map(() => 0);
  return call.node("Pad", [call.input(0), call.graph.ints([...lead, ...before, ...lead, ...after])]);
}

/** Means of blocks that divide the image evenly, or by a product with the matrices of the uneven ones. */
export function adaptive_avg_pool2d(call: Call): Written {
  const sides = [call.side(0, -2), call.side(0, -1)];
  const counts = call.ints(1, 2);
  if (counts.every((count) => count === 1)) return call.node("GlobalAveragePool", [call.input(0)]);
  const kernel = sides.map((side, i) => side / (counts[i] ?? 1));
  if (kernel.every((side) => side === 1)) return call.input(0);
  if (!kernel.every(Number.isInteger)) return separable(call, "aten::adaptive_avg_pool2d");
  return call.node("AveragePool", [call.input(0)], { kernel_shape: kernel, strides: kernel });
}
