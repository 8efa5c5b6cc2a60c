/** Functions without parameters: losses and random masking. */
import { type Dtype, drawInto, empty, type Generator, ops, type Tensor } from "../torch/index.ts";

export type Reduction = "none" | "mean" | "sum";

const reductions: Record<Reduction, number> = { none: 0, mean: 1, sum: 2 };

const halves: ReadonlySet<Dtype> = new Set<Dtype>(["bfloat16", "float16"]);

/** Losses are computed in float32 at least: 8 bits of mantissa are too few for a log-sum. */
function widened(x: Tensor): Tensor {
  return halves.has(x.dtype) ? x.to({ dtype: "float32" }) : x;
}

export interface CrossEntropyOptions {
  /** Part of the target that is spread evenly over all classes (Szegedy et al. 2016); default 0. */
  labelSmoothing?: number | undefined;
  reduction?: Reduction | undefined;
  /** Weight of each class [C]. */
  weight?: Tensor | undefined;
}

/** Cross entropy of logits [B, C] with class indices int64 [B] or class probabilities [B, C]. */
export function crossEntropy(logits: Tensor, target: Tensor, options: CrossEntropyOptions = {}): Tensor {
  const reduction = reductions[options.reduction ?? "mean"];
  return ops.cross_entropy_loss(widened(logits), target, options.weight, reduction, undefined, options.labelSmoothing);
}

/** Squared below `beta`, linear above (Huber 1964, divided by beta). */
export function smoothL1(
  x: Tensor,
  target: Tensor,
  options: { reduction?: Reduction | undefined; beta?: number | undefined } = {},
): Tensor {
  return ops.smooth_l1_loss(widened(x), target, reductions[options.reduction ?? "mean"], options.beta);
}

/** KL(teacher || student) of logits [B, C], mean over rows, at a temperature and times its square (Hinton et al. 2015). */
export function distillationLoss(student: Tensor, teacher: Tensor, temperature = 1): Tensor {
  const log = widened(student).div(temperature).log_softmax(1);
  const target = widened(teacher).div(temperature).log_softmax(1);
  const divergence = ops.kl_div(log, target, reductions.sum, { log_target: true });
  return divergence.mul((temperature * temperature) / student.size(0));
}

/** Zeroes each element with probability p and scales the rest by 1 / (1 - p) (Srivastava et al. 2014). */
export function dropout(x: Tensor, p: number, generator: Generator): Tensor {
  return masked(x, x.shape, p, generator);
}

/** Zeroes each sample of [B, ...] with probability p and scales the rest by 1 / (1 - p) (Huang et al. 2016). */
export function dropPath(x: Tensor, p: number, generator: Generator): Tensor {
  return masked(x, [x.size(0), ...new Array<number>(x.dim() - 1).fill(1)], p, generator);
}

function masked(x: Tensor, shape: readonly number[], p: number, generator: Generator): Tensor {
  if (p <= 0) return x;
  if (p >= 1) return x.mul(0);
  const blank = empty(shape, { dtype: x.dtype, device: x.device });
  const mask = drawInto(blank, generator, (own) => own.bernoulli_(1 - p, { generator }));
  return x.mul(mask.div_(1 - p));
}
