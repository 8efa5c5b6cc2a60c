/** Shapes: reading, changing, making tensors of them. */
import { arange, full, ops, type Tensor } from "../../../torch/index.ts";
import { batchDim, reshaped, scaled } from "../../batch.ts";
import { broadcastShape, HostArray, isFloating, maximumHostElements, shapeText, sizeOf } from "../../values.ts";
import type { Call, Result } from "../call.ts";
import { dtypeOf, typeName } from "../tensors.ts";
import { all, repeated } from "./support.ts";

export function Shape(call: Call): Result {
  const shape = call.shape(0);
  const clamp = (axis: number): number => Math.min(Math.max(axis < 0 ? axis + shape.length : axis, 0), shape.length);
  const part = shape.slice(clamp(call.int("start", 0)), clamp(call.int("end", shape.length)));
  return new HostArray("int", [part.length], part);
}
Shape.fixed = all;

export function Size(call: Call): Result {
  return new HostArray("int", [], [sizeOf(call.shape(0))]);
}
Size.fixed = all;

/** 0 keeps a size, -1 takes what is left; a fixed batch is replaced by the run's. */
export function Reshape(call: Call): Result {
  const x = call.tensor(0);
  const wanted = call.numbers(1);
  const keeps = !call.flag("allowzero");
  const sizes = wanted.map((size, i) =>
    size === 0 && keeps ? (x.shape[i] ?? call.fail("keeps a size too many")) : size,
  );
  const { reference } = call;
  const [fixedIn, fixedOut] = [reference?.inputs[0], reference?.outputs[0]];
  if (reference && fixedIn && fixedOut && call.isConstant(1)) {
    const found = reshaped(x.shape, fixedIn, fixedOut, reference.outers[0] ?? 1, reference.batch);
    if (!found) return call.fail(call.batchProblem(`gives [${fixedOut}] to one batch`));
    call.context.outer = found.outer;
    return x.reshape(found.shape);
  }
  return x.reshape(completed(call, x, sizes));
}
Reshape.fixed = [1];

/** A shape in which -1 stands for what is left. */
function completed(call: Call, x: Tensor, sizes: readonly number[]): readonly number[] {
  const rest = sizes.filter((size) => size !== -1);
  const known = sizeOf(rest);
  const open = sizes.length - rest.length;
  const left = known === 0 ? 0 : x.numel() / known;
  const fits = open === 0 ? known === x.numel() : open === 1 && Number.isInteger(left);
  if (!fits || rest.some((size) => size < 0)) {
    return call.fail(`cannot give [${x.shape}] the shape ${shapeText(sizes)}`);
  }
  return sizes.map((size) => (size === -1 ? left : size));
}

/** Two dimensions, cut before `axis`. */
export function Flatten(call: Call): Result {
  const x = call.tensor(0);
  const axis = call.int("axis", 1);
  const counted = axis < 0 ? axis + x.dim() : axis;
  if (counted < 0 || counted > x.dim()) return call.fail(`flattens from dimension ${axis} of [${x.shape}]`);
  return x.reshape([sizeOf(x.shape.slice(0, counted)), sizeOf(x.shape.slice(counted))]);
}

/** The axes, counted from 0 in a tensor of `rank` dimensions, in rising order. */
function axesOf(call: Call, axes: readonly number[], rank: number): number[] {
  const dims = axes.map((axis) => call.dimension(axis, rank)).sort((a, b) => a - b);
  return new Set(dims).size === dims.length ? dims : call.fail(`names a dimension twice (${shapeText(axes)})`);
}

export function Squeeze(call: Call): Result {
  const x = call.tensor(0);
  const axes = call.intsOf("axes", 1);
  const fixed = call.reference?.inputs[0] ?? x.shape;
  const dims = axes ? axesOf(call, axes, x.dim()) : x.shape.flatMap((_, i) => (fixed[i] === 1 ? [i] : []));
  const bad = dims.find((dim) => x.shape[dim] !== 1);
  if (bad !== undefined) return call.fail(`cannot take dimension ${bad} out of [${x.shape}]`);
  return x.reshape(x.shape.filter((_, i) => !dims.includes(i)));
}
Squeeze.fixed = [1];

export function Unsqueeze(call: Call): Result {
  const x = call.tensor(0);
  const axes = call.intsOf("axes", 1) ?? call.fail("names no dimensions");
  const rank = x.dim() + axes.length;
  if (rank > 64) return call.fail(`would make ${rank} dimensions`);
  const dims = axesOf(call, axes, rank);
  const own = x.shape.values();
  return x.reshape(Array.from({ length: rank }, (_, i) => (dims.includes(i) ? 1 : (own.next().value ?? 1))));
}
Unsqueeze.fixed = [1];

