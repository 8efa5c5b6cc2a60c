/** Rivals that only a comparison needs: the whole compute, or another loss, for the members that validation prefers. */
import { z } from "zod";
import {
  bestByValidation,
  bestSet,
  EnsemblePredictor,
  fineTune,
  fitEach,
  keepBest,
  type MemberLearner,
  memberLearner,
  plainFit,
  validationTables,
} from "../methods/index.ts";
import { ConfigError } from "../torch/index.ts";
import { isBetter, type Method, type MethodContext, type Quality, qualityOf } from "../train/index.ts";

/** A rival whose choices the plans alone give. */
export function rivalOf<S extends z.ZodObject>(
  name: string,
  schema: S,
  train: (context: MethodContext, choices: z.output<S>) => ReturnType<ReturnType<Method["configure"]>["train"]>,
): Method {
  return {
    name,
    freezesMembers: true,
    tunesMembers: true,
    configure(given) {
      const parsed = schema.safeParse(given);
      if (!parsed.success) throw new ConfigError(`${name} needs the choices ${Object.keys(schema.shape).join(", ")}`);
      return { train: (context) => train(context, parsed.data) };
    },
  };
}

/** Epochs of one unit, which every member is fine-tuned for before one is preferred. */
const unit = z.int().min(1);

/**
 * The best member by validation after `unit` epochs is fine-tuned anew for the run's epochs. Its costs hold both: the choice,
 * for which every member is trained, and the longer training.
 */
export const bestMemberLonger = rivalOf("best-member-longer", z.object({ unit }), async (context, { unit }) => {
  const chosen = await chooseMember(context, unit);
  const learner = memberLearner(chosen, context);
  await context.fit(`${chosen}-longer`, learner, plainFit);
  return learner;
});

/**
 * The best pair by validation after `unit` epochs: both members are fine-tuned anew for the run's epochs, and answer by the
 * mean of their probabilities. Its costs hold the choice too.
 */
export const bestPairLonger = rivalOf("best-pair-longer", z.object({ unit }), async (context, { unit }) => {
  const learners = await fineTune(shortened(context, unit));
  const names = await context.decide("set", async () => {
    const { tables, quality } = await validationTables(context, learners);
    return bestSet(tables, quality, 2).map((i) => nameOf(learners[i]));
  });
  for (const learner of learners) learner.dispose();
  return new EnsemblePredictor(await fitEach(context, memberLearner, names, plainFit));
});

/**
 * Successive halving (Jamieson & Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", AISTATS
 * 2016) of all members, in the FLOPs of fine-tuning each of them for `unit` epochs. The rounds share them equally, and so do the
 * members of a round; the better half by validation goes on, until two have had the last round. `keep` of these answer.
 *
 * This project's choices: whole epochs, rounded down. A round goes on from the weights of the one before with a learning
 * rate that rises and falls anew, so that members are compared when they have settled.
 */
export const successiveHalving = rivalOf(
  "successive-halving",
  z.object({ unit, keep: z.int().min(1).max(2) }),
  async (context, { unit, keep }) => {
    const all = context.hub.manifest.members.map(({ name }) => memberLearner(name, context));
    const cost = (learners: readonly MemberLearner[]) => learners.reduce((sum, one) => sum + one.inferenceFlops, 0);
    let left = unit * cost(all);
    let rest = all;
    for (let rounds = roundsOf(all.length); rounds > 0; rounds--) {
      const epochs = Math.floor(left / rounds / cost(rest));
      const order = roundsOf(all.length) - rounds;
      for (const learner of epochs > 0 ? rest : []) {
        await context.fit(`${nameOf(learner)}-round-${order}`, learner, { ...plainFit, epochs, order });
      }
      left -= epochs * cost(rest);
      if (rounds > 1) rest = await better(context, rest, Math.ceil(rest.length / 2), order);
    }
    return keep === 1 ? keepBest(context, rest) : new EnsemblePredictor(rest);
  },
);

/** Rounds until two members are left. */
const roundsOf = (m: number): number => (m <= 2 ? 1 : 1 + roundsOf(Math.ceil(m / 2)));

/** So many of the learners, the best by validation, in their order; the others are disposed. */
async function better(
  context: MethodContext,
  learners: readonly MemberLearner[],
  count: number,
  round: number,
): Promise<MemberLearner[]> {
  const kept = await context.decide(`round-${round}`, async () => {
    const scored: { name: string; quality: Quality }[] = [];
    for (const learner of learners) {
      scored.push({ name: nameOf(learner), quality: qualityOf((await context.validate(learner)).metrics) });
    }
    scored.sort((a, b) => Number(isBetter(b.quality, a.quality)) - Number(isBetter(a.quality, b.quality)));
    return scored.slice(0, count).map(({ name }) => name);
  });
  const [on, out] = [true, false].map((is) => learners.filter((one) => kept.includes(nameOf(one)) === is));
  for (const learner of out ?? []) learner.dispose();
  return on ?? [];
}

const nameOf = (learner: MemberLearner | undefined): string => learner?.memberNames[0] ?? "";

/** The same context, whose fits are so long. */
function shortened(context: MethodContext, epochs: number): MethodContext {
  return { ...context, fit: (fit, learner, changes) => context.fit(fit, learner, { ...changes, epochs }) };
}

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
  const learners = await fineTune(shortened(context, unit));
  try {
    return nameOf(learners[await bestByValidation(context, learners)]);
  } finally {
    for (const learner of learners) learner.dispose();
  }
}
