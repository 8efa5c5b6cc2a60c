/** Shapes, types, and tensors of one value. Sizes that depend on the number of images are left open or computed. */
import { type Call, isSameShape, type Writer, type Written } from "../call.ts";
import { Rows, type Size } from "../trace.ts";
import { upTo } from "./support.ts";

/** The same elements in the result's shape. */
export function reshape(call: Call): Written {
  return isSameShape(call.shape(0), call.result.shape) ? call.input(0) : call.reshaped(call.input(0));
}

export { reshape as view, reshape as squeeze };

export function flatten(call: Call): Written {
  const isRows = call.result.shape.length === 2 && call.dimension(1, undefined, 0) === 1;
  return isRows ? call.node("Flatten", [call.input(0)], { axis: 1 }) : reshape(call);
}

export function unsqueeze(call: Call): Written {
  const dim = call.dimension(1, call.result.shape.length);
  return call.node("Unsqueeze", [call.input(0), call.graph.ints([dim])]);
}

export function permute(call: Call): Written {
  return call.node("Transpose", [call.input(0)], { perm: call.dimensions(1) });
}

export function transpose(call: Call): Written {
  const [a, b] = [call.dimension(1), call.dimension(2)];
  const perm = call.shape(0).map((_, dim) => (dim === a ? b : dim === b ? a : dim));
  return call.node("Transpose", [call.input(0)], { perm });
}

export function expand(call: Call): Written {
  return isSameShape(call.shape(0), call.result.shape) ? call.input(0) : call.expanded(call.input(0));
}

export function repeat(call: Call): Written {
  return repeated(call, call.sizes(1));
}

function repeated(call: Call, counts: readonly Size[]): Written {
  const shape = call.shape(0);
  // What has one element along a dimension needs no copies of it.
  if (counts.length === shape.length && shape.every((size, i) => size === 1 || counts[i] === 1)) {
    return call.expanded(call.input(0));
  }
  const missing = counts.length - call.shape(0).length;
  const x = missing === 0 ? call.input(0) : call.node("Unsqueeze", [call.input(0), call.graph.ints(upTo(missing))]);
  return call.node("Tile", [x, call.graph.sizes(counts)]);
}

/** Another type, or what a graph has not: another device, order in memory, or owner. */
export function to(call: Call): Written {
  return call.operand(0);
}

export { to as contiguous, to as clone, to as detach, to as alias };

export function cat(call: Call): Written {
  // libtorch passes over tensors without elements, whatever their shapes.
  const parts = call.list(0).filter(({ shape }) => !isSameShape(shape, [0]));
  const names = parts.map((part) => call.typed(part, call.result.dtype));
  return call.node("Concat", names, { axis: call.dimension(1, call.result.shape.length, 0) });
}

export function stack(call: Call): Written {
  const axis = call.dimension(1, call.result.shape.length, 0);
  const axes = call.graph.ints([axis]);
  const names = call.list(0).map((part) => call.node("Unsqueeze", [call.typed(part, call.result.dtype), axes]));
  return call.node("Concat", names, { axis });
}

/** A tensor whose elements are all the same number. */
function filled(value: number | ((call: Call) => number)): Writer {
  return (call: Call): Written => call.expanded(call.scalar(typeof value === "number" ? value : value(call)));
}

export const zeros = filled(0);
export const ones = filled(1);
export const full = filled((call) => call.number(1));
export { full as fill, full as full_like, ones as ones_like, zeros as zero, zeros as zeros_like };

/** The elements of another tensor in the shape and type of the first. */
export function copy(call: Call): Written {
  const source = call.operand(1);
  return isSameShape(call.shape(1), call.result.shape) ? source : call.expanded(source);
}

/** Blocks along a dimension, one for each image: the first, and what each has more than the one before it. */
export function per_image(call: Call): Written {
  const dim = call.number(2);
  const isSame = call
    .content(1)
    ?.ne(0)
    .toNumbers()
    .every((one) => one === 0);
  if (isSame)
    return repeated(
      call,
      call.result.shape.map((_, i) => (i === dim ? new Rows(1) : 1)),
    );
  if (dim !== 0 || call.result.dtype !== "int64") return call.fail("differs from image to image");
  const images = call.node("Range", [call.graph.index(0), call.graph.rowCount(), call.graph.index(1)]);
  const column = call.node("Unsqueeze", [images, call.graph.ints(upTo(call.shape(0).length).map((i) => i + 1))]);
  const steps = call.node("Mul", [column, call.input(1)]);
  return call.reshaped(call.node("Add", [call.input(0), steps]));
}
