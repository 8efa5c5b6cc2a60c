/** Taking tensors apart and putting them together. */
import { quoted } from "../../../io/index.ts";
import { arange, full, ops, type Tensor, tensor } from "../../../torch/index.ts";
import { batchDim, repeats } from "../../batch.ts";
import { HostArray, shapeText } from "../../values.ts";
import type { Call, Result } from "../call.ts";
import { all, repeated, upTo } from "./support.ts";

/** Bounds are attributes up to operator set 9, then inputs; beyond the end means the end. */
export function Slice(call: Call): Result {
  const starts = call.intsOf("starts", 1) ?? call.fail("has no starts");
  const ends = call.intsOf("ends", 2) ?? call.fail("has no ends");
  const axes = call.intsOf("axes", 3) ?? upTo(starts.length);
  const steps = call.has(4) ? call.numbers(4) : starts.map(() => 1);
  if (ends.length !== starts.length || axes.length !== starts.length || steps.length !== starts.length) {
    return call.fail("has starts, ends, axes and steps of different lengths");
  }
  let x = call.tensor(0);
  for (const [i, axis] of axes.entries()) {
    const dim = call.dimension(axis, x.dim());
    x = slicedAlong(call, x, dim, { start: starts[i] ?? 0, end: ends[i] ?? 0, step: steps[i] ?? 1 });
  }
  return ops.alias(x);
}
Slice.fixed = [1, 2, 3, 4];

interface Cut {
  start: number;
  end: number;
  step: number;
}

function slicedAlong(call: Call, x: Tensor, dim: number, { start, end, step }: Cut): Tensor {
  if (step === 0) return call.fail("steps by 0");
  const fixed = call.reference?.inputs[0]?.[dim];
  // All of the file's batch is all of this run's.
  const isAll = fixed !== undefined && step === 1 && (start === 0 || start <= -fixed) && end >= fixed;
  if (isAll) return x;
  call.along(dim);
  const size = x.size(dim);
  const counted = (at: number): number => (at < 0 ? at + size : at);
  if (step > 0) {
    const from = Math.min(Math.max(counted(start), 0), size);
    return ops.slice(x, dim, from, Math.max(Math.min(Math.max(counted(end), 0), size), from), Math.min(step, size + 1));
  }
  const from = Math.min(Math.max(counted(start), -1), size - 1);
  const to = Math.min(Math.max(counted(end), -1), size - 1);
  const count = Math.max(Math.ceil((to - from) / step), 0);
  return ops.index_select(
    x,
    dim,
    indices(
      call,
      Array.from({ length: count }, (_, i) => from + i * step),
    ),
  );
}

function indices(call: Call, values: readonly number[]): Tensor {
  return tensor(BigInt64Array.from(values, BigInt), { device: call.device });
}

/** Indices in bounds, negative ones counted from the end. */
function positions(call: Call, i: number, size: number): Tensor {
  const given = call.value(i);
  if (given instanceof HostArray) {
    const bad = given.data.find((at) => !Number.isInteger(at) || at < -size || at >= size);
    if (bad !== undefined) call.fail(`takes element ${bad} of ${size}`);
    if (given.data.every((at) => at >= 0)) return call.tensor(i);
    const counted = given.data.map((at) => (at < 0 ? at + size : at));
    return indices(call, counted).view(given.shape);
  }
  const index = call.tensor(i).to({ dtype: "int64" });
  return ops.where(ops.lt(index, 0), ops.add(index, size), index);
}

export function Gather(call: Call): Result {
  const x = call.tensor(0);
  const index = call.value(1);
  const dim = call.along(call.int("axis", 0));
  const shape = [...x.shape.slice(0, dim), ...index.shape, ...x.shape.slice(dim + 1)];
  call.allow(shape);
  const at = positions(call, 1, x.size(dim));
  if (index instanceof HostArray && index.shape.length === 0) {
    const [only = 0] = index.data;
    return ops.select(x, dim, only < 0 ? only + x.size(dim) : only);
  }
  return ops.index_select(x, dim, at.reshape([-1])).reshape(shape);
}
Gather.fixed = [1];

