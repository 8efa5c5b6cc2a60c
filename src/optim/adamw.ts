/** Adam with decoupled weight decay (Loshchilov & Hutter 2019), as PyTorch's AdamW. */
import { full, ops, type Tensor } from "../torch/index.ts";
import { type GroupOptions, momentsOf, Optimizer, type ParameterGroup, partition, type Update } from "./optimizer.ts";

export interface AdamWOptions extends GroupOptions {
  params: readonly Tensor[];
  betas?: readonly [number, number] | undefined;
  eps?: number | undefined;
}

export interface AdamWGroup extends ParameterGroup {
  readonly betas: readonly [number, number];
  readonly eps: number;
}

/** AdamW; default betas 0.9 and 0.999, eps 1e-8, weight decay 0.01. */
export class AdamW extends Optimizer<AdamWGroup> {
  constructor(groups: readonly AdamWOptions[]) {
    const filled = groups.map((group): AdamWGroup => {
      const { params, lr, weight_decay = 0.01, betas = [0.9, 0.999], eps = 1e-8 } = group;
      return { params, lr, initialLr: lr, weight_decay, betas, eps };
    });
    super(filled, ["exp_avg", "exp_avg_sq"]);
  }

  protected override update(group: AdamWGroup, updates: readonly Update[]): void {
    const { lr, weight_decay, betas, eps } = group;
    // Bias correction depends on each parameter's own count; parameters that agree share one count and one call.
    for (const [step, part] of partition(updates, (update) => update.step)) {
      const count = full([], step, { device: part[0]?.param.device });
      ops._fused_adamw_(
        part.map((update) => update.param),
        part.map((update) => update.grad),
        momentsOf(part, 0),
        momentsOf(part, 1),
        [],
        part.map(() => count),
        { lr, beta1: betas[0], beta2: betas[1], weight_decay, eps, amsgrad: false, maximize: false },
      );
    }
  }
}
