/** Operators of graph models that give, change or make shapes. */
import { arange, cat, full, ops, stack, type Tensor, tensor, UserError, zeros } from "../../../torch/index.ts";
import { reshaped } from "../../batch.ts";
import type { Context } from "../../step.ts";
import { dimension } from "../../values.ts";
import { resize } from "../resize.ts";
import type { Operator } from "./operator.ts";

/** Sizes as a tensor of whole numbers. */
function sizes(values: readonly number[]): Tensor {
  return values.length === 0 ? zeros([0], { dtype: "int32" }) : tensor(values as number[], { dtype: "int32" });
}

export const shape: Operator = (node) => {
  const x = node.tensor(0);
  return (values) => sizes(x(values).shape);
};

export const rank: Operator = (node) => {
  const x = node.tensor(0);
  return (values) => tensor(x(values).dim(), { dtype: "int32" });
};

export const size: Operator = (node) => {
  const x = node.tensor(0);
  return (values) => tensor(x(values).numel(), { dtype: "int32" });
};

export const reshape: Operator = (node) => {
  const x = node.tensor(0);
  const target = node.ints(1);
  return (values, context) => {
    const input = x(values);
    return input.reshape(forBatch(input, context) ?? target(values));
  };
};

/** The shape of a reshape for another batch than the graph's own; undefined where it is as the graph says. */
function forBatch(x: Tensor, context: Context): readonly number[] | undefined {
  const { reference } = context;
  const [[fixedIn], [fixedOut]] = [reference?.inputs ?? [], reference?.outputs ?? []];
  if (!reference || !fixedIn || !fixedOut || reference.inputs.length !== 1) return undefined;
  const found = reshaped(x.shape, fixedIn, fixedOut, reference.outers[0] ?? 1, reference.batch);
  if (found) {
    context.outer = found.outer;
    return found.shape;
  }
  const { declared, actual } = reference.batch;
  throw new UserError(`it gives [${fixedOut.join(", ")}] to ${declared} image(s), and nothing to ${actual}`);
}

export const squeeze: Operator = (node) => {
  const x = node.tensor(0);
  const { attributes } = node;
  const range = { min: -16, max: 16 };
  const axes = attributes.ints("squeeze_dims", range, attributes.ints("axis", range, []));
  return (values) => {
    const input = x(values);
    const dims = new Set(axes.map((axis) => dimension(axis, input.dim())));
    for (const dim of dims) {
      if (input.size(dim) !== 1) throw new UserError(`dimension ${dim} is ${input.size(dim)}, not 1`);
    }
    const drops = (dim: number): boolean => (dims.size > 0 ? dims.has(dim) : input.size(dim) === 1);
    return input.reshape(input.shape.filter((_, dim) => !drops(dim)));
  };
};

export const expandDims: Operator = (node) => {
  const x = node.tensor(0);
  const axis = node.int(1);
  return (values) => {
    const input = x(values);
    return input.unsqueeze(dimension(axis(values), input.dim() + 1));
  };
};

export const transpose: Operator = (node) => {
  const x = node.tensor(0);
  const order = node.ints(1);
  return (values) => x(values).permute(order(values));
};

function joined(given: readonly Tensor[], axis: number, context: Context): Tensor {
  const rank = given[0]?.dim() ?? 0;
  const dim = dimension(axis, rank);
  const all = dim > 0 && context.reference ? alike(given) : given;
  const [first] = all;
  if (!first) throw new UserError("nothing to join");
  const length = all.reduce((total, x) => total + (x.shape[dim] ?? 0), 0);
  context.allow(first.shape.map((side, i) => (i === dim ? length : side)));
  return all.length === 1 ? first : cat(all, dim);
}

/** Tensors of one image repeated to the images of the others, where the graph fixes its batch. */
function alike(all: readonly Tensor[]): readonly Tensor[] {
  const images = Math.max(...all.map((x) => x.size(0)));
  return all.map((x) => (x.size(0) === 1 && images > 1 ? x.expand([images, ...x.shape.slice(1)]) : x));
}

export const concatV2: Operator = (node) => {
  const all = node.tensors(0, node.count - 1);
  const axis = node.int(node.count - 1);
  return (values, context) => joined(all(values), axis(values), context);
};

export const concat: Operator = (node) => {
  const axis = node.int(0);
  const all = node.tensors(1);
  return (values, context) => joined(all(values), axis(values), context);
};