export function GatherElements(call: Call): Result {
  const x = call.tensor(0);
  const dim = call.along(call.int("axis", 0));
  call.allow(call.shape(1));
  return ops.gather(x, dim, positions(call, 1, x.size(dim)));
}
GatherElements.fixed = [1];

/** One index tensor for each of the first dimensions of `x` from tuples in the last dimension of input i. */
function tuples(call: Call, x: Tensor, i: number): { at: Tensor[]; depth: number } {
  const index = call.tensor(i);
  const depth = index.dim() === 0 ? 0 : index.size(-1);
  if (depth < 1 || depth > x.dim()) return call.fail(`takes places ${shapeText(index.shape)} of [${x.shape}]`);
  const at = upTo(depth).map((k) => {
    const part = ops.select(index, -1, k);
    return ops.where(ops.lt(part, 0), ops.add(part, x.size(k)), part);
  });
  return { at, depth };
}

export function GatherND(call: Call): Result {
  const x = call.tensor(0);
  const batch = call.int("batch_dims", 0);
  if (batch !== 0) return gatherEach(call, x, batch);
  call.along(0);
  const { at, depth } = tuples(call, x, 1);
  call.allow([...call.shape(1).slice(0, -1), ...x.shape.slice(depth)]);
  return ops.index(x, at);
}
GatherND.fixed = [1];

/** Each batch, which the first dimensions of both inputs count, from its own part. */
function gatherEach(call: Call, x: Tensor, batch: number): Tensor {
  const index = call.tensor(1);
  const leading = x.shape.slice(0, batch);
  const depth = index.dim() === 0 ? 0 : index.size(-1);
  const fits = batch > 0 && batch < index.dim() && index.shape.slice(0, batch).join() === leading.join();
  if (!fits || depth < 1 || batch + depth > x.dim()) {
    return call.fail(`takes places ${shapeText(index.shape)} of [${x.shape}] in ${batch} dimensions of batches`);
  }
  const places = index.shape.slice(batch, -1);
  const rest = x.shape.slice(batch + depth);
  call.allow([...leading, ...places, ...rest]);
  const batches = leading.reduce((product, size) => product * size, 1);
  const flat = x.reshape([batches, ...x.shape.slice(batch)]);
  const at = upTo(depth).map((k) => {
    const part = ops.select(index, -1, k).reshape([batches, -1]);
    return ops.where(ops.lt(part, 0), ops.add(part, x.size(batch + k)), part);
  });
  const rows = arange(0, batches, 1, { device: call.device }).unsqueeze(1);
  return ops.index(flat, [rows, ...at]).reshape([...leading, ...places, ...rest]);
}

function noReduction(call: Call): void {
  const kind = call.string("reduction", "none");
  if (kind !== "none" && kind !== "add") call.fail(`combines by ${quoted(kind)}, which is not supported`);
}

export function ScatterND(call: Call): Result {
  noReduction(call);
  const x = call.tensor(0);
  call.along(0);
  return ops.index_put(x, tuples(call, x, 1).at, call.tensor(2), call.string("reduction", "none") === "add");
}
ScatterND.fixed = [1];

export function ScatterElements(call: Call): Result {
  noReduction(call);
  const x = call.tensor(0);
  const dim = call.along(call.int("axis", 0));
  const at = positions(call, 1, x.size(dim));
  const adds = call.string("reduction", "none") === "add";
  return adds ? ops.scatter_add(x, dim, at, call.tensor(2)) : ops.scatter(x, dim, at, call.tensor(2));
}
ScatterElements.fixed = [1];

/** Parts of given sizes, or of equal ones with the last smaller. */
export function Split(call: Call): Result {
  const x = call.tensor(0);
  const dim = call.along(call.int("axis", 0));
  const size = x.size(dim);
  const count = call.node.outputs.length;
  const each = Math.ceil(size / call.int("num_outputs", count));
  const equal = upTo(count).map((i) => Math.min(each, Math.max(size - i * each, 0)));
  const sizes = call.intsOf("split", 1) ?? equal;
  const fits = sizes.length === count && sizes.every((part) => part >= 0) && sizes.reduce((a, b) => a + b, 0) === size;
  if (!fits) return call.fail(`splits ${size} into ${shapeText(sizes)} for ${count} outputs`);
  let start = 0;
  return sizes.map((part) => {
    start += part;
    return x.narrow(dim, start - part, part);
  });
}
Split.fixed = [1];

