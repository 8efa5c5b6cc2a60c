/** Fine-tuning of the one member that a transferability score puts first: no member is trained in vain. */
import { z } from "zod";
import { rankingScores } from "../ranking/index.ts";
import { methodOf } from "./choices.ts";
import { fineTune } from "./fine-tune.ts";
import { rankedMembers } from "./ranked-member.ts";

const choices = z.object({
  score: z.enum(rankingScores.map((score) => score.name)).default("logme"),
});

export const bestByRanking = methodOf(
  { name: "best-by-ranking", freezesMembers: true, tunesMembers: true },
  choices,
  ({ score }) =>
    async (context) => {
      const best = (await rankedMembers(context, score))[0]?.name ?? "";
      const [learner] = await fineTune(context, [best]);
      if (!learner) throw new RangeError("the ranking names no member");
      return learner;
    },
);
