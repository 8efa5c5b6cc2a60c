/**
 * A tensor of libtorch. Methods carry PyTorch's names, arguments and meaning; a number can stand where PyTorch takes one.
 * Shapes in brackets. A method that libtorch refuses throws TorchError with the operator and the shapes.
 */
import { setTensorConstructor } from "./call.ts";
import type { Generator } from "./generator.ts";
import { type Dtype, type Handle, type MemoryFormat, native, type TypedArray } from "./native.ts";
import { functions, type Operators } from "./ops.generated.ts";
import { Owned } from "./scope.ts";

export const ops = functions as Operators<Tensor>;

export type NestedNumbers = number | NestedNumbers[];
export type Dim = number | readonly number[];

export class Tensor extends Owned {
  #shape: readonly number[] | undefined;

  /** The sizes of all dimensions. */
  get shape(): readonly number[] {
    this.#shape ??= native.sizes(this.handle);
    return this.#shape;
  }

  /** The number of dimensions. */
  dim(): number {
    return this.shape.length;
  }

  /** The number of elements. */
  numel(): number {
    return this.shape.reduce((product, size) => product * size, 1);
  }

  /** The size of one dimension; negative counts from the last. */
  size(dim: number): number {
    const size = this.shape[dim < 0 ? dim + this.shape.length : dim];
    if (size === undefined) throw new RangeError(`dimension ${dim} of a tensor of shape [${this.shape.join(", ")}]`);
    return size;
  }

  get dtype(): Dtype {
    return native.dtype(this.handle);
  }

  /** For instance "cpu" or "cuda:0". */
  get device(): string {
    return native.device(this.handle);
  }

  is_contiguous(format: MemoryFormat = "contiguous_format"): boolean {
    return native.isContiguous(this.handle, format);
  }

  // ---- autograd

  get requires_grad(): boolean {
    return native.requiresGrad(this.handle);
  }

  set requires_grad(value: boolean) {
    native.setRequiresGrad(this.handle, value);
  }

  /** A new handle on the accumulated gradient, or undefined when none has reached this leaf. */
  get grad(): Tensor | undefined {
    const handle = native.gradient(this.handle);
    return handle && new Tensor(handle);
  }

  set grad(value: Tensor | undefined) {
    native.setGradient(this.handle, value?.handle);
  }

  /** Accumulates gradients in all leaves. Leave the scope of the forward pass first: its handles keep activations alive. */
  backward(gradient?: Tensor, options: { retain_graph?: boolean; create_graph?: boolean } = {}): void {
    const create = options.create_graph ?? false;
    native.backward([this.handle], [gradient?.handle], options.retain_graph ?? create, create);
  }

  // ---- exchange with JavaScript

  /** The value of a tensor with one element. */
  item(): number {
    return native.item(this.handle);
  }

  /** A copy of the elements in row-major order; bfloat16 and float16 come as float32, bool as 0 and 1. */
  toTypedArray(): TypedArray {
    const dtype = this.dtype;
    if (dtype === "float16" || dtype === "bfloat16") {
      using wide = this.to({ dtype: "float32" });
      return new Float32Array(native.readBytes(wide.handle));
    }
    const buffer = native.readBytes(this.handle);
    if (dtype === "float32") return new Float32Array(buffer);
    if (dtype === "float64") return new Float64Array(buffer);
    if (dtype === "int64") return new BigInt64Array(buffer);
    if (dtype === "int32") return new Int32Array(buffer);
    if (dtype === "int16") return new Int16Array(buffer);
    if (dtype === "int8") return new Int8Array(buffer);
    return new Uint8Array(buffer);
  }

  /** The elements as plain numbers in row-major order. */
  toNumbers(): number[] {
    return Array.from(this.toTypedArray() as ArrayLike<number | bigint>, Number);
  }

  /** The elements as nested arrays (a number for a tensor without dimensions). */
  toArray(): NestedNumbers {
    const flat = this.toNumbers();
    let level: NestedNumbers[] = flat;
    for (const size of this.shape.slice(1).reverse()) {
      const next: NestedNumbers[] = [];
      for (let i = 0; i < level.length; i += size) next.push(level.slice(i, i + size));
      level = next;
    }
    return this.shape.length === 0 ? (flat[0] ?? 0) : level;
  }

  /** Overwrites the elements with those of a typed array of the same byte length. */
  copyFrom(data: TypedArray): this {
    native.writeBytes(this.handle, data);
    return this;
  }

  /** The raw bytes of the elements in row-major order. */
  toBytes(): Uint8Array {
    return new Uint8Array(native.readBytes(this.handle));
  }

