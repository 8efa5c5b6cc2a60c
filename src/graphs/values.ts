/**
 * Values that flow between nodes: tensors, and small arrays of shape arithmetic. The arrays stay on the JavaScript
 * side, so that no step of it waits for a device.
 */
import { type Dtype, Tensor, tensor, UserError } from "../torch/index.ts";

export type HostKind = "int" | "float" | "bool";

/** An array of numbers in row-major order; "bool" holds 0 and 1. */
export class HostArray {
  readonly kind: HostKind;
  readonly shape: readonly number[];
  readonly data: readonly number[];

  constructor(kind: HostKind, shape: readonly number[], data: readonly number[]) {
    this.kind = kind;
    this.shape = shape;
    this.data = data;
  }
}

export type Value = Tensor | HostArray;

/** Elements that an array on the JavaScript side may have; longer ones are tensors. */
export const maximumHostElements = 4096;

export function isFloating(dtype: Dtype): boolean {
  return dtype === "float32" || dtype === "float64" || dtype === "float16" || dtype === "bfloat16";
}

export function kindOf(value: Value): HostKind {
  if (value instanceof HostArray) return value.kind;
  return isFloating(value.dtype) ? "float" : value.dtype === "bool" ? "bool" : "int";
}

/** The number of elements of a shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** A tensor with the array's elements; `floating` is the dtype of "float". */
export function toTensor(value: Value, floating: Dtype, device: string): Tensor {
  if (value instanceof Tensor) return value;
  const { kind, shape, data } = value;
  if (kind === "int") return tensor(BigInt64Array.from(data, toInt64), { shape, device });
  if (kind === "bool") return tensor(Uint8Array.from(data), { shape, dtype: "bool", device });
  return tensor(Float64Array.from(data), { shape, dtype: floating, device });
}

/** Counts beyond 64 bits, such as the "to the end" of a slice, become the last that fit. */
function toInt64(x: number): bigint {
  if (x >= 2 ** 63) return 2n ** 63n - 1n;
  return x <= -(2 ** 63) ? -(2n ** 63n) : BigInt(x);
}

/** The shape that two shapes broadcast to, or undefined when they do not fit. */
export function broadcastShape(a: readonly number[], b: readonly number[]): number[] | undefined {
  const rank = Math.max(a.length, b.length);
  const shape: number[] = [];
  for (let i = 0; i < rank; i++) {
    const x = a[a.length - rank + i] ?? 1;
    const y = b[b.length - rank + i] ?? 1;
    if (x !== y && x !== 1 && y !== 1) return undefined;
    shape.push(x === 1 ? y : x);
  }
  return shape;
}

/** The shape that several shapes broadcast to. @throws UserError when they do not fit together */
export function broadcast(shapes: readonly (readonly number[])[]): number[] {
  let shape: number[] | undefined = [];
  for (const next of shapes) shape = shape && broadcastShape(shape, next);
  if (shape) return shape;
  throw new UserError(`shapes ${shapes.map(shapeText).join(" and ")} do not fit together`);
}

/** A dimension counted from the end as one counted from the start. @throws UserError when there is none such */
export function dimension(axis: number, rank: number): number {
  const dim = axis < 0 ? axis + rank : axis;
  if (Number.isInteger(axis) && dim >= 0 && dim < rank) return dim;
  throw new UserError(`there is no dimension ${axis} of ${rank}`);
}

/** A shape in brackets, cut after eight sizes. */
export function shapeText(shape: readonly (number | string)[]): string {
  return `[${shape.slice(0, 8).join(", ")}${shape.length > 8 ? ", ..." : ""}]`;
}
