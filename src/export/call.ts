/** One call of an operator as the functions in onnx-ops/ want it: its arguments read, its nodes added. */
import type { Dtype, Tensor } from "../torch/index.ts";
import type { Attributes, GraphBuilder, Name } from "./graph-builder.ts";
import { Rows, type Size, type TracedCall, Value } from "./trace.ts";

/** The reason why a call cannot be written. */
export class Unwritable extends Error {}

/** Names of the call's results: one, or one for each. */
export type Written = Name | readonly Name[];

/** Writes an operator's call as nodes. @throws Unwritable for arguments that ONNX has no form for */
export type Writer = (call: Call) => Written;

const isFloating = (dtype: Dtype): boolean => dtype.startsWith("float") || dtype === "bfloat16";

export class Call {
  readonly graph: GraphBuilder;
  readonly #call: TracedCall;
  readonly #names: ReadonlyMap<Value, Name>;

  constructor(graph: GraphBuilder, call: TracedCall, names: ReadonlyMap<Value, Name>) {
    this.graph = graph;
    this.#call = call;
    this.#names = names;
  }

  get results(): readonly Value[] {
    return this.#call.results;
  }

  /** The first result. */
  get result(): Value {
    return this.results[0] ?? this.fail("has no result");
  }

  /** @throws Unwritable always */
  fail(why: string): never {
    throw new Unwritable(why);
  }

  // ---- arguments

  has(i: number): boolean {
    return this.#call.args[i] !== undefined && this.#call.args[i] !== null;
  }

  /** An argument that is a tensor. */
  value(i: number): Value {
    const value = this.#call.args[i];
    return value instanceof Value ? value : this.fail(`has no tensor as its argument ${i}`);
  }

  /** An argument that is a list of tensors. */
  list(i: number): Value[] {
    const values = this.#call.args[i];
    if (!Array.isArray(values)) return this.fail(`has no list as its argument ${i}`);
    return values.map((value) => (value instanceof Value ? value : this.fail("has a list with something but tensors")));
  }

  shape(i: number): readonly Size[] {
    return this.value(i).shape;
  }

  /** The elements of an argument that is a constant of the network; undefined for another. */
  content(i: number): Tensor | undefined {
    return this.has(i) ? this.value(i).content : undefined;
  }

  /** A number, or a truth value as 0 or 1. */
  number(i: number, otherwise?: number): number {
    const value = this.#call.args[i] ?? otherwise;
    if (value instanceof Rows) return this.fail("computes with the number of images");
    if (typeof value === "boolean") return Number(value);
    return typeof value === "number" ? value : this.fail(`has no number as its argument ${i}`);
  }

  flag(i: number, otherwise = false): boolean {
    return this.number(i, Number(otherwise)) !== 0;
  }

  text(i: number, otherwise?: string): string {
    const value = this.#call.args[i] ?? otherwise;
    return typeof value === "string" ? value : this.fail(`has no text as its argument ${i}`);
  }

  isTensor(i: number): boolean {
    return this.#call.args[i] instanceof Value;
  }

  isText(i: number): boolean {
    return typeof this.#call.args[i] === "string";
  }

  /** Sizes, some of which may depend on the number of images; one number counts for a list. */
  sizes(i: number): readonly Size[] {
    const values = this.#call.args[i];
    return [values].flat().map((size) => {
      return typeof size === "number" || size instanceof Rows ? size : this.fail(`has no sizes as its argument ${i}`);
    });
  }

  /** Whole numbers; one stands for `count` of the same. */
  ints(i: number, count = 1, otherwise?: number): number[] {
    const given = this.has(i) ? this.sizes(i) : [otherwise ?? this.fail(`has no numbers as its argument ${i}`)];
    const values = given.map((size) =>
      typeof size === "number" ? size : this.fail("depends on the number of images"),
    );
    return values.length === 1 ? new Array<number>(count).fill(values[0] as number) : values;
  }

