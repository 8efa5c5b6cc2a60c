/** Functions that make tensors. Every one takes the dtype (default float32) and the device (default "cpu"). */
import type { Generator } from "./generator.ts";
import { type Dtype, native, type TypedArray } from "./native.ts";
import { type NestedNumbers, ops, Tensor } from "./tensor.ts";

export interface TensorOptions {
  dtype?: Dtype | undefined;
  device?: string | undefined;
}

export interface SamplingOptions extends TensorOptions {
  generator: Generator;
}

const arrayTypes = {
  float32: Float32Array,
  float64: Float64Array,
  int32: Int32Array,
  int16: Int16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const;

/**
 * A tensor from a number, nested arrays of numbers (float32 unless told) or a typed array (its own type unless told).
 * @throws RangeError when nested arrays are ragged or the shape does not fit.
 */
export function tensor(
  data: NestedNumbers | TypedArray | Uint8ClampedArray,
  options: TensorOptions & { shape?: readonly number[] | undefined } = {},
): Tensor {
  const device = options.device ?? "cpu";
  if (ArrayBuffer.isView(data)) {
    const own = dtypeOf(data as TypedArray);
    const shape = options.shape ?? [data.length];
    const made = new Tensor(native.fromBytes(data as TypedArray, shape, own, device));
    if (!options.dtype || options.dtype === own) return made;
    using narrow = made;
    return narrow.to({ dtype: options.dtype });
  }
  const shape: number[] = [];
  for (let level: NestedNumbers | undefined = data; Array.isArray(level); level = level[0]) shape.push(level.length);
  const flat: number[] = [];
  flatten(data, shape, 0, flat);
  return fromNumbers(flat, options.shape ?? shape, options.dtype ?? "float32", device);
}

function flatten(data: NestedNumbers, shape: readonly number[], depth: number, into: number[]): void {
  if (!Array.isArray(data)) {
    if (depth !== shape.length) throw new RangeError("nested arrays of different depths");
    into.push(data);
    return;
  }
  if (data.length !== shape[depth]) throw new RangeError("nested arrays of different lengths");
  for (const element of data) flatten(element, shape, depth + 1, into);
}

function fromNumbers(flat: number[], shape: readonly number[], dtype: Dtype, device: string): Tensor {
  if (dtype === "int64") {
    const wide = BigInt64Array.from(flat, BigInt);
    return new Tensor(native.fromBytes(wide, shape, dtype, device));
  }
  if (dtype === "float16" || dtype === "bfloat16") {
    using wide = new Tensor(native.fromBytes(Float32Array.from(flat), shape, "float32", device));
    return wide.to({ dtype });
  }
  return new Tensor(native.fromBytes(arrayTypes[dtype].from(flat), shape, dtype, device));
}

function dtypeOf(data: TypedArray | Uint8ClampedArray): Dtype {
  if (data instanceof Float32Array) return "float32";
  if (data instanceof Float64Array) return "float64";
  if (data instanceof BigInt64Array) return "int64";
  if (data instanceof Int32Array) return "int32";
  if (data instanceof Int16Array) return "int16";
  if (data instanceof Int8Array) return "int8";
  if (data instanceof Uint8Array || data instanceof Uint8ClampedArray) return "uint8";
  throw new TypeError(`no dtype for a ${(data as object).constructor.name}`);
}

/** Whole numbers, such as class numbers or positions, as int64 [n]. */
export function int64(values: ArrayLike<number>, device?: string): Tensor {
  return tensor(BigInt64Array.from(values, BigInt), { device });
}

/** A tensor from bytes in the layout of the given dtype (row-major, little-endian). */
export function fromBytes(bytes: Uint8Array, shape: readonly number[], dtype: Dtype, device = "cpu"): Tensor {
  return new Tensor(native.fromBytes(bytes, shape, dtype, device));
}

/**
 * The raw bytes of the elements in row-major order, in pieces that share one buffer: each piece is valid until the next
 * is asked for. For writing large tensors without a copy that waits for the garbage collector.
 */
export function* byteChunks(tensor: Tensor, buffer: Uint8Array): globalThis.Generator<Uint8Array> {
  using plain = tensor.detach();
  using local = plain.to({ device: "cpu" });
  using contiguous = local.contiguous();
  const total = contiguous.numel() * elementBytes(contiguous.dtype);
  for (let offset = 0; offset < total; offset += buffer.length) {
    const view = buffer.subarray(0, Math.min(buffer.length, total - offset));
    native.copyBytes(contiguous.handle, view, offset);
    yield view;
  }
}

/** Bytes of one element. */
export function elementBytes(dtype: Dtype): number {
  return dtype === "bool" ? 1 : Number(/\d+$/.exec(dtype)?.[0]) / 8;
}

export function zeros(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return ops.zeros(shape, { dtype: options.dtype ?? "float32", device: options.device });
}

export function ones(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return ops.ones(shape, { dtype: options.dtype ?? "float32", device: options.device });
}

export function empty(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return ops.empty(shape, { dtype: options.dtype ?? "float32", device: options.device });
}

export function full(shape: readonly number[], value: number, options: TensorOptions = {}): Tensor {
  return ops.full(shape, value, { dtype: options.dtype ?? "float32", device: options.device });
}

export function eye(n: number, options: TensorOptions = {}): Tensor {
  return ops.eye(n, { dtype: options.dtype ?? "float32", device: options.device });
}

/** `arange(end)` or `arange(start, end, step)`; int64 unless told. */
export function arange(start: number, end?: number, step = 1, options: TensorOptions = {}): Tensor {
  const [from, to] = end === undefined ? [0, start] : [start, end];
  return ops.arange(from, to, step, { dtype: options.dtype ?? "int64", device: options.device });
}

export function randn(shape: readonly number[], options: SamplingOptions): Tensor {
  return empty(shape, options).normal_(0, 1, options);
}

export function rand(shape: readonly number[], options: SamplingOptions): Tensor {
  return empty(shape, options).uniform_(0, 1, options);
}

/** Integers from `low` to `high` - 1, each equally likely; int64. */
export function randint(low: number, high: number, shape: readonly number[], options: SamplingOptions): Tensor {
  return ops.random_(empty(shape, { dtype: options.dtype ?? "int64", device: options.device }), low, high, options);
}

/** A random order of 0 … n - 1; int64. */
export function randperm(n: number, options: SamplingOptions): Tensor {
  return ops.randperm(n, { generator: options.generator, dtype: options.dtype ?? "int64", device: options.device });
}

export function cat(tensors: readonly Tensor[], dim = 0): Tensor {
  return ops.cat(tensors, dim);
}

export function stack(tensors: readonly Tensor[], dim = 0): Tensor {
  return ops.stack(tensors, dim);
}

/** Elements of `self` where the condition holds, else of `other`. */
export function where(condition: Tensor, self: Tensor, other: Tensor | number): Tensor {
  return ops.where(condition, self, other);
}

/** Folder of a process's open files; macOS has no /proc. */
const descriptors = process.platform === "linux" ? "/proc/self/fd" : "/dev/fd";

interface FileOptions {
  size: number;
  dtype: Dtype;
  shared?: boolean;
  /** The file, opened before: another one may have its path since. */
  descriptor?: number;
}

/**
 * A file's content as a 1-D tensor of `size` elements, mapped into memory; writes to it do not reach the file. Reading
 * what a file has lost since throws TorchError.
 */
export function fromFile(path: string, { size, dtype, shared = false, descriptor }: FileOptions): Tensor {
  const place = descriptor === undefined ? path : `${descriptors}/${descriptor}`;
  const mapped = ops.from_file(place, shared, size, { dtype });
  native.guardMapping(mapped.handle, path);
  return mapped;
}
