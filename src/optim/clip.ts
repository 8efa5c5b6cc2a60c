/** Gradient clipping by the global norm (Pascanu et al. 2013), as PyTorch's clip_grad_norm_. */
import { noGrad, ops, scope, type Tensor } from "../torch/index.ts";

/**
 * Scales all gradients so that their joint 2-norm is at most `max`, and returns the norm before. Parameters without
 * gradient are left out. Where the norm is not finite nothing is scaled: the caller decides about the step.
 */
export function clipGradNorm(params: readonly Tensor[], max: number): number {
  return scope(() =>
    noGrad(() => {
      const grads = params.flatMap((param) => param.grad ?? []);
      if (grads.length === 0) return 0;
      const total = ops.stack(ops._foreach_norm(grads)).norm().item();
      shrinkGradients(params, total, max);
      return total;
    }),
  );
}

/** Scales gradients that belong to a joint norm `total`, so that it is at most `max`. */
export function shrinkGradients(params: readonly Tensor[], total: number, max: number): void {
  if (!Number.isFinite(total) || total + 1e-6 <= max) return;
  scope(() =>
    noGrad(() => {
      const grads = params.flatMap((param) => param.grad ?? []);
      if (grads.length > 0) ops._foreach_mul_(grads, max / (total + 1e-6));
    }),
  );
}