  /** A dimension of a tensor of `rank` dimensions, counted from 0. */
  dimension(i: number, rank = this.shape(0).length, otherwise?: number): number {
    const dim = this.number(i, otherwise);
    return dim < 0 ? dim + rank : dim;
  }

  /** Dimensions counted from 0; all of them when they are left out or none is named. */
  dimensions(i: number, rank = this.shape(0).length): number[] {
    const given = this.has(i) ? this.ints(i) : [];
    const all = given.length === 0 ? Array.from({ length: rank }, (_, dim) => dim) : given;
    return all.map((dim) => (dim < 0 ? dim + rank : dim));
  }

  /** The size of a dimension that does not depend on the number of images. */
  side(i: number, dim: number): number {
    const size = this.shape(i).at(dim);
    return typeof size === "number" ? size : this.fail("works along the images themselves");
  }

  // ---- nodes

  /** The name of a value in the graph; a constant becomes an initializer. */
  name(value: Value): Name {
    const { content, name } = value;
    return content ? this.graph.tensor(content, name ?? "constant") : (this.#names.get(value) as Name);
  }

  /** An argument that is a tensor, as it is. */
  input(i: number): Name {
    return this.name(this.value(i));
  }

  /** "" for an argument that is left out. */
  optional(i: number): Name {
    return this.has(i) ? this.input(i) : "";
  }

  /** A tensor or a number, as a value of the given type. */
  operand(i: number, dtype: Dtype = this.result.dtype): Name {
    if (!(this.#call.args[i] instanceof Value)) return this.graph.scalar(this.number(i), dtype);
    return this.typed(this.value(i), dtype);
  }

  typed(value: Value, dtype: Dtype): Name {
    return value.dtype === dtype ? this.name(value) : this.graph.cast(this.name(value), dtype);
  }

  /** The type in which operands are compared or chosen: that of the floating one, where there is one. */
  common(positions: readonly number[]): Dtype {
    const values = positions.map((i) => this.#call.args[i]).filter((arg) => arg instanceof Value);
    const floating = values.find(({ dtype }) => isFloating(dtype));
    if (floating) return floating.dtype;
    const numbers = positions.filter((i) => !(this.#call.args[i] instanceof Value)).map((i) => this.number(i));
    if (numbers.some((number) => !Number.isInteger(number))) return "float32";
    const [first] = new Set(values.map(({ dtype }) => dtype));
    return values.every(({ dtype }) => dtype === "bool") && numbers.length === 0 ? (first ?? "int64") : "int64";
  }

  node(op: string, inputs: readonly Name[], attributes: Attributes = {}): Name {
    return this.graph.node(op, inputs, attributes);
  }

  /** A number in the type of the result. */
  scalar(value: number): Name {
    return this.graph.scalar(value, this.result.dtype);
  }

  /** The same elements in the shape of a result. */
  reshaped(name: Name, shape: readonly Size[] = this.result.shape): Name {
    // One size may be left to what remains, which needs no computation on sizes.
    const open = shape.filter((size) => size instanceof Rows).length;
    const isEmpty = shape.includes(0);
    const sizes = open === 1 && !isEmpty ? shape.map((size) => (size instanceof Rows ? -1 : size)) : shape;
    return this.node("Reshape", [name, this.graph.sizes(sizes)]);
  }

  /** A value tiled to the shape of a result. */
  expanded(name: Name, shape: readonly Size[] = this.result.shape): Name {
    return this.node("Expand", [name, this.graph.sizes(shape)]);
  }
}

/** True for the same sizes, whatever the number of images. */
export function isSameShape(a: readonly Size[], b: readonly Size[]): boolean {
  return a.length === b.length && a.every((size, i) => isSameSize(size, b[i]));
}

export function isSameSize(a: Size, b: Size | undefined): boolean {
  return a instanceof Rows ? b instanceof Rows && a.per === b.per : a === b;
}
