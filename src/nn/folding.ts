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

/** Scale and shift [C] of a BatchNorm, and its running statistics [C]. */
export interface Statistics {
  weight?: Tensor | undefined;
  bias?: Tensor | undefined;
  mean: Tensor;
  variance: Tensor;
  eps: number;
}

/** Weight [C, ...] and bias [C] of the convolution that does what this one and the norm behind it do; computed in float64. */
export function foldNorm(weight: Tensor, bias: Tensor | undefined, norm: Statistics): [weight: Tensor, bias: Tensor] {
  const wide = (tensor: Tensor): Tensor => tensor.detach().to({ dtype: "float64" });
  const options = { dtype: "float64", device: weight.device } as const;
  const [channels = 0, ...others] = weight.shape;
  return keep(
    scope(() => {
      const scale = norm.weight ? wide(norm.weight) : ones([channels], options);
      const factor = scale.div(wide(norm.variance).add(norm.eps).sqrt());
      const centred = (bias ? wide(bias) : zeros([channels], options)).sub(wide(norm.mean));
      const shift = norm.bias ? wide(norm.bias) : zeros([channels], options);
      const filters = wide(weight).mul(factor.view([-1, ...others.map(() => 1)]));
      const own = (tensor: Tensor): Tensor => tensor.to({ dtype: weight.dtype }).clone();
      return [own(filters), own(shift.add(centred.mul(factor)))] as [Tensor, Tensor];
    }),
  );
}

/** An activation as oneDNN names it, with its constants. */
type PostOp = readonly [name: string, constants: readonly number[]];

export const relu: PostOp = ["relu", []];
const none: PostOp = ["none", []];

const postOps = new Map<unknown, PostOp>([
  [ReLU.prototype.forward, relu],
  [ReLU6.prototype.forward, ["hardtanh", [0, 6]]],
  [Hardswish.prototype.forward, ["hardswish", []]],
  [SiLU.prototype.forward, ["swish", []]],
]);

interface Folded {
  readonly norm: BatchNorm2d;
  /** What weights were when they were folded: another tensor may stand in for one. */
  readonly handles: readonly unknown[];
  readonly filters: Tensor;
  readonly bias: Tensor;
}

let current: FoldedNorms | undefined;

/** Folded convolutions, each made at its first use inside `run`. Nothing may change weights or statistics until `dispose`. */
export class FoldedNorms implements Disposable {
  readonly #known = new Map<Conv2d, Folded>();
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

  /** Undefined where weights are not those that were folded. */
  of(conv: Conv2d, norm: BatchNorm2d, shape: readonly number[]): Folded | undefined {
    const known = this.#known.get(conv);
    if (known) {
      const now = handlesOf(conv, norm);
      return known.norm === norm && known.handles.every((handle, i) => handle === now[i]) ? known : undefined;
    }
    const made = folded(conv, norm, shape);
    this.#known.set(conv, made);
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

const handlesOf = (conv: Conv2d, norm: BatchNorm2d) => [
  conv.weight.handle,
  norm.weight.handle,
  norm.running_mean.handle,
];

function folded(conv: Conv2d, norm: BatchNorm2d, shape: readonly number[]): Folded {
  const { weight, bias: scale, running_mean: mean, running_var: variance, eps } = norm;
  const [plain, bias] = foldNorm(conv.weight, conv.bias, { weight, bias: scale, mean, variance, eps });
  const { padding, stride, dilation, groups } = windowsOf(conv);
  // Filters of single channels are as fast as they are.
  const isDeep = groups > 1 && groups === conv.weight.size(0);
  const filters = isDeep
    ? plain
    : keep(ops.reorder_convolution_weight(plain, padding, stride, dilation, groups, shape));
  if (!isDeep) plain.dispose();
  return { norm, handles: handlesOf(conv, norm), filters, bias };
}

function windowsOf({ padding, stride, dilation, groups }: Conv2d) {
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
 * Convolution and norm of [B, C, H, W] in one operator, with what follows; undefined where this is not the same or not possible:
 * outside of `FoldedNorms.run`, while training, and for layers whose passes have been changed.
 */
export function foldedForward(x: Tensor, conv: Module, norm: Module, after: After = {}): Tensor | undefined {
  if (!current || !(conv instanceof Conv2d && norm instanceof BatchNorm2d)) return undefined;
  if (!isPlain(conv, norm) || !isPossible(x, conv, norm)) return undefined;
  const found = current.of(conv, norm, x.shape);
  if (!found) return undefined;
  const { filters, bias } = found;
  const { padding, stride, dilation, groups } = windowsOf(conv);
  const [name, constants] = after.activation ?? none;
  if (!after.sum) {
    return ops.convolution_pointwise(x, filters, bias, padding, stride, dilation, groups, name, constants, "");
  }
  const { sum } = after;
  const own = [sum, x, filters, bias, padding, stride, dilation, groups] as const;
  return ops.convolution_pointwise_binary_(...own, "add", 1, name, constants, "");
}

/** Nothing wraps or replaces their forward passes, and no class has its own. */
function isPlain(conv: Conv2d, norm: BatchNorm2d): boolean {
  const { forward, convolve } = Conv2d.prototype;
  const isOwn = conv.forward === forward && conv.convolve === convolve;
  return isOwn && norm.forward === BatchNorm2d.prototype.forward;
}

let isThere: boolean | undefined;

function isPossible(x: Tensor, { weight, padding }: Conv2d, norm: BatchNorm2d): boolean {
  isThere ??= hasOperator("mkldnn::_convolution_pointwise");
  const isFixed = (!norm.training || norm.policy === "running") && !isGradEnabled();
  // Weights that leave memory to save it must not stay there as copies, but where the owner has room for them.
  const isHere = x.device === "cpu" && (current?.keepsParkable || !isParkable(weight));
  const isFloat = x.dtype === "float32" && weight.dtype === "float32" && !isAutocast();
  return isThere && isFixed && isHere && isFloat && padding !== "same" && x.size(0) > 0;
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
