/** Tensors of an ONNX file: checked, then copied out of the file one after the other through a mapping. */

import { quoted } from "../../io/index.ts";
import { checkTruth, isCountable, maximumDimensions, widths } from "../../io/lazy-tensor.ts";
import {
  type Dtype,
  empty,
  fromBytes,
  fromFile,
  ops,
  scope,
  type Tensor,
  TorchError,
  UserError,
} from "../../torch/index.ts";
import { HostArray, isFloating, maximumHostElements, shapeText, sizeOf, type Value } from "../values.ts";
import { ExternalFiles, type FileRange } from "./external.ts";
import { type TensorProto, TensorProto_DataLocation, TensorProto_DataType as Type } from "./onnx-pb.generated.ts";
import type { ByteRange } from "./wire.ts";

/** The dtypes of libtorch under the numbers that ONNX gives them. */
const dtypes: ReadonlyMap<number, Dtype> = new Map<number, Dtype>([
  [Type.FLOAT, "float32"],
  [Type.DOUBLE, "float64"],
  [Type.FLOAT16, "float16"],
  [Type.BFLOAT16, "bfloat16"],
  [Type.INT64, "int64"],
  [Type.INT32, "int32"],
  [Type.INT16, "int16"],
  [Type.INT8, "int8"],
  [Type.UINT8, "uint8"],
  [Type.BOOL, "bool"],
]);

export function dtypeOf(type: number): Dtype | undefined {
  return dtypes.get(type);
}

export function typeName(type: number): string {
  return Type[type] ?? `number ${type}`;
}

/** Properties of a tensor that are known without reading it. */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly read: () => Tensor;
}

/** Reads tensors of one model; all its files stay closed between reads. */
export class TensorReader {
  readonly #path: string;
  readonly #external: ExternalFiles;

  constructor(path: string) {
    this.#path = path;
    this.#external = new ExternalFiles(path);
  }

