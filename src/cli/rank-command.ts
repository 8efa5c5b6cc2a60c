/** hub-pathway hub rank: how well each member suits a target, without training it. */
import type { z } from "zod";
import { taskKinds } from "../data/index.ts";
import { openHub } from "../hub/index.ts";
import { findScore, type RankingScore } from "../ranking/index.ts";
import { type Column, duration, textTable } from "../report/index.ts";
import { findDevice, setNumThreads } from "../torch/index.ts";
import { type MemberRanking, prepareData, rankHub, scoresFor } from "../train/index.ts";
import type { Output } from "./context.ts";
import { labelledText } from "./data-command.ts";
import { dataRequest } from "./data-flags.ts";
import { stopping, withInterrupt } from "./interrupt.ts";
import { countProgress } from "./progress.ts";
import { resolveSettings } from "./settings.ts";
import { rankShape } from "./train-settings.ts";

export type RankFlags = Partial<z.output<z.ZodObject<typeof rankShape>>> & { score?: string[] };

export async function rank(dir: string, flags: RankFlags, output: Output): Promise<void> {
  const { score: _score, ...given } = flags;
  const settings = resolveSettings(rankShape, given);
  const { limit, threads, seed, trust } = settings;
  if (threads !== undefined) setNumThreads(threads);
  const asked = flags.score === undefined ? undefined : [...new Set(flags.score)].map(findScore);
  const device = findDevice(settings.device);
  const hub = openHub(dir, { trust, device });
  const request = dataRequest(settings, dir, { augment: "none", batchSize: 64 });
  const data = await prepareData({ ...request, takes: { who: "hub rank", kinds: taskKinds }, device });
  try {
    const scores = scoresFor(data, asked);
    if (data.skipped > 0) output.warn(`${data.skipped} images could not be read and were left out`);
    let progress = countProgress("");
    const onMember = (name: string) => {
      progress = countProgress(name);
    };
    const onProgress = (done: number, total: number) => progress(done, total);
    const rankings = await withInterrupt(
      (signal) => rankHub(hub, data, { seed, scores, limit, onMember, onProgress, signal }),
      stopping,
    );
    const [first = findScore("logme")] = scores;
    const members = rankings.sort((a, b) => scoreOf(b, first) - scoreOf(a, first));
    show(members, scores, output);
    const images = members[0]?.images ?? 0;
    output.say(`${images} training images of ${data.name} ${labelledText(data.kind, data.classes.length)}`);
    output.result({
      hub: hub.manifest.name,
      data: data.name,
      images,
      classes: data.classes.length,
      seed,
      splitHash: data.splitHash,
      orderedBy: first.key,
      members,
    });
  } finally {
    data.dispose();
  }
}

/** Members without a value come last. */
function scoreOf(ranking: MemberRanking, score: RankingScore): number {
  return ranking.scores[score.key] ?? Number.NEGATIVE_INFINITY;
}

function show(members: readonly MemberRanking[], scores: readonly RankingScore[], output: Output): void {
  const name: Column<MemberRanking> = { title: "member", value: (row) => row.name };
  const values = scores.map(
    ({ name: title, key }): Column<MemberRanking> => ({
      title,
      value: (row) => row.scores[key]?.toFixed(4) ?? "n/a",
      right: true,
    }),
  );
  output.say(textTable(members, [name, ...values]));
  if (members.some((row) => row.sourceClasses === null) && scores.some((score) => score.needsClassifier))
    output.say("n/a: the member has no classifier of its pre-training");
  const times = [{ name: "features", key: "features" as const }, ...scores].map(
    ({ name: title, key }): Column<MemberRanking> => ({
      title,
      value: (row) => spent(row.seconds[key]),
      right: true,
    }),
  );
  output.say("\nRun time: loading and one pass for the features, then the scores");
  output.say(textTable(members, [name, ...times]));
}

function spent(seconds: number | undefined): string {
  return seconds === undefined ? "n/a" : duration(seconds);
}
