/**
 * L2-SP (Li, Grandvalet & Davoine, "Explicit Inductive Bias for Transfer Learning with Convolutional Networks", ICML 2018,
 * section 3, equation 2): fine-tuning that is pulled to the starting point w0 instead of to zero,
 * alpha / 2 |w - w0|² over the pre-trained weights. Their beta / 2 |w|² on the new layers is the loop's own weight decay,
 * which is switched off for the pre-trained ones. As weight decay here, it leaves vectors (biases, norms) alone.
 */
import { z } from "zod";
import type { HubMember } from "../hub/index.ts";
import { disposeTree, ensureResident, keep, noGrad, scope, seedOf, type Tensor } from "../torch/index.ts";
import type { Task } from "../train/index.ts";
import { weight } from "./choices.ts";
import { loadOne, singleMemberMethod } from "./fine-tune.ts";
import { MemberLearner, type Penalty } from "./member-learner.ts";

/** alpha / 2 times the squared distance of weights from where they started. */
export function startingPointPenalty(weights: readonly Tensor[], start: readonly Tensor[], alpha: number): Tensor {
  const distances = weights.map((weight, i) =>
    weight
      .sub(start[i] as Tensor)
      .square()
      .sum(),
  );
  return distances.reduce((sum, next) => sum.add(next)).mul(alpha / 2);
}

/** Copies that are not trained; the caller disposes them. */
export function startingPoint(weights: readonly Tensor[]): Tensor[] {
  return scope(() =>
    noGrad(() =>
      weights.map((weight) => {
        ensureResident(weight, false);
        return keep(weight.clone());
      }),
    ),
  );
}

export class L2SpLearner extends MemberLearner {
  readonly backboneDecay = 0;
  readonly #alpha: number;
  readonly #weights: readonly Tensor[];
  readonly #start: readonly Tensor[];

  constructor(member: HubMember, task: Task, seed: number, alpha: number) {
    super(member, task, seed);
    this.#alpha = alpha;
    this.#weights = member.backbone.parameters().filter((parameter) => parameter.dim() > 1);
    this.#start = startingPoint(this.#weights);
  }

  protected override penalty(): Penalty {
    const loss = startingPointPenalty(this.#weights, this.#start, this.#alpha);
    return { loss, logs: { penalty: loss.item() } };
  }

  override dispose(): void {
    super.dispose();
    disposeTree([...this.#start]);
  }
}

export const l2Sp = singleMemberMethod(
  { name: "l2-sp", version: 2 },
  z.object({ alpha: weight.default(0.0001) }),
  (name, context, { alpha }) =>
    new L2SpLearner(loadOne(context, name), context.task, seedOf(context.options.seed, name), alpha),
);
