/** One member, fine-tuned: the named one, or the best by validation of all. */
import { type HubMember, loadMembers } from "../hub/index.ts";
import { seedOf } from "../torch/index.ts";
import type { Method, MethodContext, Predictor } from "../train/index.ts";
import { MemberLearner } from "./member-learner.ts";

/** Fine-tunes members one after another; each is a fit of its own. */
export async function fineTune(context: MethodContext, names?: readonly string[]): Promise<MemberLearner[]> {
  const wanted = names ?? context.hub.manifest.members.map((entry) => entry.name);
  const learners: MemberLearner[] = [];
  for (const name of wanted) {
    const [member] = loadMembers(context.hub, { names: [name] }) as [HubMember];
    const learner = new MemberLearner(member, context.task, seedOf(context.options.seed, name));
    await context.fit(name, learner);
    learners.push(learner);
  }
  return learners;
}

export const fineTuneMethod: Method = {
  name: "fine-tune",
  summary: "fine-tune one member (--member NAME), or all and keep the best by validation",
  async train(context): Promise<Predictor> {
    const member = context.choices["member"];
    const learners = await fineTune(context, typeof member === "string" ? [member] : undefined);
    const best = await context.decide("best", async () => {
      let top = { index: 0, accuracy: -1 };
      for (const [index, learner] of learners.entries()) {
        const { accuracy } = (await context.validate(learner)).metrics;
        if (accuracy > top.accuracy) top = { index, accuracy };
      }
      return top;
    });
    for (const [index, learner] of learners.entries()) if (index !== best.index) learner.dispose();
    return learners[best.index] ?? failed();
  },
};

function failed(): never {
  throw new Error("the recorded choice is not a member of this hub");
}
