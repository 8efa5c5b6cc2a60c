/** Operators of graph models that take parts of tensors, or add borders to them. */
import { ops, type Tensor, tensor, UserError } from "../../../torch/index.ts";
import type { Context } from "../../step.ts";
import { dimension } from "../../values.ts";
import type { Operator } from "./operator.ts";

function picked(x: Tensor, dim: number, indices: readonly number[]): Tensor {
  return ops.index_select(
    x,
    dim,
    tensor(indices as number[], { dtype: "int64", shape: [indices.length], device: x.device }),
  );
}

export const slice: Operator = (node) => {
  const x = node.tensor(0);
  const begin = node.ints(1);
  const size = node.ints(2);
  return (values) => {
    const input = x(values);
    const [starts, lengths] = [begin(values), size(values)];
    if (starts.length !== input.dim() || lengths.length !== input.dim()) {
      throw new UserError(`a slice at [${starts.join(", ")}] of [${lengths.join(", ")}] does not fit its dimensions`);
    }
    return starts.reduce((left, start, dim) => {
      const length = lengths[dim] ?? -1;
      return left.narrow(dim, start, length === -1 ? left.size(dim) - start : length);
    }, input);
  };
};

interface Masks {
  begin: number;
  end: number;
  ellipsis: number;
  newAxis: number;
  shrink: number;
}

export const stridedSlice: Operator = (node) => {
  const x = node.tensor(0);
  const begin = node.ints(1);
  const end = node.ints(2);
  const strides = node.count > 3 ? node.ints(3) : undefined;
  const bits = { min: 0, max: 2 ** 16 - 1 };
  const mask = (key: string): number => node.attributes.int(key, bits, 0);
  const masks: Masks = {
    begin: mask("begin_mask"),
    end: mask("end_mask"),
    ellipsis: mask("ellipsis_mask"),
    newAxis: mask("new_axis_mask"),
    shrink: mask("shrink_axis_mask"),
  };
  return (values) => {
    const starts = begin(values);
    return strided(x(values), starts, end(values), strides?.(values) ?? starts.map(() => 1), masks);
  };
};

/** NumPy's indexing, one entry after the other. */
function strided(
  x: Tensor,
  begin: readonly number[],
  end: readonly number[],
  strides: readonly number[],
  masks: Masks,
): Tensor {
  if (begin.length !== end.length || begin.length !== strides.length) {
    throw new UserError(
      `its ${begin.length} starts, ${end.length} ends and ${strides.length} strides differ in number`,
    );
  }
  const has = (mask: number, i: number): boolean => ((mask >> i) & 1) === 1;
  const takes = begin.filter((_, i) => !has(masks.newAxis, i) && !has(masks.ellipsis, i)).length;
  if (takes > x.dim()) throw new UserError(`${takes} dimensions are sliced of ${x.dim()}`);
  let result = x;
  let dim = 0;
  for (let i = 0; i < begin.length; i++) {
    if (has(masks.ellipsis, i)) dim += x.dim() - takes;
    else if (has(masks.newAxis, i)) result = result.unsqueeze(dim++);
    else if (has(masks.shrink, i)) {
      const length = result.size(dim);
      const index = begin[i] ?? 0;
      if (index < -length || index >= length) throw new UserError(`there is no index ${index} of ${length}`);
      result = result.select(dim, index < 0 ? index + length : index);
    } else {
      const bounds = { begin: has(masks.begin, i) ? undefined : begin[i], end: has(masks.end, i) ? undefined : end[i] };
      result = stepped(result, dim++, bounds.begin, bounds.end, strides[i] ?? 1);
    }
  }
  return result;
}

function stepped(x: Tensor, dim: number, begin: number | undefined, end: number | undefined, stride: number): Tensor {
  const length = x.size(dim);
  if (stride === 0) throw new UserError("a stride of 0 never ends");
  const clamp = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);
  const place = (value: number): number => (value < 0 ? value + length : value);
  if (stride > 0) {
    const from = begin === undefined ? 0 : clamp(place(begin), 0, length);
    const to = end === undefined ? length : clamp(place(end), from, length);
    return stride === 1 ? x.narrow(dim, from, to - from) : ops.slice(x, dim, from, to, stride);
  }
  const from = begin === undefined ? length - 1 : clamp(place(begin), -1, length - 1);
  const to = end === undefined ? -1 : clamp(place(end), -1, from);
  const count = Math.ceil((from - to) / -stride);
  return picked(
    x,
    dim,
    Array.from({ length: count }, (_, i) => from + i * stride),
  );
}

