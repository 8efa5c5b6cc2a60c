/**
 * MATLAB's level 5 MAT files ("MAT-File Format", MathWorks), as far as lists of annotations need them: numbers, text, cells
 * and arrays of structs, compressed or not, least byte first.
 */
import { readFileSync, statSync } from "node:fs";
import { inflateSync } from "node:zlib";
import { printable } from "../../../io/index.ts";
import { UserError } from "../../../torch/index.ts";

/** A variable; arrays are flat, columns first. */
export type MatValue =
  | { kind: "numbers"; numbers: number[] }
  | { kind: "text"; text: string }
  | { kind: "cell"; cells: MatValue[] }
  | { kind: "struct"; elements: Map<string, MatValue>[] };

/** Far above any list of annotations. */
const maximumBytes = 1 << 28;
const maximumDepth = 8;
const maximumFields = 1000;
const headerBytes = 128;

const types = { matrix: 14, compressed: 15, utf8: 16, utf16: 17 };
const arrayClasses = { cell: 1, struct: 2, char: 4, sparse: 5 };

/** Numbers by their type in the file. */
const numeric = new Map<number, { width: number; read(bytes: Buffer, at: number): number }>([
  [1, { width: 1, read: (bytes, at) => bytes.readInt8(at) }],
  [2, { width: 1, read: (bytes, at) => bytes.readUInt8(at) }],
  [3, { width: 2, read: (bytes, at) => bytes.readInt16LE(at) }],
  [4, { width: 2, read: (bytes, at) => bytes.readUInt16LE(at) }],
  [5, { width: 4, read: (bytes, at) => bytes.readInt32LE(at) }],
  [6, { width: 4, read: (bytes, at) => bytes.readUInt32LE(at) }],
  [7, { width: 4, read: (bytes, at) => bytes.readFloatLE(at) }],
  [9, { width: 8, read: (bytes, at) => bytes.readDoubleLE(at) }],
  [12, { width: 8, read: (bytes, at) => Number(bytes.readBigInt64LE(at)) }],
  [13, { width: 8, read: (bytes, at) => Number(bytes.readBigUInt64LE(at)) }],
]);

type Fail = (what: string) => never;

/**
 * All variables of a file by their names.
 * @throws UserError naming the file when it is no such file, is damaged, or holds something else
 */
export function readMat(path: string): Map<string, MatValue> {
  const fail: Fail = (what) => {
    throw new UserError(`${path} cannot be read as a MAT file: ${what}; get it again`);
  };
  if (statSync(path).size > maximumBytes) fail("it is too large for a list of annotations");
  const bytes = readFileSync(path);
  checkHeader(bytes, fail);
  const variables = new Map<string, MatValue>();
  const reader = new Elements(bytes.subarray(headerBytes), fail);
  while (!reader.done) {
    const { name, value } = variableOf(reader.next(), fail);
    variables.set(name, value);
  }
  return variables;
}

function checkHeader(bytes: Buffer, fail: Fail): void {
  const text = bytes.subarray(0, 116).toString("latin1");
  if (text.startsWith("MATLAB 7.3")) fail("it has version 7.3, which is HDF5: save it with -v7");
  if (bytes.length < headerBytes || !text.startsWith("MATLAB")) fail("it does not start as one");
  const order = bytes.toString("latin1", 126, 128);
  if (order !== "IM") fail(`it has the byte order ${printable(JSON.stringify(order))}, not least byte first`);
}

interface Element {
  type: number;
  data: Buffer;
}

/** Elements one after another, each its type, its length and its data. */
class Elements {
  readonly #bytes: Buffer;
  readonly #fail: Fail;
  #at = 0;

  constructor(bytes: Buffer, fail: Fail) {
    this.#bytes = bytes;
    this.#fail = fail;
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length;
  }

