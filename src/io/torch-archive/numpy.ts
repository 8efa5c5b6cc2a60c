/** NumPy's scalars and plain arrays inside a pickle, as training checkpoints hold them. */
import { type Dtype, keep, ops, scope, type Tensor } from "../../torch/index.ts";
import { elements, isCountable, LazyTensor, tensorFrom } from "../lazy-tensor.ts";
import { sizes } from "./storage.ts";
import { type Buildable, type Context, Described, Global, shown, type Value } from "./values.ts";

interface Kind {
  width: number;
  dtype: Dtype | undefined;
  /** For unsigned types that libtorch lacks: the wider type, and how one element is read. */
  read(bytes: DataView, at: number, little: boolean): number | bigint;
}

const kinds: Record<string, Kind> = {
  b1: { width: 1, dtype: "bool", read: (bytes, at) => bytes.getUint8(at) },
  i1: { width: 1, dtype: "int8", read: (bytes, at) => bytes.getInt8(at) },
  u1: { width: 1, dtype: "uint8", read: (bytes, at) => bytes.getUint8(at) },
  i2: { width: 2, dtype: "int16", read: (bytes, at, little) => bytes.getInt16(at, little) },
  u2: { width: 2, dtype: undefined, read: (bytes, at, little) => bytes.getUint16(at, little) },
  i4: { width: 4, dtype: "int32", read: (bytes, at, little) => bytes.getInt32(at, little) },
  u4: { width: 4, dtype: undefined, read: (bytes, at, little) => bytes.getUint32(at, little) },
  i8: { width: 8, dtype: "int64", read: (bytes, at, little) => bytes.getBigInt64(at, little) },
  f2: { width: 2, dtype: "float16", read: (bytes, at, little) => halfToNumber(bytes.getUint16(at, little)) },
  f4: { width: 4, dtype: "float32", read: (bytes, at, little) => bytes.getFloat32(at, little) },
  f8: { width: 8, dtype: "float64", read: (bytes, at, little) => bytes.getFloat64(at, little) },
};

function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

/** A dtype; the byte order comes with its state. */
class NumpyDtype extends Described {
  readonly code: string;
  readonly kind: Kind;
  little = true;

  constructor(code: string, kind: Kind) {
    super();
    this.code = code;
    this.kind = kind;
  }

  override build(state: Value, context: Context): void {
    const order = Array.isArray(state) ? state[1] : undefined;
    if (order !== "<" && order !== ">" && order !== "|" && order !== "=") {
      context.fail("a NumPy dtype has no valid byte order");
    }
    this.little = order !== ">";
  }
}

/** An array, whose bytes lie in the pickle; unsigned 16 and 32 bit types are widened. */
class NumpyArray extends LazyTensor implements Buildable {
  shape: readonly number[] = [0];
  dtype: Dtype = "float32";
  #content: { dtype: NumpyDtype; bytes: Buffer; columnMajor: boolean } | undefined;

  build(state: Value, context: Context): void {
    if (!Array.isArray(state) || state.length !== 5) context.fail("a NumPy array has no valid state");
    const [, shape, dtype, columnMajor, data] = state;
    this.fill(shape, dtype, columnMajor === true || columnMajor === 1, data, context);
  }

  fill(
    size: Value | undefined,
    dtype: Value | undefined,
    columnMajor: boolean,
    data: Value | undefined,
    context: Context,
  ): void {
    const shape = sizes(size);
    if (!shape || !isCountable(shape)) context.fail("a NumPy array has no valid shape");
    if (!(dtype instanceof NumpyDtype)) context.fail("a NumPy array has no dtype");
    const bytes = bytesOf(data, context);
    const needed = elements(shape) * dtype.kind.width;
    if (bytes.length !== needed) {
      context.fail(`a NumPy array of shape [${shape.join(", ")}] needs ${needed} bytes but has ${bytes.length}`);
    }
    this.shape = shape;
    this.dtype = dtype.kind.dtype ?? (dtype.kind.width === 2 ? "int32" : "int64");
    this.#content = { dtype, bytes, columnMajor };
  }

