/** Operators of graph models that work number by number, and reductions. */
import { type Dtype, ops, type Tensor, UserError, where, zeros } from "../../../torch/index.ts";
import type { Context, RectifierName } from "../../step.ts";
import { broadcast, dimension } from "../../values.ts";
import { prelu } from "../activations.ts";
import { linked } from "../step.ts";
import type { Operator } from "./operator.ts";

export function unary(fn: (x: Tensor) => Tensor, activation?: RectifierName): Operator {
  return (node) => {
    const x = node.tensor(0);
    return linked((values) => fn(x(values)), activation && { kind: "activation", activation });
  };
}

/** Whole numbers that steer the graph lie on the CPU, whatever the device of the images. */
function together(a: Tensor, b: Tensor): [Tensor, Tensor] {
  const [here, there] = [a.device, b.device];
  if (here === there) return [a, b];
  return here === "cpu" ? [a.to({ device: there }), b] : [a, b.to({ device: here })];
}

/** @param kind what it is with a vector over the last dimension, on either side */
export function binary(fn: (a: Tensor, b: Tensor) => Tensor, kind?: "scale" | "shift"): Operator {
  return (node) => {
    const first = node.tensor(0);
    const second = node.tensor(1);
    const run = (values: readonly Tensor[], context: Context): Tensor => {
      const [a, b] = together(first(values), second(values));
      context.allow(broadcast([a.shape, b.shape]));
      return fn(a, b);
    };
    const by = kind && node.inputs.length === 1 ? (node.vector(1) ?? node.vector(0)) : undefined;
    return linked(run, kind && by && { kind, channel: 3, by });
  };
}

/** Division that gives whole numbers for whole numbers. */
export function floorDiv(a: Tensor, b: Tensor): Tensor {
  return ops.floor(a.div(b)).to({ dtype: a.dtype });
}

export function floorMod(a: Tensor, b: Tensor): Tensor {
  return a.sub(floorDiv(a, b).mul(b));
}

export function divNoNan(a: Tensor, b: Tensor): Tensor {
  const none = b.eq(0);
  return a.div(b.masked_fill(none, 1)).masked_fill(none, 0);
}

export const addN: Operator = (node) => {
  const all = node.tensors(0);
  return (values, context) => {
    const terms = all(values);
    context.allow(broadcast(terms.map((term) => term.shape)));
    return terms.reduce((a, b) => a.add(b));
  };
};

export const leakyRelu: Operator = (node) => {
  const x = node.tensor(0);
  const slope = node.attributes.float("alpha", 0.2);
  return (values) => ops.leaky_relu(x(values), slope);
};

export const preluOperator: Operator = (node) => {
  const x = node.tensor(0);
  const alpha = node.tensor(1);
  return (values, context) => {
    context.allow(broadcast([x(values).shape, alpha(values).shape]));
    return prelu(x(values), alpha(values));
  };
};

export const clipByValue: Operator = (node) => {
  const x = node.tensor(0);
  const low = node.tensor(1);
  const high = node.tensor(2);
  return (values) => {
    const [from, to] = [low(values), high(values)];
    if (from.numel() !== 1 || to.numel() !== 1) throw new UserError("the limits must be single numbers");
    return x(values).clamp(from.item(), to.item());
  };
};

export const select: Operator = (node) => {
  const condition = node.tensor(0);
  const first = node.tensor(1);
  const second = node.tensor(2);
  return (values, context) => {
    const [a, b] = together(first(values), second(values));
    const [mask] = together(condition(values), a);
    context.allow(broadcast([mask.shape, a.shape, b.shape]));
    return where(mask.to({ dtype: "bool" }), a, b);
  };
};

export const cast: Operator = (node) => {
  const x = node.tensor(0);
  const to = node.attributes.dtype("DstT", "float32");
  return (values) => {
    const input = x(values);
    // Images come as floating numbers, even where the graph declares bytes.
    return input.dtype === to ? input : input.to({ dtype: to });
  };
};

type Reduce = (x: Tensor, dims: readonly number[], keep: boolean) => Tensor;

export function reduction(fn: Reduce): Operator {
  return (node) => {
    const x = node.tensor(0);
    const axes = node.ints(1);
    const keep = node.attributes.boolean("keep_dims", node.attributes.boolean("keepdims", false));
    return (values) => {
      const input = x(values);
      const dims = [...new Set(axes(values).map((axis) => dimension(axis, input.dim())))];
      return dims.length === 0 ? input : fn(input, dims, keep);
    };
  };
}

/** libtorch multiplies over one dimension at a time. */
export function product(x: Tensor, dims: readonly number[], keep: boolean): Tensor {
  const dtype: Dtype = x.dtype;
  return dims.toSorted((a, b) => b - a).reduce((left, dim) => ops.prod(left, dim, keep).to({ dtype }), x);
}

/** Sums of whole numbers stay of their type. */
export function sum(x: Tensor, dims: readonly number[], keep: boolean): Tensor {
  return x.sum(dims, keep).to({ dtype: x.dtype });
}

export function argument(fn: (x: Tensor, dim: number) => Tensor): Operator {
  return (node) => {
    const x = node.tensor(0);
    const axis = node.count > 1 ? node.int(1) : () => 0;
    return (values) => {
      const input = x(values);
      return fn(input, dimension(axis(values), input.dim())).to({ dtype: "int32" });
    };
  };
}

export function like(value: 0 | 1): Operator {
  return unary((x) => zeros(x.shape, { dtype: x.dtype, device: x.device }).fill_(value));
}
