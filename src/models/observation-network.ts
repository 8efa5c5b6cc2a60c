/** Networks over an environment's observations instead of photographs. B batch, d features. */
import { Module } from "../nn/index.ts";
import { countFlops, type Dtype, scope, type Tensor, zeros } from "../torch/index.ts";
import { evaluating } from "./backbone.ts";

/** Observations [B, C, H, W] to features [B, d]; an observation that is a vector comes as [B, C, 1, 1]. */
export abstract class ObservationNetwork extends Module {
  /** Width d of the features. */
  abstract readonly featureWidth: number;

  /** [C, H, W] of one observation. */
  abstract readonly inputShape: readonly [number, number, number];

  /** Weight of the layer that sees the observation, [out, C] or [out, C, h, w]: the network of other channels differs in it. */
  abstract readonly inputWeight: Tensor;

  /** FLOPs of one forward pass of one observation (a multiply-add counts as two). */
  flops(): number {
    const { dtype, device } = this.parameters()[0] ?? {};
    const blank = () => zeros([1, ...this.inputShape], { dtype: dtype as Dtype | undefined, device });
    return scope(() => evaluating(this, () => countFlops(() => this.forward(blank()))));
  }
}
