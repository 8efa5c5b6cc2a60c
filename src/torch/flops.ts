/** FLOPs of whatever runs, by watching every operator call: matrix products, convolutions, attention and decompositions. */
import { watchCalls } from "./call.ts";
import { scope } from "./scope.ts";
import { Script } from "./script.ts";
import { Tensor } from "./tensor.ts";

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);

/** Multiply-adds of a call. */
type Rule = (result: Tensor, args: readonly unknown[]) => number;

/** Each output element of a convolution sums over one filter, weight.numel() / out channels. */
const convolution: Rule = (result, [, weight]) =>
  weight instanceof Tensor ? product(result.shape) * product(weight.shape.slice(1)) : 0;

/** The same with a tensor that it is added to before its input. */
const added: Rule = (result, [, ...args]) => convolution(result, args);

/** Each input element of a transposed convolution spreads over one filter. */
const transposed: Rule = (_result, [input, weight]) =>
  input instanceof Tensor && weight instanceof Tensor ? product(input.shape) * product(weight.shape.slice(1)) : 0;

/** Each output element of a product sums over the left factor's last dimension. */
const matrices =
  (left: number): Rule =>
  (result, args) => {
    const factor = args[left];
    return factor instanceof Tensor ? product(result.shape) * (factor.shape.at(-1) ?? 1) : 0;
  };

/** Queries with keys [.., L, S], then weights with values [.., L, d]. */
const attention: Rule = (result, [query, key]) =>
  query instanceof Tensor && key instanceof Tensor
    ? product(query.shape) * key.size(-2) + product(result.shape) * key.size(-2)
    : 0;

/** Thin decomposition of [n, d] (Golub & Van Loan, Matrix Computations, 2013, figure 8.6.1, R-SVD). */
const decomposition: Rule = (_result, [x]) => {
  const [n, d] = x instanceof Tensor ? [x.size(-2), x.size(-1)] : [0, 0];
  const [long, short] = [Math.max(n, d), Math.min(n, d)];
  return 3 * long * short ** 2 + 10 * short ** 3;
};

/** Multiply-adds of programs for one row of each shape: looking into a program takes a run of its own. */
const programs = new WeakMap<Script, Map<string, number>>();

const program: Rule = (_result, [script, x]) => {
  if (!(script instanceof Script && x instanceof Tensor)) return 0;
  const known = programs.get(script) ?? new Map<string, number>();
  programs.set(script, known);
  const shape = x.shape.slice(1).join();
  const perRow = known.get(shape) ?? multiplyAddsOfRow(script, x);
  known.set(shape, perRow);
  return perRow * x.size(0);
};

function multiplyAddsOfRow(script: Script, x: Tensor): number {
  return scope(() =>
    script.calls(x.narrow(0, 0, 1)).reduce((sum, [name, args, result]) => sum + multiplyAdds(name, args, result), 0),
  );
}

const rules = new Map<string, Rule>([
  ["aten::conv1d", convolution],
  ["aten::conv2d", convolution],
  ["aten::conv2d.padding", convolution],
  ["aten::conv3d", convolution],
  ["aten::convolution", (result, args) => (args[6] === true ? transposed : convolution)(result, args)],
  ["mkldnn::_convolution_pointwise", convolution],
  ["mkldnn::_convolution_pointwise_.binary", added],
  ["aten::conv_transpose1d", transposed],
  ["aten::conv_transpose2d.input", transposed],
  ["aten::conv_transpose3d.input", transposed],
  ["aten::linear", matrices(0)],
  ["aten::matmul", matrices(0)],
  ["aten::mm", matrices(0)],
  ["aten::bmm", matrices(0)],
  ["aten::addmm", matrices(1)],
  ["aten::baddbmm", matrices(1)],
  ["aten::scaled_dot_product_attention", attention],
  ["aten::linalg_svd", decomposition],
  ["script::forward", program],
]);

function multiplyAdds(operator: string, args: readonly unknown[], result: unknown): number {
  const rule = rules.get(operator);
  if (!rule) return 0;
  const first = Array.isArray(result) ? result[0] : result;
  return first instanceof Tensor ? rule(first, args) : 0;
}

/**
 * Running count of the FLOPs of what is called: twice the multiply-adds; element-wise work is not counted. Operators that
 * libtorch calls inside others are not seen.
 */
export class FlopMeter {
  total = 0;
  readonly #training: number;

  /** @param training factor of a product that a gradient goes back through: 3 counts two products in the backward pass */
  constructor(training = 1) {
    this.#training = training;
  }

  /** The backward pass has a product for the input, and one for the weight unless it stays as it is. */
  #factor(operator: string, args: readonly unknown[], result: unknown): number {
    if (!isTrained(result)) return 1;
    return isFrozen(operator, args) ? Math.max(1, this.#training - 1) : this.#training;
  }

  /** Runs `fn`, which must not be asynchronous, and counts what it calls. */
  count<T>(fn: () => T): T {
    return watchCalls((operator, args, result) => {
      const products = multiplyAdds(operator, args, result);
      if (products > 0) this.total += 2 * products * this.#factor(operator, args, result);
    }, fn);
  }
}

/** Operators whose second argument is a layer's weight. */
const layers = /^aten::(linear|conv)/;

function isFrozen(operator: string, [, weight]: readonly unknown[]): boolean {
  return layers.test(operator) && weight instanceof Tensor && !weight.requires_grad;
}

function isTrained(result: unknown): boolean {
  const first = Array.isArray(result) ? result[0] : result;
  return first instanceof Tensor && first.requires_grad;
}

/** FLOPs of everything that `fn` calls, forward alone. */
export function countFlops(fn: () => unknown): number {
  const meter = new FlopMeter();
  meter.count(fn);
  return meter.total;
}
