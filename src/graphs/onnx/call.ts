/** One execution of one node: its inputs and attributes as an operator's function wants them. */
import type { BatchNorm2d } from "../../nn/index.ts";
import { type Dtype, Tensor, UserError } from "../../torch/index.ts";
import type { Reference } from "../batch.ts";
import type { Context } from "../step.ts";
import { HostArray, isFloating, maximumHostElements, sizeOf, toTensor, type Value } from "../values.ts";
import type { Graph, GraphNode } from "./graph.ts";

export interface CallParts {
  readonly node: GraphNode;
  readonly graph: Pick<Graph, "path" | "opset">;
  readonly inputs: readonly (Value | undefined)[];
  readonly context: Context;
  /** The layer of a BatchNormalization node. */
  readonly norm: BatchNorm2d | undefined;
  /** Gives the tensor of a constant array, made once. */
  readonly tensorOf: (constant: HostArray) => Tensor;
}

export class Call {
  readonly node: GraphNode;
  readonly inputs: readonly (Value | undefined)[];
  readonly context: Context;
  readonly norm: BatchNorm2d | undefined;
  /** True when all inputs are arrays: such a node computes on the CPU, and its result becomes an array again. */
  readonly onHost: boolean;
  readonly #graph: CallParts["graph"];
  readonly #tensorOf: CallParts["tensorOf"];

  constructor({ node, graph, inputs, context, norm, tensorOf }: CallParts) {
    this.node = node;
    this.inputs = inputs;
    this.context = context;
    this.norm = norm;
    this.onHost = inputs.every((value) => value === undefined || value instanceof HostArray);
    this.#graph = graph;
    this.#tensorOf = tensorOf;
  }

  /** Device on which the node computes. */
  get device(): string {
    return this.onHost ? "cpu" : this.context.device;
  }

  /** The dtype of floating results; sizes must not be computed in half precision. */
  get floating(): Dtype {
    const { dtype } = this.context;
    return this.onHost && dtype !== "float64" ? "float32" : dtype;
  }

  get opset(): number {
    return this.#graph.opset;
  }

  /** Set when this run's batch is not the file's. */
  get reference(): Reference | undefined {
    return this.context.reference;
  }

  /** @throws UserError always, naming file and node */
  fail(what: string): never {
    throw new UserError(`${this.#graph.path}: ${this.node.label} ${what}`);
  }

  // ---- inputs

  has(i: number): boolean {
    return this.inputs[i] !== undefined;
  }

  value(i: number): Value {
    return this.inputs[i] ?? this.fail(`has no input ${i}`);
  }

  tensor(i: number): Tensor {
    const value = this.value(i);
    if (value instanceof HostArray && !this.onHost && this.isConstant(i)) return this.#tensorOf(value);
    return toTensor(value, this.floating, this.device);
  }

  optionalTensor(i: number): Tensor | null {
    return this.has(i) ? this.tensor(i) : null;
  }

  shape(i: number): readonly number[] {
    return this.value(i).shape;
  }

  /** The numbers of an input that may depend on the images' size, never on their pixels. */
  numbers(i: number): readonly number[] {
    const value = this.value(i);
    if (value instanceof HostArray) return value.data;
    if (this.isConstant(i) && sizeOf(value.shape) <= maximumHostElements) return value.toNumbers();
    return this.fail(`needs its input ${i} before the images are seen, but that depends on them`);
  }

  /** An input of one element that is known beforehand. */
  number(i: number): number {
    const numbers = this.numbers(i);
    return numbers.length === 1 ? (numbers[0] as number) : this.fail(`has ${numbers.length} numbers as its input ${i}`);
  }

  /** A tensor, or the number where a single known one of no more dimensions than `beside` does as well. */
  operand(i: number, beside: Value): Tensor | number {
    const value = this.value(i);
    if (value instanceof HostArray && value.data.length === 1 && value.shape.length <= beside.shape.length) {
      return value.data[0] as number;
    }
    return this.tensor(i);
  }

  // ---- attributes

  int(name: string, otherwise: number): number {
    return this.node.attributes.int(name) ?? otherwise;
  }

  flag(name: string, otherwise = false): boolean {
    return this.int(name, otherwise ? 1 : 0) !== 0;
  }

  float(name: string, otherwise: number): number {
    return this.node.attributes.float(name) ?? otherwise;
  }

  string(name: string, otherwise: string): string {
    return this.node.attributes.string(name) ?? otherwise;
  }

  ints(name: string): number[] | undefined {
    return this.node.attributes.ints(name);
  }

  /**
   * Numbers that newer versions of an operator take from an input instead of an attribute, from whichever the node has.
   */
  intsOf(name: string, input: number): readonly number[] | undefined {
    return this.ints(name) ?? (this.has(input) ? this.numbers(input) : undefined);
  }

  /** A dimension of a value of `rank` dimensions, counted from 0. */
  dimension(axis: number, rank: number): number {
    const counted = axis < 0 ? axis + rank : axis;
    if (Number.isInteger(axis) && counted >= 0 && counted < rank) return counted;
    return this.fail(`names dimension ${axis} of a tensor with ${rank}`);
  }

  /**
   * A dimension of input 0 that the node works along. Along the images themselves it could only have meant the fixed
   * batch of the file.
   */
  along(axis: number): number {
    const shape = this.shape(0);
    const dim = this.dimension(axis, shape.length);
    const fixed = this.reference?.inputs[0]?.[dim];
    if (fixed === undefined || fixed === shape[dim] || this.value(0) instanceof HostArray) return dim;
    return this.fail(
      this.batchProblem(`works along the ${this.reference?.batch.declared} image(s) that the file is made for`),
    );
  }

  /** Message for a graph with a fixed batch that cannot be used with another one. */
  batchProblem(what: string): string {
    return `${what}, and cannot be made to take ${this.reference?.batch.actual}: export the network with a dynamic batch`;
  }

  /** True when an input is the same in every run. */
  isConstant(i: number): boolean {
    return this.context.isConstant(i);
  }

  // ---- limits

  /** Refuses a tensor that would be too large. */
  allow(shape: readonly number[], work = 0): void {
    this.context.allow(shape, work);
  }

  isFloat(i: number): boolean {
    const value = this.value(i);
    return value instanceof Tensor ? isFloating(value.dtype) : value.kind === "float";
  }
}

/** Result of an operator's function: one value, or one for each output. */
export type Result = Value | readonly Value[];

/** Roles of an operator's inputs and result in training; trained.ts draws the conclusions. */
export interface Traits {
  /** Inputs through which no gradient goes, or none that is wanted. */
  readonly fixed?: readonly number[] | "all";
  /** Inputs that take weights. */
  readonly weights?: readonly number[] | "all";
  /** True for a product of images with weights. */
  readonly isLayer?: boolean;
  /** True where the backward pass does not need the result, so that the next node may overwrite it. */
  readonly isOverwritable?: boolean;
}

export interface OperatorFunction extends Traits {
  (call: Call): Result;
}
