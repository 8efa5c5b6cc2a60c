/** A new linear head on the features of a member that stays as it is. */
import { z } from "zod";
import type { HubMember } from "../hub/index.ts";
import { noGrad, seedOf, type Tensor } from "../torch/index.ts";
import type { MethodContext, StepResult, Task, TrainBatch } from "../train/index.ts";
import { loadOne, singleMemberMethod } from "./fine-tune.ts";
import { MemberLearner } from "./member-learner.ts";

/** Trains the head alone; the member computes as in evaluation, with its statistics from pre-training. */
export class LinearProbe extends MemberLearner {
  override readonly readsImages = true;
  constructor(member: HubMember, task: Task, seed: number) {
    super(member, task, seed);
    member.backbone.requiresGrad_(false);
  }

  override parameterGroups(): { backbone: Tensor[]; newLayers: Tensor[]; generator: Tensor[] } {
    return { backbone: [], newLayers: this.module.head.parameters(), generator: [] };
  }

  override step(batch: TrainBatch): StepResult {
    this.member.backbone.eval();
    const features = noGrad(() => this.module.features(batch.images));
    const loss = this.task.rowLoss(this.module.head.forward(features), batch.targets).mean();
    return { loss, logs: {} };
  }
}

/** The probe of a member; its head starts as that of fine-tuning does. */
export function linearProbeLearner(name: string, context: MethodContext): LinearProbe {
  return new LinearProbe(loadOne(context, name), context.task, seedOf(context.options.seed, name));
}

export const linearProbe = singleMemberMethod({ name: "linear-probe" }, z.object({}), linearProbeLearner);
