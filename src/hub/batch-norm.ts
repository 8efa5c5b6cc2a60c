/** The BatchNorm policy of fine-tuned members. It moves accuracy more than routing does, so every method shares it. */
import { type Module, setBatchNormPolicy } from "../nn/index.ts";

/**
 * `batch`: the rows that chose a member are its batch (running statistics below the layer's minimum of rows). `frozen`:
 * running statistics from pre-training, affine parameters trained. `recalibrated`: statistics re-estimated once on
 * target images, then frozen.
 */
export type MemberBatchNorm = "batch" | "frozen" | "recalibrated";

/** Sets which statistics the BatchNorm layers of members use while training. */
export function setMemberBatchNorm(backbones: readonly Module[], policy: MemberBatchNorm): void {
  for (const backbone of backbones) setBatchNormPolicy(backbone, policy === "batch" ? "batch" : "running");
}
