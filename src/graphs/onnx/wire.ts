/**
 * The bytes of an ONNX file: a first pass over the protobuf wire format that checks every length, wire type and nesting
 * against the schema before anything is allocated, then the messages. The raw data of weights stays in the file.
 */
import fs from "node:fs";
import { type DescField, type DescMessage, fromBinary, ScalarType } from "@bufbuild/protobuf";
import { explainRead, openRegular } from "../../io/index.ts";
import { UserError } from "../../torch/index.ts";
import { GraphProtoSchema, type ModelProto, ModelProtoSchema, TensorProtoSchema } from "./onnx-pb.generated.ts";

/** Bytes of a file, from `begin` to before `end`. */
export interface ByteRange {
  readonly begin: number;
  readonly end: number;
}

export interface Parsed {
  readonly model: ModelProto;
  /** Position of the raw data of each initializer of the graph, in their order; undefined for those that have none. */
  readonly rawData: readonly (ByteRange | undefined)[];
}

/** Messages inside messages; a classifier needs about 8. */
const maximumDepth = 40;
/** Largest memory of the messages in bytes, weights aside, by the estimate of `Skim`. */
const maximumMemory = 2 ** 30;
const windowSize = 1 << 20;
/** Rough sizes of JavaScript's objects, for the estimate. */
const costs = { message: 300, text: 64, number: 8, bigint: 32 };

const wire = { varint: 0, fixed64: 1, delimited: 2, fixed32: 5 } as const;

/**
 * Reads the messages of an ONNX file.
 * @throws UserError naming the file when it is missing, no ONNX file, damaged, or would not fit in memory
 */
export function readModel(path: string): Parsed {
  const descriptor = openRegular(path);
  try {
    return new Skim(path, descriptor, fs.fstatSync(descriptor).size).model();
  } catch (error) {
    throw explainRead(error, path);
  } finally {
    fs.closeSync(descriptor);
  }
}

/** One field as it lies in the file: from its tag to its end, and its payload. */
interface Field extends ByteRange {
  readonly number: number;
  readonly type: number;
  readonly payload: number;
}

class Skim {
  readonly #path: string;
  readonly #descriptor: number;
  readonly #size: number;
  readonly #window = Buffer.allocUnsafeSlow(windowSize);
  #windowStart = 0;
  #windowEnd = 0;
  #memory = 0;

  constructor(path: string, descriptor: number, size: number) {
    this.#path = path;
    this.#descriptor = descriptor;
    this.#size = size;
  }

