/** The member that a ranking score prefers: chosen before any training, for the cost of one pass over the images. */
import { findScore } from "../ranking/index.ts";
import { ConfigError } from "../torch/index.ts";
import { type MethodContext, rankHub } from "../train/index.ts";

/** Members by a score, best first; those that have no such score are left out. Decided once. */
export async function rankedMembers(
  context: MethodContext,
  scoreName: string,
): Promise<{ name: string; score: number }[]> {
  const score = findScore(scoreName);
  const { members, flops } = await context.decide(`ranking-${scoreName}`, async () => {
    const { hub, data, options, signal } = context;
    const rankings = await rankHub(hub, data, { seed: options.seed, scores: [score], signal });
    const members = rankings.flatMap(({ name, scores }) => {
      const value = scores[score.key];
      return typeof value === "number" ? [{ name, score: value }] : [];
    });
    members.sort((a, b) => b.score - a.score);
    return { members, flops: rankings.reduce((sum, ranking) => sum + ranking.flops, 0) };
  });
  context.spend(flops);
  if (members.length > 0) return members;
  throw new ConfigError(`no member of this hub has a ${scoreName} score: it needs the classifier of pre-training`);
}

/** The named member, or the first by LogME. */
export async function namedOrRanked(context: MethodContext, named: string | undefined): Promise<string> {
  return named ?? (await rankedMembers(context, "logme"))[0]?.name ?? "";
}