export const pack: Operator = (node) => {
  const all = node.tensors(0);
  const axis = node.attributes.int("axis", { min: -16, max: 16 }, 0);
  return (values, context) => {
    const parts = all(values);
    const [first] = parts;
    if (!first) throw new UserError("nothing to pack");
    context.allow([parts.length, ...first.shape]);
    return stack(parts, dimension(axis, first.dim() + 1));
  };
};

export const unpack: Operator = (node) => {
  const x = node.tensor(0);
  const axis = node.attributes.int("axis", { min: -16, max: 16 }, 0);
  return (values) => {
    const input = x(values);
    const dim = dimension(axis, input.dim());
    if (input.size(dim) > 1024) throw new UserError(`it would unpack ${input.size(dim)} tensors`);
    return input.unbind(dim);
  };
};

export const split: Operator = (node) => {
  const axis = node.int(0);
  const x = node.tensor(1);
  const count = node.attributes.int("num_split", { min: 1, max: 1024 }, 1);
  return (values) => {
    const input = x(values);
    const dim = dimension(axis(values), input.dim());
    if (input.size(dim) % count !== 0)
      throw new UserError(`${input.size(dim)} cannot be split into ${count} equal parts`);
    return input.split(input.size(dim) / count, dim);
  };
};

export const splitV: Operator = (node) => {
  const x = node.tensor(0);
  const parts = node.ints(1);
  const axis = node.int(2);
  return (values) => {
    const input = x(values);
    const dim = dimension(axis(values), input.dim());
    const given = parts(values);
    const known = given.filter((part) => part >= 0).reduce((a, b) => a + b, 0);
    const lengths = given.map((part) => (part < 0 ? input.size(dim) - known : part));
    let start = 0;
    return lengths.map((length) => {
      if (length < 0 || start + length > input.size(dim)) throw new UserError(`it cannot be split into ${given}`);
      start += length;
      return input.narrow(dim, start - length, length);
    });
  };
};

export const tile: Operator = (node) => {
  const x = node.tensor(0);
  const times = node.ints(1);
  return (values, context) => {
    const input = x(values);
    const multiples = times(values);
    if (multiples.length !== input.dim() || multiples.some((n) => n < 0)) {
      throw new UserError(`it cannot be repeated [${multiples.join(", ")}] times`);
    }
    context.allow(input.shape.map((side, i) => side * (multiples[i] ?? 1)));
    return ops.repeat(input, multiples);
  };
};

export const broadcastTo: Operator = (node) => {
  const x = node.tensor(0);
  const target = node.ints(1);
  return (values, context) => {
    const input = x(values);
    const sizes = target(values);
    const [images, one] = [input.shape[0] ?? 1, sizes[0] === 1 && sizes.length === input.dim()];
    const shape = context.reference && one ? [images, ...sizes.slice(1)] : sizes;
    context.allow(shape);
    return input.expand(shape);
  };
};

export const fill: Operator = (node) => {
  const dims = node.ints(0);
  const value = node.tensor(1);
  return (values, context) => {
    const single = value(values);
    if (single.numel() !== 1 || dims(values).some((side) => side < 0)) throw new UserError("it cannot be filled");
    context.allow(dims(values));
    return full(dims(values), single.item(), { dtype: single.dtype, device: single.device });
  };
};

export const range: Operator = (node) => {
  const [start, limit, delta] = [node.tensor(0), node.tensor(1), node.tensor(2)];
  return (values, context) => {
    const [from, to, step] = [start, limit, delta].map((get) => get(values).item()) as [number, number, number];
    const length = Math.max(Math.ceil((to - from) / step), 0);
    if (!Number.isFinite(length)) throw new UserError(`a range from ${from} to ${to} by ${step} never ends`);
    context.allow([length]);
    const numbers = arange(0, length, 1, { dtype: "float64" }).mul(step).add(from);
    return numbers.to({ dtype: start(values).dtype });
  };
};

export function resizing(method: "bilinear" | "nearest"): Operator {
  return (node) => {
    const x = node.tensor(0);
    const target = node.ints(1);
    const options = {
      method,
      alignCorners: node.attributes.boolean("align_corners", false),
      halfPixelCenters: node.attributes.boolean("half_pixel_centers", false),
    };
    return (values, context) => {
      const [height = 0, width = 0, ...more] = target(values);
      if (more.length > 0) throw new UserError("the size must be two numbers");
      return resize(x(values), [height, width], options, context);
    };
  };
}