  override toString(): string {
    return `Tensor(${this.dtype}[${this.shape.join(", ")}])`;
  }

  /** The same tensor with another type, device or memory format; this very tensor's data when nothing changes. */
  to(options: {
    dtype?: Dtype | undefined;
    device?: string | undefined;
    memory_format?: MemoryFormat | undefined;
  }): Tensor {
    return ops.to(this, options);
  }

  detach(): Tensor {
    return ops.detach(this);
  }

  clone(memory_format?: MemoryFormat): Tensor {
    return ops.clone(this, { memory_format });
  }

  contiguous(memory_format?: MemoryFormat): Tensor {
    return ops.contiguous(this, { memory_format });
  }

  // ---- arithmetic

  add(other: Tensor | number, options?: { alpha?: number }): Tensor {
    return ops.add(this, other, options);
  }

  sub(other: Tensor | number, options?: { alpha?: number }): Tensor {
    return ops.sub(this, other, options);
  }

  mul(other: Tensor | number): Tensor {
    return ops.mul(this, other);
  }

  div(other: Tensor | number): Tensor {
    return ops.div(this, other);
  }

  neg(): Tensor {
    return ops.neg(this);
  }

  pow(exponent: Tensor | number): Tensor {
    return exponent instanceof Tensor ? ops.powTensor(this, exponent) : ops.pow(this, exponent);
  }

  exp(): Tensor {
    return ops.exp(this);
  }

  log(): Tensor {
    return ops.log(this);
  }

  sqrt(): Tensor {
    return ops.sqrt(this);
  }

  rsqrt(): Tensor {
    return ops.rsqrt(this);
  }

  square(): Tensor {
    return ops.square(this);
  }

  abs(): Tensor {
    return ops.abs(this);
  }

  clamp(min?: number | null, max?: number | null): Tensor {
    return ops.clamp(this, min, max);
  }

  relu(): Tensor {
    return ops.relu(this);
  }

  sigmoid(): Tensor {
    return ops.sigmoid(this);
  }

  tanh(): Tensor {
    return ops.tanh(this);
  }

  softplus(beta?: number, threshold?: number): Tensor {
    return ops.softplus(this, beta, threshold);
  }

  gelu(approximate?: "none" | "tanh"): Tensor {
    return ops.gelu(this, { approximate });
  }

  matmul(other: Tensor): Tensor {
    return ops.matmul(this, other);
  }

  bmm(mat2: Tensor): Tensor {
    return ops.bmm(this, mat2);
  }

  // ---- reductions

  sum(dim?: Dim, keepdim?: boolean): Tensor {
    return ops.sum(this, dim, keepdim);
  }

  mean(dim?: Dim, keepdim?: boolean): Tensor {
    return ops.mean(this, dim, keepdim);
  }

  var(dim?: Dim, options?: { correction?: number; keepdim?: boolean }): Tensor {
    return ops.var_(this, dim, options);
  }

  max(): Tensor {
    return ops.max(this);
  }

  min(): Tensor {
    return ops.min(this);
  }

  amax(dim?: Dim, keepdim?: boolean): Tensor {
    return ops.amax(this, dim, keepdim);
  }

  amin(dim?: Dim, keepdim?: boolean): Tensor {
    return ops.amin(this, dim, keepdim);
  }

  argmax(dim?: number, keepdim?: boolean): Tensor {
    return ops.argmax(this, dim ?? null, keepdim);
  }

  norm(ord?: number, dim?: Dim, keepdim?: boolean): Tensor {
    return ops.norm(this, ord, dim, keepdim);
  }

  logsumexp(dim: Dim, keepdim?: boolean): Tensor {
    return ops.logsumexp(this, dim, keepdim);
  }

  all(): Tensor {
    return ops.all(this);
  }

  softmax(dim: number, dtype?: Dtype): Tensor {
    return ops.softmax(this, dim, dtype);
  }

  log_softmax(dim: number, dtype?: Dtype): Tensor {
    return ops.log_softmax(this, dim, dtype);
  }

  // ---- comparison

  eq(other: Tensor | number): Tensor {
    return ops.eq(this, other);
  }

  ne(other: Tensor | number): Tensor {
    return ops.ne(this, other);
  }

  lt(other: Tensor | number): Tensor {
    return ops.lt(this, other);
  }

  le(other: Tensor | number): Tensor {
    return ops.le(this, other);
  }

  gt(other: Tensor | number): Tensor {
    return ops.gt(this, other);
  }

  ge(other: Tensor | number): Tensor {
    return ops.ge(this, other);
  }

