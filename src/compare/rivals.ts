/** Rivals that only a comparison needs: more compute, or another loss, for the one member that validation prefers. */
import { z } from "zod";
import { bestByValidation, fineTune, memberLearner, plainFit } from "../methods/index.ts";
import { ConfigError } from "../torch/index.ts";
import type { Method, MethodContext } from "../train/index.ts";

const name = "best-member-longer";
const choices = z.object({ unit: z.int().min(1) });

/**
 * The best member by validation after `unit` epochs is fine-tuned anew for the run's epochs. Its costs hold both: the choice,
 * for which every member is trained, and the longer training.
 */
export const bestMemberLonger: Method = {
  name,
  freezesMembers: true,
  configure(given) {
    const parsed = choices.safeParse(given);
    if (!parsed.success) throw new ConfigError(`${name} needs the choice unit, a number of epochs`);
    return {
      async train(context) {
        const chosen = await chooseMember(context, parsed.data.unit);
        const learner = memberLearner(chosen, context);
        await context.fit(`${chosen}-longer`, learner, plainFit);
        return learner;
      },
    };
  },
};

/** A method of one member, for the member that is best by validation when it is simply fine-tuned. Its costs hold the choice. */
export function onBestMember(method: Method): Method {
  return {
    ...method,
    name: `${method.name}-best-member`,
    configure(given, hub, options) {
      const configured = (member: string) => method.configure({ ...given, member }, hub, options);
      const byMember = new Map(hub.members.map((entry) => [entry.name, configured(entry.name)]));
      return {
        async train(context) {
          const member = await context.decide("member", () => chooseMember(context, context.options.epochs));
          const own = byMember.get(member);
          if (!own) throw new RangeError("validation prefers no member");
          return own.train(context);
        },
      };
    },
  };
}

async function chooseMember(context: MethodContext, unit: number): Promise<string> {
  const short: MethodContext = {
    ...context,
    fit: (fit, learner, changes) => context.fit(fit, learner, { ...changes, epochs: unit }),
  };
  const learners = await fineTune(short);
  try {
    return learners[await bestByValidation(context, learners)]?.memberNames[0] ?? "";
  } finally {
    for (const learner of learners) learner.dispose();
  }
}