  model(): Parsed {
    if (this.#size === 0) this.#fail("it is empty");
    const outside: Part[] = [];
    let graph: ByteRange | undefined;
    for (const field of this.#fields(0, this.#size)) {
      this.#check(ModelProtoSchema, field, 0, field.number === ModelProtoSchema.field.graph.number);
      if (field.number !== ModelProtoSchema.field.graph.number) append(outside, field);
      else if (graph) this.#fail("it has more than one graph");
      else graph = { begin: field.payload, end: field.end };
    }
    if (!graph) return this.#fail("it has no graph");
    const model = this.#decode(ModelProtoSchema, outside);
    const rest: Part[] = [];
    const tensors: TensorParts[] = [];
    for (const field of this.#fields(graph.begin, graph.end)) {
      const isTensor = field.number === GraphProtoSchema.field.initializer.number;
      this.#check(GraphProtoSchema, field, 1, isTensor);
      if (isTensor) tensors.push(this.#tensor(field));
      else append(rest, field);
    }
    model.graph = this.#decode(GraphProtoSchema, rest);
    model.graph.initializer = tensors.map(({ own }) => this.#decode(TensorProtoSchema, own));
    return { model, rawData: tensors.map(({ raw }) => raw) };
  }

  /** An initializer without its raw data, and where that lies. */
  #tensor(outer: Field): TensorParts {
    const own: Part[] = [];
    let raw: ByteRange | undefined;
    for (const field of this.#fields(outer.payload, outer.end)) {
      if (field.number === TensorProtoSchema.field.rawData.number && field.type === wire.delimited) {
        raw = { begin: field.payload, end: field.end };
        continue;
      }
      this.#check(TensorProtoSchema, field, 2, false);
      append(own, field);
    }
    return { own, raw };
  }

  /** Checks one field of a message against the schema, with all inside unless it is `open`, whose inside comes later. */
  #check(message: DescMessage, field: Field, depth: number, open: boolean): void {
    if (depth > maximumDepth) this.#fail(`its messages are nested deeper than ${maximumDepth}`, field.begin);
    const known = byNumber(message).get(field.number);
    if (!known) return;
    const expected = wireTypeOf(known);
    const packed = known.fieldKind === "list" && expected !== wire.delimited && field.type === wire.delimited;
    if (field.type !== expected && !packed) {
      this.#fail(`${message.name}.${known.name} has wire type ${field.type} instead of ${expected}`, field.begin);
    }
    this.#memory += costOf(known, packed, field.end - field.payload);
    if (this.#memory > maximumMemory) this.#fail("its description would take more than 1 GiB of memory");
    const inner = known.message;
    if (!inner || open) return;
    for (const part of this.#fields(field.payload, field.end)) this.#check(inner, part, depth + 1, false);
  }

  *#fields(begin: number, end: number): Generator<Field> {
    for (let at = begin; at < end; ) {
      const tag = this.#varint(at, end);
      const number = Math.floor(tag.value / 8);
      const type = tag.value % 8;
      if (number === 0 || number >= 2 ** 29) this.#fail("a field has an impossible number", at);
      let payload = tag.next;
      let length = 0;
      if (type === wire.varint) length = this.#varint(payload, end).next - payload;
      else if (type === wire.fixed64) length = 8;
      else if (type === wire.fixed32) length = 4;
      else if (type === wire.delimited) {
        const size = this.#varint(payload, end);
        payload = size.next;
        length = size.value;
      } else this.#fail(`a field has the unknown wire type ${type}`, at);
      if (length > end - payload) {
        this.#fail(`a field of ${length} bytes does not fit in the ${end - payload} that are left of its message`, at);
      }
      yield { number, type, begin: at, payload, end: payload + length };
      at = payload + length;
    }
  }

  /** A number of at most 10 bytes; the value of more than 53 bits is only approximate. */
  #varint(begin: number, end: number): { value: number; next: number } {
    let value = 0;
    for (let i = 0; i < 10; i++) {
      if (begin + i >= end) this.#fail("it ends in the middle of a number (is the file complete?)", begin);
      const byte = this.#byte(begin + i);
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return { value, next: begin + i + 1 };
    }
    return this.#fail("a number is longer than 10 bytes", begin);
  }

  #byte(position: number): number {
    if (position < this.#windowStart || position >= this.#windowEnd) {
      const length = Math.min(windowSize, this.#size - position);
      this.#fill(this.#window.subarray(0, length), position);
      this.#windowStart = position;
      this.#windowEnd = position + length;
    }
    return this.#window[position - this.#windowStart] as number;
  }

  #fill(buffer: Buffer, position: number): void {
    for (let done = 0; done < buffer.length; ) {
      const count = fs.readSync(this.#descriptor, buffer, done, buffer.length - done, position + done);
      if (count === 0) throw new UserError(`${this.#path} ended while it was read: is something writing to it?`);
      done += count;
    }
  }

  #decode<D extends DescMessage>(message: D, parts: readonly ByteRange[]) {
    const bytes = Buffer.allocUnsafeSlow(parts.reduce((sum, { begin, end }) => sum + end - begin, 0));
    let done = 0;
    for (const { begin, end } of parts) {
      this.#fill(bytes.subarray(done, done + end - begin), begin);
      done += end - begin;
    }
    try {
      return fromBinary(message, bytes, { readUnknownFields: false });
    } catch (error) {
      return this.#fail(error instanceof Error ? error.message : String(error));
    }
  }

  #fail(what: string, position?: number): never {
    const where = position === undefined ? "" : ` at byte ${position}`;
    throw new UserError(`${this.#path} is not a valid ONNX file: ${what}${where}; download or export it again`);
  }
}

/** Bytes that are decoded together. */
interface Part {
  begin: number;
  end: number;
}

interface TensorParts {
  readonly own: readonly Part[];
  readonly raw: ByteRange | undefined;
}

/** Neighbouring ranges become one. */
function append(parts: Part[], { begin, end }: ByteRange): void {
  const last = parts.at(-1);
  if (last?.end === begin) last.end = end;
  else parts.push({ begin, end });
}

const tables = new Map<DescMessage, ReadonlyMap<number, DescField>>();

function byNumber(message: DescMessage): ReadonlyMap<number, DescField> {
  let table = tables.get(message);
  if (!table) {
    table = new Map(message.fields.map((field) => [field.number, field]));
    tables.set(message, table);
  }
  return table;
}

function scalarOf(field: DescField): ScalarType | undefined {
  if (field.fieldKind === "map" || field.message) return undefined;
  return field.enum ? ScalarType.INT32 : field.scalar;
}

function wireTypeOf(field: DescField): number {
  const scalar = scalarOf(field);
  if (scalar === undefined || scalar === ScalarType.STRING || scalar === ScalarType.BYTES) return wire.delimited;
  if (scalar === ScalarType.FLOAT || scalar === ScalarType.FIXED32) return wire.fixed32;
  if (scalar === ScalarType.DOUBLE || scalar === ScalarType.FIXED64) return wire.fixed64;
  return wire.varint;
}

/** Roughly what a field will take in memory. */
function costOf(field: DescField, packed: boolean, length: number): number {
  if (field.message) return costs.message;
  const scalar = scalarOf(field);
  if (scalar === ScalarType.BYTES) return costs.text + length;
  if (scalar === ScalarType.STRING) return costs.text + 2 * length;
  const each = scalar === ScalarType.INT64 || scalar === ScalarType.UINT64 ? costs.bigint : costs.number;
  if (!packed) return each;
  const width = scalar === ScalarType.FLOAT ? 4 : scalar === ScalarType.DOUBLE ? 8 : 1;
  return (length / width) * each;
}
