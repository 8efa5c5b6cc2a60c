/**
 * Ranking of a hub for a target: transferability scores of every member from one feature pass over the training images,
 * and the prior that such a score gives the exploration loss. n images, d features, S source classes, m members.
 */
import { type Hub, type HubMember, type ImageInput, loadMember, type MemberEntry } from "../hub/index.ts";
import { type MemberOutputs, type RankingScore, rankingScores, type ScoreKey } from "../ranking/index.ts";
import { answerWords } from "../runtime/index.ts";
import {
  ConfigError,
  cat,
  disposeTree,
  FlopMeter,
  inferenceMode,
  scope,
  type Tensor,
  UserError,
} from "../torch/index.ts";
import { forEachBatch, inTurns } from "./batches.ts";
import type { Batch, BatchSource, TaskData } from "./data.ts";

export interface RankingRequest {
  /** Decides N-LEEP's first centres, and which images a limit leaves. */
  seed: number;
  /** Scores to compute; all when left out. */
  scores?: readonly RankingScore[] | undefined;
  /** Training images to use at most. */
  limit?: number | undefined;
  onMember?: ((name: string) => void) | undefined;
  onProgress?: ((done: number, total: number) => void) | undefined;
  signal?: AbortSignal | undefined;
}

export interface MemberRanking {
  name: string;
  /** n. */
  images: number;
  /** d. */
  featureWidth: number;
  /** S; null for a member without a classifier. */
  sourceClasses: number | null;
  /** Larger is better; null where the score needs a classifier and there is none. */
  scores: Partial<Record<ScoreKey, number | null>>;
  /** Forward FLOPs of the feature pass. */
  flops: number;
  /** Run time of the feature pass, loading the member included, and of each score. */
  seconds: { features: number } & Partial<Record<ScoreKey, number>>;
}

/**
 * Scores of all members on the training images, in the hub's order. Members are loaded one after the other: memory holds
 * one of them, and its features.
 * @throws UserError naming the member whose files or outputs are not usable; Interrupted after the signal
 */
export async function rankHub(hub: Hub, data: TaskData, request: RankingRequest): Promise<MemberRanking[]> {
  const { limit } = request;
  const scores = scoresFor(data, request.scores);
  if (limit !== undefined && (!Number.isInteger(limit) || limit < data.classes.length)) {
    throw new ConfigError(
      `the limit is ${limit} images: it must be a whole number of at least ${data.classes.length}, one for each class`,
    );
  }
  const rankings: MemberRanking[] = [];
  for (const entry of hub.manifest.members) {
    request.onMember?.(entry.name);
    rankings.push(await rankMember(hub, entry, data, { ...request, scores }));
  }
  return rankings;
}

/** The asked scores, or all that there are of images with such labels. @throws ConfigError for one that compares classes where there are none */
export function scoresFor(
  { kind, name }: Pick<TaskData, "kind" | "name">,
  asked: readonly RankingScore[] | undefined,
): readonly RankingScore[] {
  const fitting = rankingScores.filter((score) => kind === "classification" || !score.needsClasses);
  const wrong = asked?.find((score) => !fitting.some((one) => one.key === score.key));
  if (!wrong) return asked ?? fitting;
  const others = fitting.map((score) => score.name).join(" or ");
  throw new ConfigError(
    `${wrong.name} compares classes, and an image of ${name} has ${answerWords[kind]}: use ${others}`,
  );
}

async function rankMember(
  hub: Hub,
  entry: MemberEntry<ImageInput>,
  data: TaskData,
  request: RankingRequest,
): Promise<MemberRanking> {
  const began = performance.now();
  const { flops, ...outputs } = await memberOutputs(hub, entry, data, request);
  const ranking: MemberRanking = {
    name: entry.name,
    images: outputs.labels.length,
    featureWidth: outputs.features.size(1),
    sourceClasses: outputs.logits?.size(1) ?? null,
    scores: {},
    flops,
    seconds: { features: secondsSince(began) },
  };
  try {
    for (const { key, compute } of request.scores ?? rankingScores) {
      const start = performance.now();
      const value = await inTurns(compute(outputs, request.seed), { work: "ranking", signal: request.signal });
      ranking.scores[key] = value ?? null;
      if (value !== undefined) ranking.seconds[key] = secondsSince(start);
    }
    return ranking;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(`member "${entry.name}": ${error.message}`, { cause: error });
  } finally {
    outputs.features.dispose();
    outputs.logits?.dispose();
    outputs.targets?.dispose();
  }
}

/** Loads a member for as long as its pass over the images takes. */
async function memberOutputs(
  hub: Hub,
  entry: MemberEntry<ImageInput>,
  data: TaskData,
  request: RankingRequest,
): Promise<MemberOutputs & { flops: number }> {
  const member = loadMember(hub.dir, entry, { trust: hub.trust, device: hub.device });
  try {
    const total = Math.min(data.counts.train, request.limit ?? data.counts.train);
    const onBatch = (done: number) => request.onProgress?.(done, total);
    const pass = await passOf(member, data.open("train", request.limit), { onBatch, signal: request.signal });
    return { ...pass, classes: data.classes.length };
  } finally {
    member.dispose();
  }
}

