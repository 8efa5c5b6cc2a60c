/** Storages and the tensors that view them, as torch.save writes them; read piece by piece when asked for. */
import { type Dtype, empty, keep, ops, scope, type Tensor } from "../../torch/index.ts";
import { elements, isCountable, LazyTensor, maximumDimensions, tensorFrom, widths } from "../lazy-tensor.ts";
import { type Context, Global, type Value } from "./values.ts";

/** Elements that a tensor may have beyond its storage's (stride 0 repeats them). */
const maximumRepeated = 1 << 24;

const dtypes: Record<string, Dtype> = {
  DoubleStorage: "float64",
  FloatStorage: "float32",
  HalfStorage: "float16",
  BFloat16Storage: "bfloat16",
  LongStorage: "int64",
  IntStorage: "int32",
  ShortStorage: "int16",
  CharStorage: "int8",
  ByteStorage: "uint8",
  BoolStorage: "bool",
};

/** `torch.FloatStorage` and its like: the type in a storage's persistent id. */
export class StorageType extends Global {
  /** Undefined for bytes without a type. */
  readonly dtype: Dtype | undefined;

  constructor(name: string, dtype: Dtype | undefined) {
    super(name);
    this.dtype = dtype;
  }
}

export const storageTypes: ReadonlyMap<string, StorageType> = new Map(
  [
    ...Object.entries(dtypes).flatMap(([name, dtype]) => [
      new StorageType(`torch.${name}`, dtype),
      new StorageType(`torch.cuda.${name}`, dtype),
    ]),
    new StorageType("torch.storage.UntypedStorage", undefined),
    new StorageType("torch.UntypedStorage", undefined),
  ].map((type) => [type.name, type]),
);

/** Place of a storage's bytes. */
export interface StorageBytes {
  /** Part of them in pieces of whole elements; each is valid, and may be changed, until the next is asked for. */
  pieces(start: number, length: number): AsyncIterable<Buffer>;
  /** True when elements of more than one byte have their bytes in the other order. */
  readonly swapped: boolean;
}

/** A storage that a persistent id names; by itself a tensor of one dimension. */
export class Storage extends LazyTensor {
  readonly key: string;
  readonly type: StorageType;
  readonly count: number;
  readonly bytes: StorageBytes;
  /** The first of its bytes, for a part of another storage. */
  readonly start: number;
  readonly where: string;

  constructor(place: {
    key: string;
    type: StorageType;
    count: number;
    bytes: StorageBytes;
    start: number;
    where: string;
  }) {
    super();
    this.key = place.key;
    this.type = place.type;
    this.count = place.count;
    this.bytes = place.bytes;
    this.start = place.start;
    this.where = place.where;
  }

  override get dtype(): Dtype {
    return this.type.dtype ?? "uint8";
  }

  override get shape(): readonly number[] {
    return [this.count];
  }

  /** Elements from `first` on, read as `dtype`. */
  elements(first: number, count: number, dtype: Dtype): Promise<Tensor> {
    const width = widths[dtype];
    const pieces = this.bytes.pieces(this.start + first * width, count * width);
    return tensorFrom(pieces, count, dtype, { swap: this.bytes.swapped, what: this.where });
  }

  override read(): Promise<Tensor> {
    return this.elements(0, this.count, this.dtype);
  }
}

interface View {
  offset: number;
  shape: readonly number[];
  stride: readonly number[];
  dtype: Dtype;
}

/** A tensor that views part of a storage. */
export class StoredTensor extends LazyTensor {
  readonly storage: Storage;
  readonly shape: readonly number[];
  readonly dtype: Dtype;
  readonly #offset: number;
  readonly #stride: readonly number[];

  constructor(storage: Storage, view: View) {
    super();
    this.storage = storage;
    this.shape = view.shape;
    this.dtype = view.dtype;
    this.#offset = view.offset;
    this.#stride = view.stride;
  }

  override async read(): Promise<Tensor> {
    const { shape, dtype } = this;
    if (elements(shape) === 0) return keep(empty(shape, { dtype }));
    using flat = await this.storage.elements(this.#offset, span(shape, this.#stride), dtype);
    const stride = this.#stride;
    return keep(
      scope(() => (isRowMajor(shape, stride) ? flat.view(shape) : ops.as_strided(flat, shape, stride).contiguous())),
    );
  }
}

/**
 * The tensor that `_rebuild_tensor_v2` would make of these arguments; fails for a view that leaves its storage.
 */
export function viewStorage(args: readonly Value[], dtype: Dtype | undefined, context: Context): StoredTensor {
  const [storage, offset, size, strides] = args;
  if (!(storage instanceof Storage)) return context.fail("a tensor has no storage");
  const shape = sizes(size);
  const stride = sizes(strides);
  if (!shape || !stride || shape.length !== stride.length) {
    return context.fail("a tensor has no valid shape and strides (negative ones cannot be)");
  }
  if (!isSize(offset)) return context.fail("a tensor has no valid storage offset");
  const own = dtype ?? storage.dtype;
  const available = storage.type.dtype ? storage.count : Math.floor(storage.count / widths[own]);
  const shown = `a tensor of shape [${shape.join(", ")}]`;
  const count = elements(shape);
  if (!isCountable(shape)) return context.fail(`${shown} is too large`);
  if (count > 0 && offset + span(shape, stride) > available) {
    return context.fail(
      `${shown} with strides [${stride.join(", ")}] from element ${offset} on leaves its storage of ${available}`,
    );
  }
  if (count > Math.max(available, maximumRepeated)) {
    return context.fail(
      `${shown} repeats its storage of ${available} elements too often: save a tensor without stride 0`,
    );
  }
  return new StoredTensor(storage, { offset, shape, stride, dtype: own });
}

/** Elements from the first to the last one of a view. */
function span(shape: readonly number[], stride: readonly number[]): number {
  return shape.reduce((total, size, i) => total + (size - 1) * (stride[i] ?? 0), 1);
}

function isRowMajor(shape: readonly number[], stride: readonly number[]): boolean {
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] !== 1 && stride[i] !== step) return false;
    step *= shape[i] ?? 1;
  }
  return true;
}

export function isSize(value: Value | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/** A copy, since the pickle can still change its own. */
export function sizes(value: Value | undefined): number[] | undefined {
  if (!Array.isArray(value) || value.length > maximumDimensions || !value.every(isSize)) return undefined;
  return [...value];
}
