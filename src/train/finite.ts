/** The search for values that are not finite, and the message about them. */
import { ensureResident, isAbsent, noGrad, ops, scope, type Tensor } from "../torch/index.ts";

const floating = /^b?float/;

/**
 * Name of the first tensor that holds a value which is not finite; undefined when all are sound. An infinity counts only
 * where training could have made it: tables of constants, such as masks, may hold some.
 */
export function firstNotFinite(tensors: ReadonlyMap<string, Tensor>): string | undefined {
  for (const [name, tensor] of tensors) if (floating.test(tensor.dtype) && !isSound(tensor)) return name;
  return undefined;
}

function isSound(tensor: Tensor): boolean {
  if (isAbsent(tensor)) return true;
  ensureResident(tensor, false);
  return scope(() =>
    noGrad(() => {
      // A finite sum has finite terms only, and takes one pass without memory; it may overflow where they are.
      if (Number.isFinite(ops.sum(tensor, null).item())) return true;
      const wrong = tensor.requires_grad ? ops.isfinite(tensor).logical_not() : tensor.isnan();
      return ops.any(wrong).item() === 0;
    }),
  );
}