  override async read(): Promise<Tensor> {
    const { shape, dtype } = this;
    const bytes = this.#elementBytes();
    using flat = await tensorFrom(once(bytes), elements(shape), dtype, { what: "a NumPy array" });
    if (!this.#content?.columnMajor) return keep(flat.view(shape));
    const reversed = [...shape].reverse();
    const axes = shape.map((_, i) => shape.length - 1 - i);
    return keep(scope(() => ops.permute(flat.view(reversed), axes).contiguous()));
  }

  /** Fresh bytes in this machine's order. */
  #elementBytes(): Buffer {
    if (!this.#content) return Buffer.alloc(0);
    const { dtype, bytes } = this.#content;
    const { kind, little } = dtype;
    if (kind.dtype && (little || kind.width === 1)) return Buffer.from(bytes);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const count = bytes.length / kind.width;
    if (kind.dtype) return swapped(bytes, kind.width);
    const wide = kind.width === 2 ? new Int32Array(count) : new BigInt64Array(count);
    for (let i = 0; i < count; i++) {
      const value = kind.read(view, i * kind.width, little);
      wide[i] = wide instanceof BigInt64Array ? BigInt(value) : Number(value);
    }
    return Buffer.from(wide.buffer);
  }
}

function swapped(bytes: Buffer, width: number): Buffer {
  const copy = Buffer.from(bytes);
  return width === 2 ? copy.swap16() : width === 4 ? copy.swap32() : copy.swap64();
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

/** Protocol 2 writes bytes as text of one character a byte. */
function bytesOf(data: Value | undefined, context: Context): Buffer {
  if (data instanceof Uint8Array) return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (typeof data !== "string") return context.fail("a NumPy value has no bytes (arrays of objects cannot be read)");
  context.spend(data.length);
  return Buffer.from(data, "latin1");
}

function makeDtype(args: readonly Value[], context: Context): Value {
  const code = args[0];
  const plain = typeof code === "string" ? code.replace(/^[<>|=]/, "") : "";
  const kind = Object.hasOwn(kinds, plain) ? kinds[plain] : undefined;
  if (!kind) {
    return context.fail(`NumPy's dtype ${shown(code)} is not supported: remove it and save again`);
  }
  const dtype = new NumpyDtype(plain, kind);
  dtype.little = typeof code !== "string" || !code.startsWith(">");
  return dtype;
}

function makeScalar(args: readonly Value[], context: Context): Value {
  const [dtype, data] = args;
  if (!(dtype instanceof NumpyDtype)) return context.fail("a NumPy scalar has no dtype");
  const bytes = bytesOf(data, context);
  if (bytes.length !== dtype.kind.width) return context.fail(`a NumPy scalar has ${bytes.length} bytes`);
  const value = dtype.kind.read(new DataView(bytes.buffer, bytes.byteOffset), 0, dtype.little);
  if (dtype.code === "b1") return value !== 0;
  return typeof value === "bigint" && Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

/** Makes an empty array that BUILD fills; its own arguments are placeholders. */
function makeArray(args: readonly Value[], context: Context): Value {
  const [type] = args;
  if (!(type instanceof Global) || type.name !== "numpy.ndarray") context.fail("a NumPy array is of another class");
  return new NumpyArray();
}

function arrayFromBuffer(args: readonly Value[], context: Context): Value {
  const [data, dtype, shape, order] = args;
  const array = new NumpyArray();
  array.fill(shape, dtype, order === "F", data, context);
  return array;
}

/** By names without the underscore that NumPy 2 added to `numpy.core`. */
export const numpyGlobals: readonly Global[] = [
  new Global("numpy.ndarray"),
  new Global("numpy.dtype", makeDtype),
  new Global("numpy.core.multiarray.scalar", makeScalar),
  new Global("numpy.core.multiarray._reconstruct", makeArray),
  new Global("numpy.core.numeric._frombuffer", arrayFromBuffer),
];
