/** What the models of a hub are worth on the images, by linear heads on their features. n images, d features, C classes. */
import { type HubMember, type ImageInput, loadMember, type MemberEntry, memberBytes } from "../../hub/index.ts";
import { counted } from "../../io/index.ts";
import { logMe } from "../../ranking/index.ts";
import { disposeTree, Interrupted, int64, noGrad, scope, type Tensor } from "../../torch/index.ts";
import {
  type Answers,
  exceedsChance,
  passOf,
  type Quality,
  qualityOf,
  type Task,
  type TaskData,
  taskHead,
} from "../../train/index.ts";
import type { AutoRequest } from "./request.ts";

/** A member with what was measured of it. */
export interface Candidate {
  entry: MemberEntry<ImageInput>;
  logMe: number;
  /** Of each image by a linear head that did not see it, [n, C]. */
  answers: Float32Array;
  judged: Judged;
  /** Seconds of a forward pass of one image. */
  forward: number;
  /** Of its weights. */
  bytes: number;
}

/** What answers to the images are worth. */
interface Judged {
  quality: Quality;
  /** Of each image. */
  merits: number[];
}

/** Judges answers [n, C]. */
type Judge = (answers: Float32Array) => Judged;

export interface Comparison {
  /** The best first. */
  candidates: Candidate[];
  judge: Judge;
  /** Images that they were compared on. */
  items: number;
  /** Names of those that there was no time for. */
  leftOut: string[];
}

/** Training images that members are compared on, at most and at least; of a single one nothing depends on it. */
const [mostImages, fewestImages, fewestOfOne] = [400, 64, 16];
/** Images that tell what a member takes: the second number where the first takes little of the time. */
const firstImages = [2, 8] as const;
const little = 0.02;
/** Of a timer. */
const mostMilliseconds = 2 ** 31 - 1;
/** Part of the time that comparing models may take. */
const comparingShare = 1 / 3;
/** Most members whose steps are measured and that are trained. */
export const mostMembers = 4;

export const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);

/**
 * Members in the order of what their linear heads are worth, then of LogME. The smallest come first: those that there is no time to
 * compare with them could not be trained in it either. Each is measured on a few images before it sees as many as all others.
 */
export async function compared(request: AutoRequest, task: Task): Promise<Comparison> {
  const { hub, data } = request;
  const ends = performance.now() + 1000 * comparingShare * request.seconds;
  const left = () => (ends - performance.now()) / 1000;
  const sized = hub.manifest.members
    .map((entry) => ({ entry, bytes: memberBytes(hub.dir, entry) ?? 0 }))
    .sort((a, b) => a.bytes - b.bytes);
  const all = sumOf(sized.map(({ bytes }) => bytes));
  const candidates: Candidate[] = [];
  const leftOut: string[] = [];
  let known: Omit<Answers, "probabilities"> = { labels: [] };
  const judge: Judge = (probabilities) => {
    const answers = { ...known, probabilities };
    return { quality: qualityOf(task.measure(answers)), merits: task.merits(answers) };
  };
  for (const { entry, bytes } of sized) {
    const isFirst = candidates.length === 0;
    const limitOf = (seconds: number): number => {
      if (!isFirst) return known.labels.length;
      // Larger files take longer; for how many images decides no more than this guess.
      return imagesFor(left() / ((seconds * all) / Math.max(1, bytes)), data, sized.length);
    };
    request.onMember?.(entry.name);
    const pass = isFirst || left() > 0 ? await passInTime(request, entry, { left, isFirst, limitOf }) : undefined;
    if (!pass) {
      leftOut.push(entry.name);
      continue;
    }
    const { features, targets, labels, forward } = pass;
    known = { labels, targets: targets?.toTypedArray() as Float64Array | undefined };
    const answers = answersWithout(features, targets, labels, task);
    const score = logMe(features, { labels, targets, classes: data.classes.length });
    candidates.push({ entry, logMe: score, answers, judged: judge(answers), forward, bytes });
    disposeTree([features, targets]);
  }
  const order = (a: Candidate, b: Candidate) => scoreOf(b.judged) - scoreOf(a.judged) || b.logMe - a.logMe;
  return { candidates: candidates.sort(order), judge, items: known.labels.length, leftOut };
}

interface Clock {
  /** Seconds that comparing may still take. */
  left: () => number;
  /** The first member is compared however long it takes. */
  isFirst: boolean;
  /** Images to see, by the seconds of one. */
  limitOf: (seconds: number) => number;
}

interface Pass {
  features: Tensor;
  targets?: Tensor | undefined;
  labels: readonly number[];
  /** Seconds of an image. */
  forward: number;
}

/** What a member makes of the images; undefined where there is no time for that, or when it is over between two batches. */
async function passInTime(
  { hub, data, signal }: AutoRequest,
  entry: MemberEntry<ImageInput>,
  { left, isFirst, limitOf }: Clock,
): Promise<Pass | undefined> {
  const member = loadMember(hub.dir, entry, { trust: hub.trust, device: hub.device });
  try {
    const seconds = await secondsOf(member, data, little * left(), signal);
    const limit = limitOf(seconds);
    if (!isFirst && seconds * limit > left()) return undefined;
    const inTime = isFirst ? signal : within(left(), signal);
    const forward = clockOf(member);
    const pass = await passOf(member, data.open("train", limit), { scores: false, signal: inTime });
    return { ...pass, forward: forward() / pass.labels.length };
  } catch (error) {
    if (error instanceof Interrupted && signal?.aborted !== true) return undefined;
    throw error;
  } finally {
    member.dispose();
  }
}

