/** Arguments and result of a builder of operators. */

import { quoted } from "../../../io/index.ts";
import type { BatchNorm2d } from "../../../nn/index.ts";
import { ops, type Tensor, UserError } from "../../../torch/index.ts";
import { depthwiseView, kernelView, type NormSpec, type Parameters, type WeightLayout } from "../parameters.ts";
import type { TensorRun } from "../step.ts";
import type { Attributes } from "./attributes.ts";
import type { GraphNode } from "./nodes.ts";

/** Takes a value from a step's inputs, or from what is known already. */
export type Get<T> = (values: readonly Tensor[]) => T;

export type Operator = (node: Operands) => TensorRun;

/** State that nodes share while a graph is built. */
export interface Surroundings {
  readonly parameters: Parameters;
  /** Weights by the tensors that carry them, directly or through identities. */
  readonly constants: ReadonlyMap<string, string>;
  /** Weights that are trained. */
  readonly trained: ReadonlySet<string>;
}

const maximumInts = 4096;

/** The inputs of a node: weights are taken from the file, the rest from other steps. */
export class Operands {
  readonly name: string;
  readonly attributes: Attributes;
  /** Tensors of other steps that are read, in the order of the step's values. */
  readonly inputs: string[] = [];
  /** Weights that are used, and the name of the BatchNorm layer. */
  readonly weights = new Set<string>();
  usedNorm: string | undefined;
  readonly #node: GraphNode;
  readonly #around: Surroundings;

  constructor(node: GraphNode, around: Surroundings) {
    this.name = node.name;
    this.attributes = node.attributes;
    this.#node = node;
    this.#around = around;
  }

  get count(): number {
    return this.#node.inputs.length;
  }

  fail(message: string): never {
    return this.attributes.fail(message);
  }

  #input(i: number): string {
    return this.#node.inputs[i] ?? this.fail(`it has ${this.count} inputs, but needs input ${i}`);
  }

  /** The name of the weight that is input i, if it is one. */
  weightName(i: number): string | undefined {
    const name = this.#around.constants.get(this.#input(i));
    if (name !== undefined) this.weights.add(name);
    return name;
  }

  #step(name: string): Get<Tensor> {
    const known = this.inputs.indexOf(name);
    const k = known < 0 ? this.inputs.push(name) - 1 : known;
    return (values) => values[k] as Tensor;
  }

  /** Input i in TensorFlow's layout. */
  tensor(i: number): Get<Tensor> {
    const weight = this.weightName(i);
    if (weight === undefined) return this.#step(this.#input(i));
    const { parameters, trained } = this.#around;
    if (parameters.stored(weight).dtype !== "float32") {
      const fixed = parameters.steer(weight);
      return () => fixed;
    }
    const layout = parameters.layoutOf(weight) ?? "as stored";
    const held = parameters.use(weight, layout, trained.has(weight));
    if (layout === "as stored") return () => held;
    const shape = parameters.stored(weight).shape;
    return () => asStored(held, layout, shape);
  }

  /** Input i where it is a weight that is a vector. */
  vector(i: number): Tensor | undefined {
    const weight = this.weightName(i);
    if (weight === undefined) return undefined;
    const { parameters, trained } = this.#around;
    const { dtype, shape } = parameters.stored(weight);
    return dtype === "float32" && shape.length === 1
      ? parameters.use(weight, "as stored", trained.has(weight))
      : undefined;
  }

  /** All inputs from one on. */
  tensors(from: number, to = this.count): Get<Tensor[]> {
    const all = Array.from({ length: Math.max(to - from, 0) }, (_, k) => this.tensor(from + k));
    return (values) => all.map((get) => get(values));
  }

  /** Input i as a kernel in libtorch's layout. */
  kernel(i: number, layout: Exclude<WeightLayout, "as stored">): Get<Tensor> {
    const view = layout === "kernel" ? kernelView : depthwiseView;
    const weight = this.weightName(i);
    if (weight !== undefined) {
      const { parameters, trained } = this.#around;
      const held = parameters.layoutOf(weight);
      if (held === undefined || held === layout) {
        const kernel = parameters.use(weight, layout, trained.has(weight));
        return () => kernel;
      }
    }
    const tensor = this.tensor(i);
    return (values) => {
      const kernel = tensor(values);
      if (kernel.dim() !== 4) throw new UserError(`the kernel has ${kernel.dim()} dimensions, needs 4`);
      return view(kernel);
    };
  }

  /** Input i as whole numbers, such as a shape. */
  ints(i: number): Get<number[]> {
    const read = (tensor: Tensor): number[] => {
      if (tensor.dim() > 2 || tensor.numel() > maximumInts) throw new UserError(`${tensor} is no list of sizes`);
      const numbers = tensor.toNumbers();
      const wrong = numbers.find((value) => !Number.isSafeInteger(value));
      if (wrong !== undefined) throw new UserError(`${wrong} is no whole number`);
      return numbers;
    };
    const weight = this.weightName(i);
    if (weight === undefined) {
      const tensor = this.#step(this.#input(i));
      return (values) => read(tensor(values));
    }
    const known = this.#checked(() => read(this.#around.parameters.stored(weight)), i);
    return () => known;
  }

  /** Input i as one whole number, such as an axis. */
  int(i: number): Get<number> {
    const ints = this.ints(i);
    return (values) => {
      const [value, ...more] = ints(values);
      if (value === undefined || more.length > 0) throw new UserError(`input ${i} must be one number`);
      return value;
    };
  }

  #checked<T>(fn: () => T, i: number): T {
    try {
      return fn();
    } catch (error) {
      return this.fail(`its input ${i}, ${quoted(this.#input(i))}: ${error instanceof Error ? error.message : error}`);
    }
  }

  norm(spec: Pick<NormSpec, "epsilon" | "momentum">): BatchNorm2d {
    const [gamma, beta, mean, variance] = [1, 2, 3, 4].map((i) => {
      return this.weightName(i) ?? this.fail(`its input ${i} must be a weight of the file`);
    }) as [string, string, string, string];
    this.usedNorm = this.name;
    return this.#around.parameters.norm(this.name, { gamma, beta, mean, variance, ...spec });
  }
}

/** Back from libtorch's layout to [h, w, in, out], or [h, w, in, m]. */
function asStored(held: Tensor, layout: WeightLayout, shape: readonly number[]): Tensor {
  if (layout === "kernel") return held.permute([2, 3, 1, 0]);
  const [height = 0, width = 0, into = 0, multiplier = 0] = shape;
  return ops.reshape(held, [into, multiplier, height, width]).permute([2, 3, 0, 1]);
}