  /** The model's files: itself and those that hold its weights. */
  get files(): string[] {
    return [this.#path, ...this.#external.paths];
  }

  /**
   * Checks a tensor without reading its elements.
   * @param raw where its raw data lies in the model's file, unless the message has it
   * @throws UserError for what the format does not allow or this project does not read
   */
  describe(proto: TensorProto, raw?: ByteRange): TensorInfo {
    const name = proto.name;
    const fail = (what: string): never => {
      throw new UserError(`${this.#path}: tensor ${quoted(name)} ${what}`);
    };
    const dtype = dtypes.get(proto.dataType);
    if (!dtype)
      return fail(`has elements of type ${typeName(proto.dataType)}, which cannot be trained or indexed with`);
    const shape = proto.dims.map((dim) => (dim >= 0n && dim < 2n ** 53n ? Number(dim) : fail(`has the size ${dim}`)));
    if (shape.length > maximumDimensions || !isCountable(shape)) fail(`has the impossible shape ${shapeText(shape)}`);
    if (proto.segment) fail("is split into segments, which are not supported");
    const count = sizeOf(shape);
    const bytes = count * widths[dtype];
    const place = this.#place(proto, raw, fail);
    const inner = proto.rawData;
    if (place || inner.length > 0) {
      const length = place ? place.end - place.begin : inner.length;
      if (length !== bytes) fail(`of ${dtype}${shapeText(shape)} needs ${bytes} bytes but has ${length}`);
      const read = (): Tensor => {
        if (count === 0) return empty(shape, { dtype });
        return place ? readRange(place, dtype, shape, name) : readBytes(inner, dtype, shape, fail);
      };
      return { name, dtype, shape, read };
    }
    const field = fieldOf(proto, dtype);
    if (field.length !== count) {
      fail(`of ${dtype}${shapeText(shape)} needs ${count} elements but has ${field.length}`);
    }
    return { name, dtype, shape, read: () => readField(field, dtype, shape, fail) };
  }

  #place(proto: TensorProto, raw: ByteRange | undefined, fail: (what: string) => never): FileRange | undefined {
    const fields = [proto.floatData, proto.int32Data, proto.int64Data, proto.doubleData, proto.uint64Data];
    const filled = fields.filter((field) => field.length > 0).length;
    const isExternal = proto.dataLocation === TensorProto_DataLocation.EXTERNAL;
    if (!isExternal && proto.externalData.length > 0) fail("has entries of external data but says it is not external");
    const hasRaw = raw !== undefined && raw.end > raw.begin;
    if (proto.stringData.length > 0) fail("holds strings");
    if (filled + (hasRaw || proto.rawData.length > 0 ? 1 : 0) + (isExternal ? 1 : 0) > 1) {
      fail("has its elements in more than one place");
    }
    if (isExternal) return this.#external.locate(proto);
    return raw && filled === 0 ? { path: this.#path, ...raw } : undefined;
  }
}

/** The typed field that holds the elements of a dtype. */
function fieldOf(proto: TensorProto, dtype: Dtype): ArrayLike<number | bigint> {
  if (dtype === "float32") return proto.floatData;
  if (dtype === "float64") return proto.doubleData;
  if (dtype === "int64") return proto.int64Data;
  return proto.int32Data;
}

function readBytes(bytes: Uint8Array, dtype: Dtype, shape: readonly number[], fail: (what: string) => never): Tensor {
  if (dtype === "bool" && bytes.some((byte) => byte > 1)) fail("has truth values above 1");
  return fromBytes(Uint8Array.from(bytes), shape, dtype);
}

function readField(
  field: ArrayLike<number | bigint>,
  dtype: Dtype,
  shape: readonly number[],
  fail: (what: string) => never,
): Tensor {
  if (field.length === 0) return empty(shape, { dtype });
  if (dtype === "float32") return fromBytes(bytesOf(Float32Array.from(field as ArrayLike<number>)), shape, dtype);
  if (dtype === "float64") return fromBytes(bytesOf(Float64Array.from(field as ArrayLike<number>)), shape, dtype);
  if (dtype === "int64") return fromBytes(bytesOf(BigInt64Array.from(field as ArrayLike<bigint>)), shape, dtype);
  const integers = Array.from(field as ArrayLike<number>);
  const [low, high] = ranges[dtype] ?? [0, 1];
  if (integers.some((value) => value < low || value > high)) fail(`has elements outside of ${dtype}`);
  return fromBytes(bytesOf(narrowed(integers, dtype)), shape, dtype);
}

/** Bounds of what `int32_data` may hold for each dtype; the half precisions are stored as their bits. */
const ranges: Partial<Record<Dtype, readonly [number, number]>> = {
  int32: [-(2 ** 31), 2 ** 31 - 1],
  int16: [-(2 ** 15), 2 ** 15 - 1],
  int8: [-128, 127],
  uint8: [0, 255],
  bool: [0, 1],
  float16: [0, 65535],
  bfloat16: [0, 65535],
};

function narrowed(
  values: readonly number[],
  dtype: Dtype,
): Int32Array | Int16Array | Uint16Array | Int8Array | Uint8Array {
  if (dtype === "int32") return Int32Array.from(values);
  if (dtype === "int16") return Int16Array.from(values);
  if (dtype === "float16" || dtype === "bfloat16") return Uint16Array.from(values);
  return dtype === "int8" ? Int8Array.from(values) : Uint8Array.from(values);
}

function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/**
 * A copy of part of a file; only the copy takes memory of its own.
 * @throws UserError when the file has become shorter meanwhile
 */
function readRange(place: FileRange, dtype: Dtype, shape: readonly number[], name: string): Tensor {
  try {
    return copyRange(place, dtype, shape);
  } catch (error) {
    if (!(error instanceof TorchError)) throw error;
    throw new UserError(`${place.path} changed while tensor ${quoted(name)} was read: is something writing to it?`, {
      cause: error,
    });
  }
}

function copyRange(place: FileRange, dtype: Dtype, shape: readonly number[]): Tensor {
  return scope(() => {
    const mapped = fromFile(place.path, { size: place.end, dtype: "uint8" });
    const bytes = mapped.narrow(0, place.begin, place.end - place.begin);
    if (dtype === "bool") checkTruth(bytes, place.path);
    return ops.viewDtype(bytes.clone(), dtype).view(shape);
  });
}

/** A constant: on the JavaScript side when it is small and not to be trained. */
export function constantOf(info: TensorInfo): Value {
  const { dtype, shape } = info;
  if (sizeOf(shape) > maximumHostElements) return info.read();
  if (isFloating(dtype) && sizeOf(shape) > 64) return info.read();
  using values = info.read();
  const kind = isFloating(dtype) ? "float" : dtype === "bool" ? "bool" : "int";
  return new HostArray(kind, shape, values.toNumbers());
}