export const gather: Operator = (node) => {
  const x = node.tensor(0);
  const indices = node.tensor(1);
  const axis = node.count > 2 ? node.int(2) : () => 0;
  if (node.attributes.int("batch_dims", { min: -16, max: 16 }, 0) !== 0) node.fail('"batch_dims" is not supported');
  return (values, context) => {
    const input = x(values);
    const wanted = indices(values);
    const dim = dimension(axis(values), input.dim());
    const shape = [...input.shape.slice(0, dim), ...wanted.shape, ...input.shape.slice(dim + 1)];
    context.allow(shape);
    const flat = wanted.reshape([wanted.numel()]).to({ dtype: "int64", device: input.device });
    return ops.index_select(input, dim, flat).reshape(shape);
  };
};

export const gatherNd: Operator = (node) => {
  const x = node.tensor(0);
  const indices = node.tensor(1);
  return (values, context) => {
    const input = x(values);
    const wanted = indices(values);
    const depth = wanted.shape.at(-1) ?? 0;
    if (depth < 1 || depth > input.dim()) throw new UserError(`it takes places of ${depth} numbers`);
    context.allow([...wanted.shape.slice(0, -1), ...input.shape.slice(depth)]);
    const whole = wanted.to({ dtype: "int64", device: input.device });
    return ops.index(
      input,
      Array.from({ length: depth }, (_, k) => ops.select(whole, -1, k)),
    );
  };
};

export const reverse: Operator = (node) => {
  const x = node.tensor(0);
  const axes = node.ints(1);
  return (values) => {
    const input = x(values);
    return input.flip([...new Set(axes(values).map((axis) => dimension(axis, input.dim())))]);
  };
};

/** Before and after each dimension, [rank, 2] in one run. */
function checkedPads(x: Tensor, pads: readonly number[], context: Context): [number, number][] {
  if (pads.length !== 2 * x.dim() || pads.some((pad) => pad < 0)) {
    throw new UserError(`it cannot be padded by [${pads.slice(0, 16).join(", ")}]`);
  }
  context.allow(x.shape.map((side, dim) => side + (pads[2 * dim] ?? 0) + (pads[2 * dim + 1] ?? 0)));
  return x.shape.map((_, dim) => [pads[2 * dim] ?? 0, pads[2 * dim + 1] ?? 0]);
}

export const pad: Operator = (node) => {
  const x = node.tensor(0);
  const amounts = node.ints(1);
  const value = node.count > 2 ? node.tensor(2) : undefined;
  return (values, context) => {
    const pads = checkedPads(x(values), amounts(values), context);
    const border = value?.(values);
    if (border && border.numel() !== 1) throw new UserError("the border must be one number");
    return ops.constant_pad_nd(x(values), pads.toReversed().flat(), border?.item() ?? 0);
  };
};

/** "REFLECT" leaves the edge itself out, "SYMMETRIC" repeats it. */
export const mirrorPad: Operator = (node) => {
  const x = node.tensor(0);
  const amounts = node.ints(1);
  const mode = node.attributes.string("mode", "REFLECT").toUpperCase();
  if (mode !== "REFLECT" && mode !== "SYMMETRIC") node.fail(`the mode "${mode.slice(0, 20)}" is not supported`);
  const gap = mode === "REFLECT" ? 1 : 0;
  return (values, context) => {
    const pads = checkedPads(x(values), amounts(values), context);
    return pads.reduce((left, [before, after], dim) => {
      const side = left.size(dim);
      if (before === 0 && after === 0) return left;
      if (Math.max(before, after) > side - gap)
        throw new UserError(`a border of ${before} and ${after} mirrors more than ${side}`);
      const mirrored = Array.from({ length: before + side + after }, (_, i) => {
        const place = i - before;
        if (place < 0) return -place - 1 + gap;
        return place < side ? place : 2 * side - 1 - place - gap;
      });
      return picked(left, dim, mirrored);
    }, x(values));
  };
};

