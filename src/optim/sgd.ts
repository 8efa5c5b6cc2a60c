/** Stochastic gradient descent with momentum (Polyak 1964), Nesterov's variant and L2 weight decay, as PyTorch's SGD. */
import { ops, type Tensor } from "../torch/index.ts";
import { type GroupOptions, momentsOf, Optimizer, type ParameterGroup, partition, type Update } from "./optimizer.ts";

export interface SGDOptions extends GroupOptions {
  params: readonly Tensor[];
  momentum?: number | undefined;
  /** Needs momentum. */
  nesterov?: boolean | undefined;
}

export interface SGDGroup extends ParameterGroup {
  readonly momentum: number;
  readonly nesterov: boolean;
}

/** SGD; default momentum 0, weight decay 0. */
export class SGD extends Optimizer<SGDGroup> {
  /** @throws RangeError for nesterov without momentum */
  constructor(groups: readonly SGDOptions[]) {
    const filled = groups.map((group): SGDGroup => {
      const { params, lr, weight_decay = 0, momentum = 0, nesterov = false } = group;
      if (nesterov && momentum <= 0) throw new RangeError("nesterov needs a momentum above 0");
      return { params, lr, initialLr: lr, weight_decay, momentum, nesterov };
    });
    super(filled, ["momentum_buffer"]);
  }

  protected override hasMoments(group: SGDGroup): boolean {
    return group.momentum !== 0;
  }

  protected override update(group: SGDGroup, updates: readonly Update[]): void {
    const { lr, weight_decay, momentum, nesterov } = group;
    // At its first step a parameter's momentum starts as the gradient itself; one flag holds for a whole call.
    for (const [isFirst, part] of partition(updates, (update) => momentum !== 0 && update.step === 1)) {
      ops._fused_sgd_(
        part.map((update) => update.param),
        part.map((update) => update.grad),
        momentsOf(part, 0),
        { weight_decay, momentum, lr, dampening: 0, nesterov, maximize: false, is_first_step: isFirst },
      );
    }
  }
}