export interface PassOptions {
  onBatch?: (done: number) => void;
  /** False where nobody asks what its classifier says: a graph computes that in a pass of its own. */
  scores?: boolean;
  signal?: AbortSignal | undefined;
}

/** Features, and what a classifier makes of them, of every image in one pass, as in evaluation. */
export async function passOf(
  member: HubMember,
  batches: BatchSource,
  { onBatch, scores = true, signal }: PassOptions = {},
): Promise<Omit<MemberOutputs, "classes"> & { flops: number }> {
  const meter = new FlopMeter();
  const parts: { features: Tensor[]; logits: Tensor[]; targets: Tensor[] } = { features: [], logits: [], targets: [] };
  const labels: number[] = [];
  member.backbone.eval();
  try {
    await forEachBatch(batches.epoch(0, 0), { work: "ranking", signal }, (batch) => {
      const { features, logits } = meter.count(() => outputsOf(member, batch, scores));
      parts.features.push(features);
      if (logits) parts.logits.push(logits);
      // Classes have one dimension.
      if (batch.targets.dim() === 2) parts.targets.push(batch.targets.clone());
      labels.push(...batch.labels);
      onBatch?.(labels.length);
    });
    const joined = (tables: Tensor[]) => (tables.length > 0 ? cat(tables) : undefined);
    const [logits, targets] = [joined(parts.logits), joined(parts.targets)];
    return { features: cat(parts.features), logits, targets, labels, flops: meter.total };
  } finally {
    disposeTree(parts);
  }
}

/** Copies, since features may be a view that would hold a whole feature map. */
function outputsOf(
  member: HubMember,
  { images }: Batch,
  withScores: boolean,
): { features: Tensor; logits: Tensor | undefined } {
  return scope(() =>
    inferenceMode(() => {
      if (!withScores) return { features: member.features(images).clone(), logits: undefined };
      const { features, scores } = member.outputs(images);
      return { features: features.clone(), logits: scores?.clone() };
    }),
  );
}

/** The prior of a run's exploration loss: the scores that it comes from, and a probability for each member. */
export interface RankingPrior {
  /** Name of the score. */
  score: string;
  /** Forward FLOPs of the ranking. */
  flops: number;
  /** In the hub's order. */
  members: { name: string; score: number; probability: number }[];
}

/**
 * Ranks the hub by one score and makes a prior of it.
 * @throws ConfigError naming the members that have no such score; what `rankHub` throws
 */
export async function rankingPrior(
  hub: Hub,
  data: TaskData,
  score: RankingScore,
  request: Omit<RankingRequest, "scores" | "limit">,
): Promise<RankingPrior> {
  if (score.needsClassifier) refuseWithout(score, certainlyWithout(hub));
  const rankings = await rankHub(hub, data, { ...request, scores: [score] });
  refuseWithout(
    score,
    rankings.filter((ranking) => typeof ranking.scores[score.key] !== "number").map((ranking) => ranking.name),
  );
  const values = rankings.map((ranking) => ranking.scores[score.key] ?? 0);
  const probabilities = softPrior(values);
  return {
    score: score.name,
    flops: rankings.reduce((sum, ranking) => sum + ranking.flops, 0),
    members: rankings.map(({ name }, i) => ({
      name,
      score: values[i] ?? 0,
      probability: probabilities[i] ?? 0,
    })),
  };
}

/** Members without a classifier as far as the manifest tells: only a graph may have one that it does not name. */
function certainlyWithout(hub: Hub): string[] {
  return hub.manifest.members
    .filter((entry) => entry.weights.format === "safetensors" && entry.classifier === undefined)
    .map((entry) => entry.name);
}

function refuseWithout(score: RankingScore, names: readonly string[]): void {
  if (names.length === 0) return;
  const others = rankingScores.filter((other) => !other.needsClassifier).map((other) => other.name);
  throw new ConfigError(
    `a prior by ${score.name} needs the pre-training classifier of every member; without one: ${names.join(", ")}; ` +
      `use ${others.join(" or ")}`,
  );
}

/** Scores that differ by less, in units of the largest, are equal. */
const leastSpread = 1e-9;

/**
 * Softmax over the members of their standardised scores (mean 0, variance 1), at temperature 1: this project's choice.
 * Scores have no common scale, so that only their place among the others counts; equal scores give the uniform prior.
 */
export function softPrior(scores: readonly number[]): number[] {
  const m = scores.length;
  const mean = scores.reduce((sum, score) => sum + score, 0) / m;
  const deviation = Math.sqrt(scores.reduce((sum, score) => sum + (score - mean) ** 2, 0) / m);
  if (deviation <= leastSpread * Math.max(...scores.map(Math.abs))) return scores.map(() => 1 / m);
  const weights = scores.map((score) => Math.exp((score - mean) / deviation));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

function secondsSince(began: number): number {
  return (performance.now() - began) / 1000;
}
