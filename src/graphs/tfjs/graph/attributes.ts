/** Attributes of a node in TensorFlow's JSON: whole numbers may be texts, texts are base64. */
import { quoted, reasonOf } from "../../../io/index.ts";
import { type Dtype, UserError } from "../../../torch/index.ts";
import { isInt, isRecord, type Range } from "../json.ts";

const dtypes: ReadonlyMap<string, Dtype> = new Map<string, Dtype>([
  ["DT_FLOAT", "float32"],
  ["DT_HALF", "float32"],
  ["DT_BFLOAT16", "float32"],
  ["DT_DOUBLE", "float32"],
  ["DT_INT32", "int32"],
  ["DT_INT64", "int32"],
  ["DT_INT8", "int32"],
  ["DT_UINT8", "int32"],
  ["DT_BOOL", "bool"],
  // Their numbers in TensorFlow's enumeration.
  ["1", "float32"],
  ["3", "int32"],
  ["9", "int32"],
  ["10", "bool"],
]);

export class Attributes {
  readonly #record: Record<string, unknown>;
  readonly where: string;

  constructor(value: unknown, where: string) {
    this.where = where;
    if (value !== undefined && !isRecord(value)) this.fail(`its attributes are ${quoted(value)}`);
    this.#record = value ?? {};
  }

  fail(message: string): never {
    throw new UserError(`${this.where}: ${reasonOf(message)}`);
  }

  /** One field of an attribute's value, such as "i". */
  #field(key: string, field: string): unknown {
    if (!Object.hasOwn(this.#record, key)) return undefined;
    const value = this.#record[key];
    if (!isRecord(value)) return this.fail(`the attribute "${key}" is ${quoted(value)}`);
    return Object.hasOwn(value, field) ? value[field] : undefined;
  }

  #list(key: string, field: string): unknown[] | undefined {
    const list = this.#field(key, "list");
    if (list === undefined) return undefined;
    if (!isRecord(list)) return this.fail(`the attribute "${key}" is ${quoted(list)}`);
    const values = Object.hasOwn(list, field) ? list[field] : [];
    return Array.isArray(values) ? values : this.fail(`the attribute "${key}" holds ${quoted(values)}`);
  }

  int(key: string, range: Range, fallback: number): number {
    const value = this.#field(key, "i");
    return value === undefined ? fallback : this.#int(key, value, range);
  }

  #int(key: string, value: unknown, range: Range): number {
    const number = typeof value === "string" && /^-?\d{1,15}$/.test(value) ? Number(value) : value;
    if (isInt(number, range)) return number;
    const { min = "any", max = "any" } = range;
    return this.fail(`the attribute "${key}" must be a whole number (from ${min} to ${max}), is ${quoted(value)}`);
  }

  ints(key: string, range: Range, fallback: readonly number[]): readonly number[] {
    return this.#list(key, "i")?.map((value) => this.#int(key, value, range)) ?? fallback;
  }

  float(key: string, fallback: number): number {
    const value = this.#field(key, "f") ?? this.#field(key, "i");
    if (value === undefined) return fallback;
    if (typeof value === "number" && Number.isFinite(value)) return value;
    return this.fail(`the attribute "${key}" must be a finite number, is ${quoted(value)}`);
  }

  boolean(key: string, fallback: boolean): boolean {
    const value = this.#field(key, "b");
    if (value === undefined) return fallback;
    return typeof value === "boolean" ? value : this.fail(`the attribute "${key}" must be true or false`);
  }

  string(key: string, fallback: string): string {
    const value = this.#field(key, "s");
    return value === undefined ? fallback : this.#text(key, value);
  }

  strings(key: string): string[] {
    return (this.#list(key, "s") ?? []).map((value) => this.#text(key, value));
  }

  #text(key: string, value: unknown): string {
    if (typeof value === "string") return Buffer.from(value, "base64").toString("latin1");
    if (Array.isArray(value) && value.every((byte) => isInt(byte, { min: 0, max: 255 }))) {
      return Buffer.from(value as number[]).toString("latin1");
    }
    return this.fail(`the attribute "${key}" must be a text, is ${quoted(value)}`);
  }

  dtype(key: string, fallback: Dtype): Dtype {
    const value = this.#field(key, "type");
    if (value === undefined) return fallback;
    return dtypes.get(String(value)) ?? this.fail(`the type ${quoted(value)} is not supported`);
  }

  /** Sizes, -1 for any; undefined when the attribute says nothing. */
  shape(key: string): number[] | undefined {
    const shape = this.#field(key, "shape");
    if (shape === undefined) return undefined;
    if (!isRecord(shape)) return this.fail(`the attribute "${key}" is ${quoted(shape)}`);
    return shapeOf(shape, (value) => this.fail(`the attribute "${key}" has the size ${quoted(value)}`));
  }
}

/** The sizes in a TensorShapeProto; undefined for an unknown rank. */
export function shapeOf(shape: Record<string, unknown>, fail: (value: unknown) => never): number[] | undefined {
  if (shape["unknownRank"] === true || !Array.isArray(shape["dim"])) return undefined;
  return (shape["dim"] as unknown[]).map((dim) => {
    const size = isRecord(dim) ? dim["size"] : fail(dim);
    const number = typeof size === "string" && /^-?\d{1,9}$/.test(size) ? Number(size) : (size ?? -1);
    return isInt(number, { min: -1 }) ? number : fail(size);
  });
}
