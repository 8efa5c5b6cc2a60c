/** Helpers of several operators: broadcasting within limits, and inputs whose fixed batch is repeated to this run's. */
import { ops, type Tensor } from "../../../torch/index.ts";
import { repeats } from "../../batch.ts";
import { broadcastShape, shapeText } from "../../values.ts";
import type { Call, OperatorFunction, Traits } from "../call.ts";

/**
 * The inputs at the given positions as tensors that broadcast together; where the file fixes its batch, those that are the
 * same for every image are repeated.
 */
export function fitting(call: Call, positions: readonly number[]): Tensor[] {
  let shape: number[] | undefined = [];
  for (const i of positions) shape = shape && broadcastShape(shape, call.shape(i));
  const tensors = positions.map((i) => call.tensor(i));
  if (shape) {
    call.allow(shape);
    return tensors;
  }
  const { reference } = call;
  const shapes = tensors.map((tensor) => tensor.shape);
  const fixed = positions.map((i) => reference?.inputs[i] ?? []);
  const counts = reference && repeats(shapes, fixed, reference.batch, () => false);
  if (!counts) return call.fail(`cannot broadcast ${shapes.map(shapeText).join(" with ")}`);
  return tensors.map((tensor, i) => repeated(call, tensor, counts[i] ?? []));
}

/** A tensor tiled along each of its dimensions; the counts are aligned at the end. */
export function repeated(call: Call, tensor: Tensor, counts: readonly number[]): Tensor {
  const own = tensor.dim() === 0 ? [] : counts.slice(-tensor.dim());
  if (own.every((count) => count === 1)) return tensor;
  call.allow(tensor.shape.map((size, i) => size * (own[i] ?? 1)));
  // A tensor repeated along dimensions of size 1 is a view and takes no memory.
  const view = tensor.shape.every((size, i) => size === 1 || own[i] === 1);
  return view ? tensor.expand(tensor.shape.map((size, i) => size * (own[i] ?? 1))) : ops.repeat(tensor, own);
}

/** Permutes to another order and back around `fn`. */
export function permuted(x: Tensor, dims: readonly number[], fn: (x: Tensor) => Tensor): Tensor {
  const back = dims.map((_, i) => dims.indexOf(i));
  return ops.permute(fn(ops.permute(x, dims)), back);
}

/** 0, 1, ..., n - 1. */
export function upTo(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}

/** All inputs, in the traits of an operator. */
export const all = "all" as const;

/** An operator of one tensor. */
export function unary(fn: (x: Tensor) => Tensor, traits: Traits = {}): OperatorFunction {
  return Object.assign((call: Call) => fn(call.tensor(0)), traits);
}