/** Inputs that are the same for every image are repeated where the file fixes its batch. */
export function Concat(call: Call): Result {
  const rank = call.shape(0).length;
  const dim = call.along(call.node.attributes.int("axis") ?? call.fail("does not say along which dimension"));
  const positionsOf = [...call.inputs.keys()];
  if (positionsOf.some((i) => call.shape(i).length !== rank)) return call.fail("joins tensors of different dimensions");
  const tensors = fittingBeside(call, dim);
  const total = tensors.reduce((sum, part) => sum + part.size(dim), 0);
  const [first] = tensors;
  if (!first) return call.fail("joins nothing");
  call.allow(first.shape.with(dim, total));
  return ops.cat(tensors, dim);
}

function fittingBeside(call: Call, dim: number): Tensor[] {
  const tensors = [...call.inputs.keys()].map((i) => call.tensor(i));
  const { reference } = call;
  if (!reference) return tensors;
  const shapes = tensors.map((part) => part.shape);
  const counts = repeats(shapes, reference.inputs, reference.batch, (other) => other === dim);
  if (!counts) return call.fail(call.batchProblem("joins tensors of different batches"));
  // The images themselves must not be joined with something else along their own dimension.
  for (const [i, shape] of shapes.entries()) {
    if (batchDim(shape, reference.inputs[i] ?? shape, reference.batch) !== dim || tensors.length === 1) continue;
    return call.fail(call.batchProblem("joins images with others"));
  }
  return tensors.map((part, i) => repeated(call, part, counts[i] ?? []));
}

/** Constant, reflected, repeated at the edge, or wrapped around; negative pads cut. */
export function Pad(call: Call): Result {
  const x = call.tensor(0);
  const rank = x.dim();
  const given = call.intsOf("pads", 1) ?? call.fail("does not say how much it adds");
  const axes = call.has(3) ? call.numbers(3).map((axis) => call.dimension(axis, rank)) : upTo(rank);
  if (given.length !== 2 * axes.length) return call.fail(`has ${given.length} pads for ${axes.length} dimensions`);
  const before = new Array<number>(rank).fill(0);
  const after = new Array<number>(rank).fill(0);
  for (const [k, dim] of axes.entries()) {
    before[dim] = given[k] ?? 0;
    after[dim] = given[k + axes.length] ?? 0;
    if (before[dim] !== 0 || after[dim] !== 0) call.along(dim);
  }
  call.allow(x.shape.map((size, i) => size + (before[i] ?? 0) + (after[i] ?? 0)));
  const mode = call.string("mode", "constant");
  if (mode === "constant") {
    const value = call.opset < 11 ? call.float("value", 0) : call.has(2) ? call.number(2) : 0;
    return ops.constant_pad_nd(
      x,
      upTo(rank)
        .reverse()
        .flatMap((i) => [before[i] ?? 0, after[i] ?? 0]),
      value,
    );
  }
  return upTo(rank).reduce((made, dim) => edged(call, made, dim, mode, [before[dim] ?? 0, after[dim] ?? 0]), x);
}
Pad.fixed = [1, 2, 3];

function edged(call: Call, x: Tensor, dim: number, mode: string, [before, after]: [number, number]): Tensor {
  if (before === 0 && after === 0) return x;
  const size = x.size(dim);
  if (size === 0) return call.fail(`cannot continue [${x.shape}], which is empty`);
  const place = places[mode];
  if (!place) return call.fail(`pads in the unknown way ${quoted(mode)}`);
  const at = Array.from({ length: before + size + after }, (_, i) => place(i - before, size));
  return ops.index_select(x, dim, indices(call, at));
}

const modulo = (i: number, n: number): number => ((i % n) + n) % n;

