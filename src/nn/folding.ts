/**
 * BatchNorm, activation and sum as parts of the convolution before them, for weights that stay as they are for a while.
 * oneDNN does what follows a convolution while its output is in the cache, with filters that lie as it wants them.
 */
import {
  disposeTree,
  hasOperator,
  isAutocast,
  isGradEnabled,
  isParkable,
  keep,
  ones,
  ops,
  scope,
  type Tensor,
  zeros,
} from "../torch/index.ts";
import { Hardswish, ReLU, ReLU6, SiLU } from "./activation.ts";
import { Conv2d } from "./conv.ts";
import type { Module } from "./module.ts";
import { BatchNorm2d } from "./norm.ts";

/** Scale and shift [C] of a BatchNorm, and its running statistics [C]; of other scales and shifts there are none. */
export interface Statistics {
  weight?: Tensor | undefined;
  bias?: Tensor | undefined;
  mean?: Tensor | undefined;
  variance?: Tensor | undefined;
  eps?: number | undefined;
}

type Filters = [weight: Tensor, bias: Tensor | undefined];

/** Weight [C, ...] and bias [C] of the convolution that does what this one and the norm behind it do; computed in float64. */
export function foldNorm(weight: Tensor, bias: Tensor | undefined, norm: Statistics): [weight: Tensor, bias: Tensor] {
  return keep(scope(() => withNorm([weight, bias], norm)));
}

function withNorm([weight, bias]: Filters, { mean, variance, eps = 0, ...norm }: Statistics): [Tensor, Tensor] {
  const wide = (tensor: Tensor): Tensor => tensor.detach().to({ dtype: "float64" });
  const options = { dtype: "float64", device: weight.device } as const;
  const [channels = 0, ...others] = weight.shape;
  const or = (tensor: Tensor | undefined, otherwise: typeof zeros) =>
    tensor ? wide(tensor) : otherwise([channels], options);
  const scale = or(norm.weight, ones);
  const factor = variance ? scale.div(wide(variance).add(eps).sqrt()) : scale;
  const centred = or(bias, zeros).sub(or(mean, zeros));
  const filters = wide(weight).mul(factor.view([-1, ...others.map(() => 1)]));
  const own = (tensor: Tensor): Tensor => tensor.to({ dtype: weight.dtype }).clone();
  return [own(filters), own(or(norm.bias, zeros).add(centred.mul(factor)))];
}

/** An activation as oneDNN names it, with its constants. */
export type PostOp = readonly [name: string, constants: readonly number[]];

export const relu: PostOp = ["relu", []];
export const relu6: PostOp = ["hardtanh", [0, 6]];
const none: PostOp = ["none", []];

const postOps = new Map<unknown, PostOp>([
  [ReLU.prototype.forward, relu],
  [ReLU6.prototype.forward, relu6],
  [Hardswish.prototype.forward, ["hardswish", []]],
  [SiLU.prototype.forward, ["swish", []]],
]);

/** A convolution as its operator takes it: a Conv2d is one. */
export interface Filtering {
  readonly weight: Tensor;
  readonly bias?: Tensor | undefined;
  readonly stride: number | readonly number[];
  readonly padding: number | readonly number[] | "same";
  readonly dilation: number | readonly number[];
  readonly groups: number;
}

interface Folded {
  /** What weights were when they were folded: another tensor may stand in for one. */
  readonly handles: readonly unknown[];
  readonly filters: Tensor;
  readonly bias: Tensor;
}

let current: FoldedNorms | undefined;

/** Folded convolutions, each made at its first use inside `run`. Nothing may change weights or statistics until `dispose`. */
export class FoldedNorms implements Disposable {
  readonly #known = new Map<object, Folded>();
  /** Whether weights that leave memory may stay in it as copies. */
  readonly keepsParkable: boolean;

  constructor({ keepsParkable = false }: { keepsParkable?: boolean } = {}) {
    this.keepsParkable = keepsParkable;
  }

  /** Runs `fn`, which must not be asynchronous; what it computes without gradients in evaluation mode is folded. */
  run<T>(fn: () => T): T {
    const before = current;
    current = this;
    try {
      return fn();
    } finally {
      current = before;
    }
  }

  /** Undefined where weights are not those that were folded for this owner. */
  of(owner: object, conv: Filtering, norms: readonly Statistics[], shape: readonly number[]): Folded | undefined {
    const known = this.#known.get(owner);
    const handles = handlesOf(conv, norms);
    if (known) return known.handles.every((handle, i) => handle === handles[i]) ? known : undefined;
    const made = { handles, ...folded(conv, norms, shape) };
    this.#known.set(owner, made);
    return made;
  }

