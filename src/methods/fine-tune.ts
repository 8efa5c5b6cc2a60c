/** One member, fine-tuned: the named one, or the best by validation of all. */
import { z } from "zod";
import { type HubMember, loadMembers } from "../hub/index.ts";
import { ConfigError, seedOf } from "../torch/index.ts";
import {
  type FitChanges,
  type Learner,
  type Method,
  type MethodContext,
  type Predictor,
  qualityOf,
} from "../train/index.ts";
import { type MethodTraits, member, methodOf, requireMembers } from "./choices.ts";
import { MemberLearner } from "./member-learner.ts";

/** Makes the learner of a member by its name. */
export type MakeLearner<L extends Learner> = (name: string, context: MethodContext) => L | Promise<L>;

/** Loads the one member of a name. */
export function loadOne(context: MethodContext, name: string): HubMember {
  const [loaded] = loadMembers(context.hub, { names: [name] }) as [HubMember];
  return loaded;
}

/** The learner of plain fine-tuning: its head starts from the run's seed and the member's name. */
export function memberLearner(name: string, context: MethodContext): MemberLearner {
  return new MemberLearner(loadOne(context, name), context.task, seedOf(context.options.seed, name));
}

/** Changes of a plain fine-tuning, which methods have in common. */
export const plainFit: FitChanges = { shared: true };

/** Fits members one after another, all of the hub unless some are named; each is a fit of its own. */
export async function fitEach<L extends Learner>(
  context: MethodContext,
  make: MakeLearner<L>,
  names?: readonly string[],
  changes?: FitChanges,
): Promise<L[]> {
  const wanted = names ?? context.hub.manifest.members.map((entry) => entry.name);
  const learners: L[] = [];
  try {
    for (const name of wanted) {
      const learner = await make(name, context);
      learners.push(learner);
      await context.fit(name, learner, changes);
    }
    return learners;
  } catch (error) {
    for (const learner of learners) learner.dispose();
    throw error;
  }
}

/** Fine-tunes members one after another. */
export function fineTune(context: MethodContext, names?: readonly string[]): Promise<MemberLearner[]> {
  return fitEach(context, memberLearner, names, plainFit);
}

/** Position of the learner with the highest score on validation data, the first among equals; decided once. */
export async function bestByValidation(context: MethodContext, learners: readonly Predictor[]): Promise<number> {
  const { index } = await context.decide("best", async () => {
    let top = { index: 0, score: Number.NEGATIVE_INFINITY };
    for (const [index, learner] of learners.entries()) {
      const { score } = qualityOf((await context.validate(learner)).metrics);
      if (score > top.score) top = { index, score };
    }
    return top;
  });
  if (!learners[index]) throw new ConfigError("the recorded choice is not a member of this hub");
  return index;
}

/** Keeps the best by validation and disposes the others. */
export async function keepBest<L extends Learner>(context: MethodContext, learners: readonly L[]): Promise<L> {
  const best = await bestByValidation(context, learners);
  for (const [index, learner] of learners.entries()) if (index !== best) learner.dispose();
  return learners[best] as L;
}

/** Makes the learner of a member by its name, as the method's choices say. */
type MakeChosen<S extends z.ZodObject> = (
  name: string,
  context: MethodContext,
  choices: z.output<S>,
) => Learner | Promise<Learner>;

/** A method that makes one learner of a member: of the named one, or of each, and keeps the best by validation. */
export function singleMemberMethod<S extends z.ZodObject>(
  traits: MethodTraits,
  schema: S,
  make: MakeChosen<S>,
  changes?: FitChanges,
): Method {
  return methodOf(traits, schema.extend({ member }), (parsed, hub) => {
    const choices = parsed as z.output<S> & { member?: string };
    const names = choices.member === undefined ? undefined : [choices.member];
    requireMembers(names ?? [], hub);
    return async (context) => {
      const made = (own: string) => make(own, context, choices);
      return keepBest(context, await fitEach(context, made, names, changes));
    };
  });
}

export const fineTuneMethod = singleMemberMethod(
  { name: "fine-tune", freezesMembers: true, tunesMembers: true },
  z.object({}),
  memberLearner,
  plainFit,
);