  next(): Element {
    if (this.#at + 8 > this.#bytes.length) return this.#fail("it ends too early");
    const first = this.#bytes.readUInt32LE(this.#at);
    // Up to four bytes lie beside their tag.
    const small = first >>> 16;
    const type = small ? first & 0xffff : first;
    const length = small || this.#bytes.readUInt32LE(this.#at + 4);
    const start = this.#at + (small ? 4 : 8);
    const end = start + length;
    if ((small && length > 4) || end > this.#bytes.length) return this.#fail("it ends too early");
    this.#at = small ? this.#at + 8 : type === types.compressed ? end : start + Math.ceil(length / 8) * 8;
    return { type, data: this.#bytes.subarray(start, end) };
  }
}

function variableOf(element: Element, fail: Fail): { name: string; value: MatValue } {
  if (element.type !== types.compressed) return matrixOf(element, fail, 0);
  let inflated: Buffer;
  try {
    inflated = inflateSync(element.data, { maxOutputLength: maximumBytes });
  } catch {
    return fail("what it holds in compressed form is damaged");
  }
  return matrixOf(new Elements(inflated, fail).next(), fail, 0);
}

/** An array: its flags, sizes and name, then what it holds. */
function matrixOf({ type, data }: Element, fail: Fail, depth: number): { name: string; value: MatValue } {
  if (type !== types.matrix) fail(`it holds an element of type ${type} where an array belongs`);
  if (depth > maximumDepth) fail("its arrays lie too deep in each other");
  if (data.length === 0) return { name: "", value: { kind: "numbers", numbers: [] } };
  const parts = new Elements(data, fail);
  const flags = numbersOf(parts.next(), fail)[0] ?? 0;
  const count = numbersOf(parts.next(), fail).reduce((product, size) => product * size, 1);
  const name = parts.next().data.toString("latin1");
  // Every element of an array takes at least a byte, and cells and structs eight.
  if (!(count >= 0 && count <= data.length)) fail("an array has impossible sizes");
  const value = contentOf(flags & 0xff, count, parts, fail, depth);
  return { name, value };
}

function contentOf(arrayClass: number, count: number, parts: Elements, fail: Fail, depth: number): MatValue {
  const inner = () => matrixOf(parts.next(), fail, depth + 1).value;
  if (arrayClass === arrayClasses.cell) return { kind: "cell", cells: Array.from({ length: count }, inner) };
  if (arrayClass === arrayClasses.struct) {
    const names = fieldNames(parts, fail);
    const element = () => new Map(names.map((name) => [name, inner()]));
    return { kind: "struct", elements: Array.from({ length: count }, element) };
  }
  if (arrayClass === arrayClasses.char) return { kind: "text", text: textOf(parts.next(), fail) };
  if (arrayClass <= arrayClasses.sparse || arrayClass > 15) return fail(`it holds an array of class ${arrayClass}`);
  const numbers = numbersOf(parts.next(), fail);
  return numbers.length === count ? { kind: "numbers", numbers } : fail("an array has too few or too many numbers");
}

/** All names take the same number of bytes, with zeros at their ends. */
function fieldNames(parts: Elements, fail: Fail): string[] {
  const width = numbersOf(parts.next(), fail)[0] ?? 0;
  const { data } = parts.next();
  const count = data.length / width;
  if (!Number.isInteger(count) || count > maximumFields) return fail("the names of a struct's fields are damaged");
  const text = (i: number) => data.toString("latin1", i * width, (i + 1) * width).replace(/\0[\s\S]*$/, "");
  return Array.from({ length: count }, (_, i) => text(i));
}

function numbersOf({ type, data }: Element, fail: Fail): number[] {
  const format = numeric.get(type);
  if (!format || data.length % format.width !== 0) return fail(`it holds numbers of an unknown type (${type})`);
  return Array.from({ length: data.length / format.width }, (_, i) => format.read(data, i * format.width));
}

function textOf(element: Element, fail: Fail): string {
  if (element.type === types.utf8) return element.data.toString("utf8");
  if (element.type === types.utf16) return element.data.toString("utf16le");
  return numbersOf(element, fail)
    .map((code) => String.fromCharCode(code))
    .join("");
}