  logical_and(other: Tensor): Tensor {
    return ops.logical_and(this, other);
  }

  logical_not(): Tensor {
    return ops.logical_not(this);
  }

  isnan(): Tensor {
    return ops.isnan(this);
  }

  // ---- shape

  reshape(shape: readonly number[]): Tensor {
    return ops.reshape(this, shape);
  }

  view(shape: readonly number[]): Tensor {
    return ops.view(this, shape);
  }

  flatten(start_dim?: number, end_dim?: number): Tensor {
    return ops.flatten(this, start_dim, end_dim);
  }

  unsqueeze(dim: number): Tensor {
    return ops.unsqueeze(this, dim);
  }

  squeeze(dim?: number): Tensor {
    return dim === undefined ? ops.squeezeAll(this) : ops.squeeze(this, dim);
  }

  transpose(dim0: number, dim1: number): Tensor {
    return ops.transpose(this, dim0, dim1);
  }

  permute(dims: readonly number[]): Tensor {
    return ops.permute(this, dims);
  }

  expand(shape: readonly number[]): Tensor {
    return ops.expand(this, shape);
  }

  flip(dims: readonly number[]): Tensor {
    return ops.flip(this, dims);
  }

  t(): Tensor {
    return ops.transpose(this, 0, 1);
  }

  // ---- indexing

  select(dim: number, index: number): Tensor {
    return ops.select(this, dim, index);
  }

  narrow(dim: number, start: number, length: number): Tensor {
    return ops.narrow(this, dim, start, length);
  }

  index_select(dim: number, index: Tensor): Tensor {
    return ops.index_select(this, dim, index);
  }

  gather(dim: number, index: Tensor): Tensor {
    return ops.gather(this, dim, index);
  }

  scatter(dim: number, index: Tensor, src: Tensor | number): Tensor {
    return src instanceof Tensor ? ops.scatter(this, dim, index, src) : ops.scatterValue(this, dim, index, src);
  }

  masked_fill(mask: Tensor, value: number): Tensor {
    return ops.masked_fill(this, mask, value);
  }

  nonzero(): Tensor {
    return ops.nonzero(this);
  }

  one_hot(num_classes?: number): Tensor {
    return ops.one_hot(this, num_classes);
  }

  /** The k largest along a dimension: values and indices, both with k in its place; ties in no promised order. */
  topk(k: number, dim?: number, largest?: boolean, sorted?: boolean): [Tensor, Tensor] {
    return ops.topk(this, k, dim, largest, sorted);
  }

  /** Sorted values and their indices; equal elements keep their order. */
  sort(dim = -1, descending = false): [Tensor, Tensor] {
    return ops.sort(this, { stable: true, dim, descending });
  }

  /** One tensor for each index of a dimension. */
  unbind(dim = 0): Tensor[] {
    return ops.unbind(this, dim);
  }

  /** Consecutive parts of `size` along a dimension; the last may be smaller. */
  split(size: number, dim = 0): Tensor[] {
    return ops.split(this, size, dim);
  }

  // ---- in place

  add_(other: Tensor | number, options?: { alpha?: number }): this {
    ops.add_(this, other, options);
    return this;
  }

  sub_(other: Tensor | number): this {
    ops.sub_(this, other);
    return this;
  }

  mul_(other: Tensor | number): this {
    ops.mul_(this, other);
    return this;
  }

  div_(other: Tensor | number): this {
    ops.div_(this, other);
    return this;
  }

  copy_(source: Tensor): this {
    ops.copy_(this, source);
    return this;
  }

  fill_(value: number): this {
    ops.fill_(this, value);
    return this;
  }

  zero_(): this {
    ops.zero_(this);
    return this;
  }

  clamp_(min?: number | null, max?: number | null): this {
    ops.clamp_(this, min, max);
    return this;
  }

  masked_fill_(mask: Tensor, value: number): this {
    ops.masked_fill_(this, mask, value);
    return this;
  }

  index_add_(dim: number, index: Tensor, source: Tensor): this {
    ops.index_add_(this, dim, index, source);
    return this;
  }

  normal_(mean: number, std: number, options: Sampling): this {
    ops.normal_(this, mean, std, options);
    return this;
  }

  uniform_(from: number, to: number, options: Sampling): this {
    ops.uniform_(this, from, to, options);
    return this;
  }

  bernoulli_(p: number, options: Sampling): this {
    ops.bernoulli_(this, p, options);
    return this;
  }
}

/** In-place sampling draws from a named generator, never from the library's global one. */
export type Sampling = { generator: Generator };

setTensorConstructor((handle: Handle) => new Tensor(handle));