export function Transpose(call: Call): Result {
  const x = call.tensor(0);
  const order = call.ints("perm") ?? x.shape.map((_, i) => i).reverse();
  const sorted = [...order].sort((a, b) => a - b);
  if (order.length !== x.dim() || sorted.some((dim, i) => dim !== i)) {
    return call.fail(`orders the dimensions of [${x.shape}] as ${shapeText(order)}`);
  }
  return x.permute(order);
}

/** Broadcasting, in which either side may have the larger size. */
export function Expand(call: Call): Result {
  const x = call.tensor(0);
  const wanted = expandTarget(call, call.numbers(1));
  const shape = wanted.every((size) => size >= 0) ? broadcastShape(x.shape, wanted) : undefined;
  if (!shape) return call.fail(`cannot broadcast [${x.shape}] to ${shapeText(wanted)}`);
  call.allow(shape);
  return x.expand(shape);
}
Expand.fixed = [1];

/** Target shape of Expand: a constant with the file's batch gets this run's, where the input has it. */
function expandTarget(call: Call, wanted: readonly number[]): readonly number[] {
  const { reference } = call;
  const [fixedIn, fixedOut] = [reference?.inputs[0], reference?.outputs[0]];
  if (!reference || !fixedIn || !fixedOut || !call.isConstant(1)) return wanted;
  const from = batchDim(call.shape(0), fixedIn, reference.batch);
  if (from === undefined) return wanted;
  return scaled(fixedOut, from + fixedOut.length - fixedIn.length, reference.batch) ?? wanted;
}

export function Tile(call: Call): Result {
  const x = call.tensor(0);
  const counts = call.numbers(1);
  if (counts.length !== x.dim() || counts.some((count) => count < 0)) {
    return call.fail(`repeats [${x.shape}] ${shapeText(counts)} times`);
  }
  return repeated(call, x, counts);
}
Tile.fixed = [1];

export function Identity(call: Call): Result {
  return ops.alias(call.tensor(0));
}

/** Floating types are all the images' own: precision is chosen for the whole network. Integers become int64. */
export function Cast(call: Call): Result {
  const type = call.int("to", 1);
  const dtype = dtypeOf(type) ?? call.fail(`makes elements of type ${typeName(type)}, which is not supported`);
  const x = call.tensor(0);
  if (isFloating(dtype)) return call.isFloat(0) ? ops.alias(x) : x.to({ dtype: call.floating });
  return x.to({ dtype: dtype === "bool" ? "bool" : "int64" });
}

export function CastLike(call: Call): Result {
  const x = call.tensor(0);
  if (call.isFloat(1)) return call.isFloat(0) ? ops.alias(x) : x.to({ dtype: call.floating });
  return x.to({ dtype: call.tensor(1).dtype });
}
CastLike.fixed = [1];

/** A tensor of one value; a short one stays on the JavaScript side. */
export function ConstantOfShape(call: Call): Result {
  const shape = call.numbers(0);
  call.allow(shape);
  const { kind, data } = call.node.filling ?? new HostArray("float", [], [0]);
  const [value = 0] = data;
  if (sizeOf(shape) <= maximumHostElements) {
    return new HostArray(kind, shape, new Array<number>(sizeOf(shape)).fill(value));
  }
  const dtype = kind === "float" ? call.floating : kind === "bool" ? "bool" : "int64";
  return full(shape, value, { dtype, device: call.device });
}
ConstantOfShape.fixed = all;

export function Range(call: Call): Result {
  const [start, limit, step] = [call.number(0), call.number(1), call.number(2)];
  const count = Math.max(Math.ceil((limit - start) / step), 0);
  if (!Number.isFinite(count)) return call.fail(`counts from ${start} to ${limit} by ${step}`);
  call.allow([count]);
  const dtype = call.isFloat(0) ? call.floating : "int64";
  if (count === 0) return full([0], 0, { dtype, device: call.device });
  return arange(0, count, 1, { device: call.device }).to({ dtype }).mul(step).add(start);
}
Range.fixed = all;

export function EyeLike(call: Call): Result {
  const [rows = 0, columns = 0, ...rest] = call.shape(0);
  if (rest.length > 0 || call.shape(0).length !== 2)
    return call.fail(`makes a diagonal of ${shapeText(call.shape(0))}`);
  const index = (count: number): Tensor => arange(0, count, 1, { device: call.device });
  const hit = ops.eq(index(rows).add(call.int("k", 0)).unsqueeze(1), index(columns));
  const type = call.node.attributes.int("dtype");
  const dtype = type === undefined ? undefined : dtypeOf(type);
  return hit.to({ dtype: !dtype || isFloating(dtype) ? call.floating : "int64" });
}
EyeLike.fixed = all;