  dispose(): void {
    disposeTree([...this.#known.values()].flatMap(({ filters, bias }) => [filters, bias]));
    this.#known.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

const handlesOf = ({ weight, bias }: Filtering, norms: readonly Statistics[]) =>
  [weight, bias, ...norms.flatMap((norm) => [norm.weight, norm.bias, norm.mean, norm.variance])].map(
    (tensor) => tensor?.handle,
  );

function folded(conv: Filtering, norms: readonly Statistics[], shape: readonly number[]): Omit<Folded, "handles"> {
  const { padding, stride, dilation, groups } = windowsOf(conv);
  return keep(
    scope(() => {
      let made: Filters = [conv.weight.detach().clone(), conv.bias?.detach().clone()];
      for (const norm of norms) made = withNorm(made, norm);
      const [plain, bias = zeros([plain.size(0)])] = made;
      // Filters of single channels are as fast as they are.
      const isDeep = groups > 1 && groups === plain.size(0);
      const filters = isDeep ? plain : ops.reorder_convolution_weight(plain, padding, stride, dilation, groups, shape);
      return { filters, bias };
    }),
  );
}

function windowsOf({ padding, stride, dilation, groups }: Filtering) {
  const both = (sides: number | readonly number[]): number[] =>
    typeof sides === "number" ? [sides, sides] : [...sides];
  return { padding: both(padding === "same" ? 0 : padding), stride: both(stride), dilation: both(dilation), groups };
}

/** A change of the result, and a tensor to add to it before: the sum takes its place. */
export interface After {
  activation?: PostOp | undefined;
  /** Of the result's shape; overwritten. */
  sum?: Tensor | undefined;
}

/**
 * Convolution of [B, C, H, W], norms behind it and what follows in one operator; undefined where this is not the same or not possible:
 * outside of `FoldedNorms.run`, and with gradients. The owner is always given with the same weights and windows.
 */
export function foldedConvolution(
  owner: object,
  x: Tensor,
  conv: Filtering,
  norms: readonly Statistics[],
  { activation = none, sum }: After = {},
): Tensor | undefined {
  if (!current || !isPossible(x, conv)) return undefined;
  const found = current.of(owner, conv, norms, x.shape);
  if (!found) return undefined;
  const { filters, bias } = found;
  const { padding, stride, dilation, groups } = windowsOf(conv);
  const [name, constants] = activation;
  if (!sum) return ops.convolution_pointwise(x, filters, bias, padding, stride, dilation, groups, name, constants, "");
  const own = [sum, x, filters, bias, padding, stride, dilation, groups] as const;
  return ops.convolution_pointwise_binary_(...own, "add", 1, name, constants, "");
}

/** The same of two layers; undefined also while they are trained, and where their passes have been changed. */
export function foldedForward(x: Tensor, conv: Module, norm: Module, after: After = {}): Tensor | undefined {
  if (!current || !(conv instanceof Conv2d && norm instanceof BatchNorm2d)) return undefined;
  const { forward, convolve } = Conv2d.prototype;
  const isPlain = conv.forward === forward && conv.convolve === convolve;
  const statistics = fixedStatistics(norm);
  return isPlain && statistics ? foldedConvolution(conv, x, conv, [statistics], after) : undefined;
}

/** Statistics of a layer which nothing wraps or replaces, and which does not take them from its batch. */
export function fixedStatistics(norm: BatchNorm2d): Statistics | undefined {
  if (norm.forward !== BatchNorm2d.prototype.forward || (norm.training && norm.policy !== "running")) return undefined;
  const { weight, bias, running_mean: mean, running_var: variance, eps } = norm;
  return { weight, bias, mean, variance, eps };
}

let isThere: boolean | undefined;

function isPossible(x: Tensor, { weight, bias, padding }: Filtering): boolean {
  isThere ??= hasOperator("mkldnn::_convolution_pointwise");
  // Weights that leave memory to save it must not stay there as copies, but where the owner has room for them.
  const isHere = x.device === "cpu" && (current?.keepsParkable || !isParkable(weight));
  const isFloat = x.dtype === "float32" && weight.dtype === "float32" && !isAutocast();
  // What is made anew for each pass would be folded each time.
  const isLasting = weight.kept && bias?.kept !== false;
  return isThere && !isGradEnabled() && isHere && isFloat && isLasting && padding !== "same" && x.size(0) > 0;
}

/** The first of these steps with those behind it that one operator does with it, and their number. */
export function foldedSteps(
  x: Tensor,
  steps: readonly Module[],
  first: number,
): { y: Tensor; count: number } | undefined {
  const [conv, norm, act] = [steps[first], steps[first + 1], steps[first + 2]];
  if (!current || !conv || !norm) return undefined;
  const activation = act && postOps.get(act.forward);
  const y = foldedForward(x, conv, norm, { activation });
  return y && { y, count: activation ? 3 : 2 };
}