/** Blocks of pixels become images of their own: dilated convolutions in TensorFlow 1. */
export const spaceToBatch: Operator = (node) => {
  const x = node.tensor(0);
  const block = node.ints(1);
  const amounts = node.ints(2);
  return (values, context) => {
    const input = x(values);
    const blocks = checkedBlocks(block(values), input);
    const pads = amounts(values);
    const rest = new Array<number>(2 * (input.dim() - 1 - blocks.length)).fill(0);
    const spatial = checkedPads(input, [0, 0, ...pads, ...rest], context);
    const padded = ops.constant_pad_nd(input, spatial.toReversed().flat(), 0);
    const [n = 0, ...sides] = padded.shape;
    const tail = sides.slice(blocks.length);
    const shape = blocks.flatMap((b, i) => [(sides[i] ?? 0) / b, b]);
    if (shape.some((side) => !Number.isInteger(side)))
      throw new UserError(`blocks of ${blocks} do not divide ${sides}`);
    const cut = padded.reshape([n, ...shape, ...tail]);
    const inner = blocks.map((_, i) => 2 + 2 * i);
    const outer = blocks.map((_, i) => 1 + 2 * i);
    const last = tail.map((_, i) => 1 + 2 * blocks.length + i);
    const order = [...inner, 0, ...outer, ...last];
    const all = n * blocks.reduce((a, b) => a * b, 1);
    return cut.permute(order).reshape([all, ...outer.map((dim) => cut.size(dim)), ...tail]);
  };
};

export const batchToSpace: Operator = (node) => {
  const x = node.tensor(0);
  const block = node.ints(1);
  const amounts = node.ints(2);
  return (values) => {
    const input = x(values);
    const blocks = checkedBlocks(block(values), input);
    const [all = 0, ...sides] = input.shape;
    const n = all / blocks.reduce((a, b) => a * b, 1);
    if (!Number.isInteger(n)) throw new UserError(`${all} images are no multiple of blocks of ${blocks}`);
    const tail = sides.slice(blocks.length);
    const cut = input.reshape([...blocks, n, ...sides]);
    const m = blocks.length;
    const pairs = blocks.flatMap((_, i) => [m + 1 + i, i]);
    const woven = cut.permute([m, ...pairs, ...tail.map((_, i) => 2 * m + 1 + i)]);
    const whole = woven.reshape([n, ...blocks.map((b, i) => b * (sides[i] ?? 0)), ...tail]);
    const crops = amounts(values);
    if (crops.length !== 2 * m) throw new UserError(`it cannot be cropped by [${crops.join(", ")}]`);
    return blocks.reduce((left, _, i) => {
      const [before = 0, after = 0] = crops.slice(2 * i, 2 * i + 2);
      return left.narrow(1 + i, before, left.size(1 + i) - before - after);
    }, whole);
  };
};

function checkedBlocks(blocks: readonly number[], x: Tensor): readonly number[] {
  if (blocks.length >= 1 && blocks.length < x.dim() && blocks.every((block) => block >= 1)) return blocks;
  throw new UserError(`blocks of [${blocks.join(", ")}] do not fit its dimensions`);
}

export const depthToSpace: Operator = (node) => {
  const x = node.tensor(0);
  const block = node.attributes.int("block_size", { min: 2, max: 1024 }, 2);
  if (node.attributes.string("data_format", "NHWC") !== "NHWC") node.fail("only the data format NHWC is supported");
  return (values) => {
    const input = x(values);
    const [n = 0, height = 0, width = 0, channels = 0] = input.shape;
    const left = channels / block ** 2;
    if (input.dim() !== 4 || !Number.isInteger(left))
      throw new UserError(`${channels} channels are no blocks of ${block}`);
    const cut = input.reshape([n, height, width, block, block, left]).permute([0, 1, 3, 2, 4, 5]);
    return cut.reshape([n, height * block, width * block, left]);
  };
};
