/** FLOPs of whatever runs, by watching every operator call: matrix products, convolutions and attention. */
import { setCallHook } from "./call.ts";
import { Tensor } from "./tensor.ts";

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);

type Rule = (result: Tensor, args: readonly unknown[]) => number;

/** Each output element of a convolution sums over one filter, weight.numel() / out channels. */
const convolution: Rule = (result, [, weight]) =>
  weight instanceof Tensor ? product(result.shape) * product(weight.shape.slice(1)) : 0;

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

const rules: Record<string, Rule> = {
  "aten::conv1d": convolution,
  "aten::conv2d": convolution,
  "aten::conv2d.padding": convolution,
  "aten::conv3d": convolution,
  "aten::convolution": (result, args) => (args[6] === true ? transposed : convolution)(result, args),
  "aten::conv_transpose1d": transposed,
  "aten::conv_transpose2d.input": transposed,
  "aten::conv_transpose3d.input": transposed,
  "aten::linear": matrices(0),
  "aten::matmul": matrices(0),
  "aten::mm": matrices(0),
  "aten::bmm": matrices(0),
  "aten::addmm": matrices(1),
  "aten::baddbmm": matrices(1),
  "aten::scaled_dot_product_attention": attention,
};

/**
 * FLOPs of everything that `fn` calls: twice the multiply-adds of convolutions, matrix products and attention;
 * element-wise work is not counted. Operators that libtorch calls inside others are not seen.
 */
export function countFlops(fn: () => unknown): number {
  let total = 0;
  const before = setCallHook((operator, args, result) => {
    if (result instanceof Tensor) total += 2 * (rules[operator]?.(result, args) ?? 0);
    before?.(operator, args, result);
  });
  try {
    fn();
  } finally {
    setCallHook(before);
  }
  return total;
}
