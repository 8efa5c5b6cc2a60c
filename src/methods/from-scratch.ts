/** The members' architectures with new weights: what pre-training is worth at all. */
import { z } from "zod";
import { type HubMember, loadMembers } from "../hub/index.ts";
import { Generator, seedOf, type Tensor } from "../torch/index.ts";
import type { MethodContext } from "../train/index.ts";
import { singleMemberMethod } from "./fine-tune.ts";
import { MemberLearner } from "./member-learner.ts";

/** All parameters are new and learn as fast as new layers do. */
class ScratchLearner extends MemberLearner {
  override parameterGroups(): { backbone: Tensor[]; newLayers: Tensor[]; generator: Tensor[] } {
    return { backbone: [], newLayers: this.module.parameters(), generator: [] };
  }
}

/** Members with newly drawn weights, the same for the same seed. */
export function freshMembers(context: MethodContext, names?: readonly string[]): HubMember[] {
  using weights = new Generator(seedOf(context.options.seed, `fresh/${names?.join(",") ?? ""}`));
  return loadMembers(context.hub, { randomWeights: weights, ...(names ? { names } : {}) });
}

function scratchLearner(name: string, context: MethodContext): MemberLearner {
  const [member] = freshMembers(context, [name]) as [HubMember];
  return new ScratchLearner(member, context.task, seedOf(context.options.seed, name));
}

export const fromScratch = singleMemberMethod({ name: "from-scratch" }, z.object({}), scratchLearner);
