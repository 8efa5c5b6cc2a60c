/** Fine-tuning of the one member that a transferability score puts first: no member is trained in vain. */
import { z } from "zod";
import { rankingScores } from "../ranking/index.ts";
import type { Method } from "../train/index.ts";
import { defaultsOf, parseChoices } from "./choices.ts";
import { fineTune } from "./fine-tune.ts";
import { rankedMembers } from "./ranked-member.ts";

const name = "best-by-ranking";
const choices = z.object({
  score: z.enum(rankingScores.map((score) => score.name)).default("logme"),
});

export const bestByRanking: Method = {
  name,
  freezesMembers: true,
  defaults: defaultsOf(choices),
  check(given) {
    parseChoices(name, choices, given);
  },
  async train(context) {
    const { score } = parseChoices(name, choices, context.choices);
    const best = (await rankedMembers(context, score))[0]?.name ?? "";
    const [learner] = await fineTune(context, [best]);
    if (!learner) throw new RangeError("the ranking names no member");
    return learner;
  },
};