/** Index of the element that stands at a place outside of n elements. */
const places: Readonly<Record<string, (i: number, n: number) => number>> = {
  edge: (i, n) => Math.min(Math.max(i, 0), n - 1),
  wrap: modulo,
  reflect: (i, n) => {
    if (n === 1) return 0;
    const around = modulo(i, 2 * (n - 1));
    return around < n ? around : 2 * (n - 1) - around;
  },
};

/** The upper or lower triangle of the last two dimensions. */
export function Trilu(call: Call): Result {
  const x = call.tensor(0);
  if (x.dim() < 2) return call.fail(`takes a triangle of [${x.shape}]`);
  const k = call.has(1) ? call.number(1) : 0;
  return call.flag("upper", true) ? ops.triu(x, k) : ops.tril(x, k);
}
Trilu.fixed = [1];

export function OneHot(call: Call): Result {
  const index = call.tensor(0);
  const depth = call.number(1);
  const [off = 0, on = 1] = call.numbers(2);
  const rank = index.dim() + 1;
  const axis = call.dimension(call.int("axis", -1), rank);
  call.allow([...index.shape, depth]);
  const options = { dtype: call.isFloat(2) ? call.floating : ("int64" as const), device: call.device };
  const classes = arange(0, depth, 1, { device: call.device }).view(upTo(rank).map((i) => (i === axis ? depth : 1)));
  const whole = index.to({ dtype: "int64" });
  const hit = ops.eq(ops.where(ops.lt(whole, 0), ops.add(whole, depth), whole).unsqueeze(axis), classes);
  return ops.where(hit, full([], on, options), full([], off, options));
}
OneHot.fixed = all;

/** Places of what is not 0, [rank, count]; only of arrays that do not depend on pixels. */
export function NonZero(call: Call): Result {
  if (!call.onHost) return call.fail("looks for what is not 0 among pixels, which makes shapes depend on them");
  const x = call.value(0);
  return ops.transpose(ops.nonzero(call.tensor(0)), 0, 1).reshape([x.shape.length, -1]);
}
NonZero.fixed = all;

/** Blocks of channels to blocks of pixels: DCR takes the block from the slowest channels, CRD from the fastest. */
export function DepthToSpace(call: Call): Result {
  const x = call.tensor(0);
  const block = call.int("blocksize", 1);
  const [n = 0, channels = 0, height = 0, width = 0] = x.shape;
  const depth = channels / block ** 2;
  if (x.dim() !== 4 || block < 1 || !Number.isInteger(depth)) return call.fail(`cannot take blocks of [${x.shape}]`);
  const isFirst = call.string("mode", "DCR") === "DCR";
  const parts = isFirst ? [n, block, block, depth, height, width] : [n, depth, block, block, height, width];
  const order = isFirst ? [0, 3, 4, 1, 5, 2] : [0, 1, 4, 2, 5, 3];
  return x
    .reshape(parts)
    .permute(order)
    .reshape([n, depth, height * block, width * block]);
}

export function SpaceToDepth(call: Call): Result {
  const x = call.tensor(0);
  const block = call.int("blocksize", 1);
  const [n = 0, channels = 0, height = 0, width = 0] = x.shape;
  const [rows, columns] = [height / block, width / block];
  if (x.dim() !== 4 || block < 1 || !Number.isInteger(rows) || !Number.isInteger(columns)) {
    return call.fail(`cannot take blocks of [${x.shape}]`);
  }
  const parts = x.reshape([n, channels, rows, block, columns, block]).permute([0, 3, 5, 1, 2, 4]);
  return parts.reshape([n, channels * block ** 2, rows, columns]);
}

/** Elements where a condition known beforehand holds. */
export function Compress(call: Call): Result {
  const x = call.tensor(0);
  const kept = call.numbers(1).flatMap((flag, i) => (flag ? [i] : []));
  const axis = call.node.attributes.int("axis");
  if (axis === undefined) return ops.index_select(x.reshape([-1]), 0, indices(call, kept));
  return ops.index_select(x, call.along(axis), indices(call, kept));
}
Compress.fixed = [1];
