/**
 * Batch spectral shrinkage (Chen, Wang, Fu, Long & Wang, "Catastrophic Forgetting Meets Negative Transfer: Batch Spectral
 * Shrinkage for Safe Transfer Learning", NeurIPS 2019, section 4, equation 3): fine-tuning that shrinks the k smallest
 * singular values of a batch's features, eta * Σ sigma², since the directions behind them do not transfer.
 */
import { z } from "zod";
import type { HubMember } from "../hub/index.ts";
import { gatherRows } from "../nn/index.ts";
import { ops, seedOf, type Tensor } from "../torch/index.ts";
import type { Task } from "../train/index.ts";
import { weight } from "./choices.ts";
import { loadOne, singleMemberMethod } from "./fine-tune.ts";
import { MemberLearner, type MemberStep, type Penalty } from "./member-learner.ts";

/** Sum of the squares of the k smallest singular values of features [n, d], in float32 at least. */
export function spectralShrinkage(features: Tensor, k: number): Tensor {
  const wide = features.dtype === "float64" ? features : features.to({ dtype: "float32" });
  const values = ops.linalg_svd(wide, false)[1];
  const count = Math.min(k, values.size(0));
  return values
    .narrow(0, values.size(0) - count, count)
    .square()
    .sum();
}

class BssLearner extends MemberLearner {
  readonly mixesRows = true;
  readonly #eta: number;
  readonly #k: number;

  constructor(member: HubMember, task: Task, seed: number, options: z.output<typeof choices>) {
    super(member, task, seed);
    this.#eta = options.eta;
    this.#k = options.k;
  }

  protected override penalty({ batch, features }: MemberStep): Penalty {
    const loss = spectralShrinkage(gatherRows(features, batch.shared), this.#k);
    return { loss: loss.mul(this.#eta), logs: { shrinkage: loss.item() } };
  }
}

const choices = z.object({
  eta: weight.default(0.01),
  /** Singular values to shrink. */
  k: z.int().min(1).default(1),
});

export const bss = singleMemberMethod(
  { name: "bss", tunesMembers: true },
  choices,
  (name, context, options) =>
    new BssLearner(loadOne(context, name), context.task, seedOf(context.options.seed, name), options),
);