/** Seconds of the member's forward passes from now on: images of the hub's largest input take longer to load than its own. */
function clockOf({ backbone, device }: HubMember): () => number {
  let seconds = 0;
  backbone.wrap((x, forward) => {
    const began = performance.now();
    const y = forward(x);
    // Work on a device is done when a value of it is asked for.
    if (device !== "cpu") y.sum().item();
    seconds += (performance.now() - began) / 1000;
    return y;
  });
  return () => seconds;
}

/** A signal that comes after some seconds, or with the given one. */
function within(seconds: number, signal: AbortSignal | undefined): AbortSignal {
  const time = AbortSignal.timeout(Math.min(mostMilliseconds, Math.max(0, Math.ceil(1000 * seconds))));
  return signal ? AbortSignal.any([signal, time]) : time;
}

/** Seconds of a forward pass of one image; of more images where the first ones take no more than `few` seconds. */
async function secondsOf(
  member: HubMember,
  data: TaskData,
  few: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  let seconds = 0;
  for (const count of firstImages) {
    const began = performance.now();
    const { features, targets, labels } = await passOf(member, data.open("train", count), { scores: false, signal });
    disposeTree([features, targets]);
    const taken = (performance.now() - began) / 1000;
    seconds = taken / labels.length;
    if (taken > few) break;
  }
  return seconds;
}

/** Images that members are compared on, where there is time for so many. */
function imagesFor(affordable: number, { counts, classes }: TaskData, members: number): number {
  const fewest = members === 1 ? fewestOfOne : fewestImages;
  const [least, most] = [fewest, mostImages].map((one) => Math.max(one, classes.length)) as [number, number];
  return Math.min(counts.train, Math.max(least, Math.min(most, Math.floor(affordable))));
}

const scoreOf = ({ quality }: Judged): number => quality.score;

/** Answers [n, C] to each image by a linear head that was fitted without it. */
function answersWithout(
  features: Tensor,
  targets: Tensor | undefined,
  labels: readonly number[],
  task: Task,
): Float32Array {
  return scope(() =>
    noGrad(() => {
      // Where the features go: a batch's targets are on its device.
      const given = targets?.to({ device: "cpu" }) ?? int64(labels);
      const { leftOut: logits } = taskHead(task, features.to({ dtype: "float64", device: "cpu" }), given);
      return task.probabilities(logits).to({ dtype: "float32" }).toTypedArray() as Float32Array;
    }),
  );
}

export const figureOf = ({ kind }: Task, score: number): string =>
  kind === "classification" ? `${(100 * score).toFixed(1)} %` : score.toFixed(3);

export function rankingLine(candidates: readonly Candidate[], task: Task, items: number): string {
  const best = candidates.slice(0, mostMembers).map(({ entry, logMe, judged }) => {
    return `${entry.name} ${figureOf(task, scoreOf(judged))} (${logMe.toFixed(2)})`;
  });
  const figure = { classification: "", "multi-label": "mean average precision ", regression: "R2 " }[task.kind];
  return `${counted(candidates.length, "model")} by a linear head on ${items} images, each left out in turn (and LogME): ${figure}${best.join(", ")}`;
}

/** True where answers are worse than others to the same images, by more than chance makes likely. */
export function isWorse({ judged: own }: Candidate, { judged: other }: Candidate): boolean {
  const losses = other.merits.map((merit, i) => merit - (own.merits[i] ?? 0));
  return exceedsChance(sumOf(losses), sumOf(losses.map((loss) => loss ** 2)));
}

/** What the best pair answers beyond the best member; undefined for one member. */
export function pairGain(
  candidates: readonly Candidate[],
  task: Task,
  judge: Judge,
): { isReal: boolean; reason: string } | undefined {
  const singles = candidates.map(({ entry, judged }) => ({ name: entry.name, judged }));
  const pairs = candidates.flatMap((a, i) =>
    candidates.slice(i + 1).map((b) => {
      const mean = a.answers.map((value, at) => (value + (b.answers[at] ?? 0)) / 2);
      return { name: `${a.entry.name} and ${b.entry.name}`, judged: judge(mean) };
    }),
  );
  if (pairs.length === 0) return undefined;
  const most = <T extends { judged: Judged }>(of: readonly T[]) =>
    of.reduce((a, b) => (scoreOf(b.judged) > scoreOf(a.judged) ? b : a));
  const [single, pair] = [most(singles), most(pairs)];
  const gains = pair.judged.merits.map((merit, i) => merit - (single.judged.merits[i] ?? 0));
  const isReal = exceedsChance(sumOf(gains), sumOf(gains.map((gain) => gain ** 2)));
  const [both, one] = [pair, single].map(({ judged }) => figureOf(task, scoreOf(judged)));
  const figures =
    task.kind === "classification"
      ? `${pair.name} together answer ${both} of them, ${single.name} alone ${one}`
      : `${pair.name} together come to ${both}, ${single.name} alone to ${one}`;
  const verdict = isReal ? "several models are worth it" : "a single model is enough here";
  return { isReal, reason: `${figures}: ${verdict}` };
}
