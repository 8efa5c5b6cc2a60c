/**
 * Settings of a training that fits into a given time, from what the models of a hub are worth on the images and what a step of
 * each takes on this machine. n images, d features, C classes.
 */
import { type Hub, type HubMember, type ImageInput, loadMember, type MemberEntry, memberBytes } from "../hub/index.ts";
import { counted } from "../io/index.ts";
import { MemberLearner } from "../methods/index.ts";
import { logMe } from "../ranking/index.ts";
import { disposeTree, int64, noGrad, scope, type Tensor, UserError } from "../torch/index.ts";
import {
  type Answers,
  type BatchSource,
  defaultViews,
  fit,
  passesOver,
  passOf,
  type Quality,
  qualityOf,
  type RequestedOptions,
  type Task,
  type TaskData,
  taskHead,
  taskOf,
} from "../train/index.ts";

export interface AutoRequest {
  hub: Hub;
  /** Batches of `train` have the size of a step. */
  data: TaskData;
  options: RequestedOptions;
  /** Seconds for everything that is left: ranking, measuring and training. */
  seconds: number;
  /** Bytes that training may take; what the machine has free when left out. */
  memory?: number | undefined;
  onMember?: ((name: string) => void) | undefined;
  signal?: AbortSignal | undefined;
}

/** Settings by their names in `train`. */
export interface AutoSettings {
  method: "hub-pathway" | "fine-tune";
  /** Members to choose from, the best first. */
  members: string[];
  k?: number;
  tune?: string;
  freezeMembers?: boolean;
  /** Of each image, where members stay as they are. */
  views?: number | undefined;
  epochs: number;
  imageSize: number;
}

export interface AutoChoice {
  settings: AutoSettings;
  /** Why, a sentence a line. */
  reasons: string[];
}

/** A member with what was measured of it. */
interface Candidate {
  entry: MemberEntry<ImageInput>;
  logMe: number;
  /** Of each image by a linear head that did not see it, [n, C]. */
  answers: Float32Array;
  judged: Judged;
  /** Seconds of a forward pass of one image. */
  forward: number;
  /** Seconds of an image in a step, by what of the member is trained; unmeasured where that could not pay. */
  step: Partial<Record<Trained, number>>;
  /** Of its weights. */
  bytes: number;
}

/** What of a member is trained: all weights, or low-rank changes beside them. */
type Trained = "all" | "lora";

/** What answers to the images are worth. */
interface Judged {
  quality: Quality;
  /** Of each image. */
  merits: number[];
}

/** Judges answers [n, C]. */
type Judge = (answers: Float32Array) => Judged;

/** Training images that members are compared on, at most; and the most members whose steps are measured and that are trained. */
const [mostImages, mostMembers] = [400, 4];
/** Fewest of them, and those that tell what a model takes. */
const [fewestImages, firstImages] = [64, 8];
/** Part of the time that training may fill: the rest is for evaluation at its end, and for steps that take longer. */
const share = 0.7;
/** Part of the time that comparing models may take. */
const comparingShare = 1 / 3;
/** Part of the free memory that weights, gradients and the optimizer's state may take, and how often they hold the weights. */
const memoryShare = 0.6;
const copies: Record<Trained, number> = { all: 4, lora: 1.2 };
const words: Record<Trained, string> = { all: "all weights", lora: "low-rank changes" };
/** Forward passes that an image of a step costs at least. */
const leastStep = 2;
/** Passes of a model through the images below which training it is not worth while. */
const fewestPasses = 3;
const usualK = 2;

/**
 * Chooses settings. Members are compared, one in memory at a time, by linear heads on their features, and by LogME among equals; several are chosen
 * only where the best pair answers the images, which the heads did not see, better than the best member alone, by more than chance makes likely.
 * @throws UserError for members that cannot be used; Interrupted after the signal
 */
export async function chooseSettings(request: AutoRequest): Promise<AutoChoice> {
  const began = performance.now();
  const left = () => share * (request.seconds - (performance.now() - began) / 1000);
  const { data } = request;
  const task = taskOf(data, request.options);
  const { candidates, judge, items, leftOut } = await compared(request, task);
  const shown = candidates.slice(0, mostMembers);
  const reasons = [rankingLine(candidates, task, items)];
  if (leftOut.length > 0)
    reasons.push(`not compared, since that would take more than a third of the time: ${leftOut.join(", ")}`);
  const gain = pairGain(shown, task, judge);
  if (gain) reasons.push(gain.reason);
  const tried = gain?.isReal === true ? shown : shown.slice(0, 1);
  const memory = memoryShare * (request.memory ?? process.availableMemory());
  const plan = await planned(tried, task, request, left, memory);
  const imageSize = Math.max(...plan.members.map(({ entry }) => entry.input.size));
  reasons.push(...plan.reasons);
  const names = plan.members.map(({ entry }) => entry.name);
  const k = Math.min(usualK, names.length);
  return {
    settings: {
      method: names.length > 1 ? "hub-pathway" : "fine-tune",
      members: names,
      ...(names.length > 1 ? { k } : {}),
      ...(plan.tune === "lora" ? { tune: "lora" } : {}),
      ...(plan.tune === "frozen" ? { freezeMembers: true, views: plan.views } : {}),
      epochs: Math.max(1, Math.round((plan.passes * names.length) / k)),
      imageSize,
    },
    reasons,
  };
}

/**
 * Members in the order of what their linear heads are worth, then of LogME. The smallest come first: those that there is no time to
 * compare with them could not be trained in it either.
 */
async function compared(
  request: AutoRequest,
  task: Task,
): Promise<{ candidates: Candidate[]; judge: Judge; items: number; leftOut: string[] }> {
  const { hub, data, signal } = request;
  const ends = performance.now() + 1000 * comparingShare * request.seconds;
  const secondsLeft = () => (ends - performance.now()) / 1000;
  const sized = hub.manifest.members
    .map((entry) => ({ entry, bytes: memberBytes(hub.dir, entry) ?? 0 }))
    .sort((a, b) => a.bytes - b.bytes);
  const candidates: Candidate[] = [];
  const leftOut: string[] = [];
  let limit = 0;
  let known: Omit<Answers, "probabilities"> = { labels: [] };
  const judge: Judge = (probabilities) => {
    const answers = { ...known, probabilities };
    return { quality: qualityOf(task.measure(answers)), merits: task.merits(answers) };
  };
  for (const { entry, bytes } of sized) {
    if (candidates.length > 0 && secondsLeft() <= 0) {
      leftOut.push(entry.name);
      continue;
    }
    request.onMember?.(entry.name);
    const member = loadMember(hub.dir, entry, { trust: hub.trust, device: hub.device });
    try {
      const first = await secondsOf(member, data, signal);
      if (limit === 0) {
        // Larger files take longer; for how many images decides no more than this guess.
        const all = sumOf(sized.map((own) => own.bytes)) / Math.max(1, bytes);
        limit = imagesFor(secondsLeft() / (first * all), data);
      } else if (first * limit > secondsLeft()) {
        leftOut.push(entry.name);
        continue;
      }
      const began = performance.now();
      const pass = await passOf(member, data.open("train", limit), () => {}, signal);
      const { features, logits, targets, labels } = pass;
      const forward = (performance.now() - began) / 1000 / labels.length;
      known = { labels, targets: targets?.toTypedArray() as Float64Array | undefined };
      const answers = answersWithout(features, targets, labels, task);
      const score = logMe(features, { labels, targets, classes: data.classes.length });
      candidates.push({
        entry,
        logMe: score,
        answers,
        judged: judge(answers),
        forward,
        step: {},
        bytes,
      });
      disposeTree([features, logits, targets]);
    } finally {
      member.dispose();
    }
  }
  const order = (a: Candidate, b: Candidate) => scoreOf(b.judged) - scoreOf(a.judged) || b.logMe - a.logMe;
  return { candidates: candidates.sort(order), judge, items: known.labels.length, leftOut };
}

/** Seconds of a forward pass of one image. */
async function secondsOf(member: HubMember, data: TaskData, signal: AbortSignal | undefined): Promise<number> {
  const began = performance.now();
  const { features, logits, targets, labels } = await passOf(member, data.open("train", firstImages), () => {}, signal);
  disposeTree([features, logits, targets]);
  return (performance.now() - began) / 1000 / labels.length;
}

/** Images that members are compared on, where there is time for so many. */
function imagesFor(affordable: number, { counts, classes }: TaskData): number {
  const [least, most] = [fewestImages, mostImages].map((one) => Math.max(one, classes.length)) as [number, number];
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

const figureOf = ({ kind }: Task, score: number): string =>
  kind === "classification" ? `${(100 * score).toFixed(1)} %` : score.toFixed(3);

function rankingLine(candidates: readonly Candidate[], task: Task, items: number): string {
  const best = candidates.slice(0, mostMembers).map(({ entry, logMe, judged }) => {
    return `${entry.name} ${figureOf(task, scoreOf(judged))} (${logMe.toFixed(2)})`;
  });
  const figure = { classification: "", "multi-label": "mean average precision ", regression: "R2 " }[task.kind];
  return `${counted(candidates.length, "model")} by a linear head on ${items} images, each left out in turn (and LogME): ${figure}${best.join(", ")}`;
}

/** What the best pair answers beyond the best member; undefined for one member. */
function pairGain(
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
  // A standard deviation of the sum, were both equally good; of right answers it is McNemar's (1947).
  const isReal = sumOf(gains) > Math.sqrt(sumOf(gains.map((gain) => gain ** 2)));
  const [both, one] = [pair, single].map(({ judged }) => figureOf(task, scoreOf(judged)));
  const figures =
    task.kind === "classification"
      ? `${pair.name} together answer ${both} of them, ${single.name} alone ${one}`
      : `${pair.name} together come to ${both}, ${single.name} alone to ${one}`;
  const verdict = isReal ? "several models are worth it" : "a single model is enough here";
  return { isReal, reason: `${figures}: ${verdict}` };
}

const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);

/** Seconds of an image in a step: of two steps the second, by which memory is warm. */
async function stepOf(
  entry: MemberEntry<ImageInput>,
  tune: Trained,
  task: Task,
  { hub, data, options, signal }: AutoRequest,
): Promise<number> {
  const member = loadMember(hub.dir, entry, { trust: hub.trust, device: hub.device, verified: true });
  const learner = new MemberLearner(member, task, options.seed);
  const ends: { images: number; at: number }[] = [];
  const batches: BatchSource = {
    stepsPerEpoch: 2,
    async *epoch() {
      let left = 2;
      for await (const batch of data.train.epoch(0, 0)) {
        ends.push({ images: batch.images.size(0), at: performance.now() });
        yield batch;
        if (--left === 0) return;
      }
    },
  };
  const asked = { ...options, tune, epochs: 1, generatorFactor: 1, iterations: 2, frozenViews: undefined };
  try {
    await fit({
      fit: "step",
      learner,
      batches,
      options: asked,
      checkpoint: undefined,
      identity: "",
      emit: () => {},
      signal,
    });
  } finally {
    learner.dispose();
  }
  const { images = 1, at = 0 } = ends.at(-1) ?? {};
  return (performance.now() - at) / 1000 / images;
}

interface Plan {
  members: readonly Candidate[];
  tune: Trained | "frozen";
  passes: number;
  /** Of each image, where members stay as they are. */
  views?: number;
  reasons: string[];
}

const sumOver = (of: readonly Candidate[], cost: (own: Candidate) => number): number => sumOf(of.map(cost));

/**
 * The most members, and of those the most weights, that the time takes often enough through the images and memory has room for. Steps are
 * measured only of what could be chosen.
 * @param left seconds that training may still fill
 * @param memory bytes for weights and what training keeps beside them
 */
async function planned(
  tried: readonly Candidate[],
  task: Task,
  request: AutoRequest,
  left: () => number,
  memory: number,
): Promise<Plan> {
  const { train, validation } = request.data.counts;
  const usual = passesOver(train);
  const least = Math.max(fewestPasses, usual / 2);
  const measuring = (of: readonly Candidate[]) => validation * sumOver(of, ({ forward }) => forward);
  const roomy = (of: readonly Candidate[], factor: number) => factor * sumOver(of, ({ bytes }) => bytes) <= memory;
  const reasons: string[] = [];
  for (const tune of ["all", "lora"] as const) {
    const fitting = tried.filter((_, i) => roomy(tried.slice(0, i + 1), copies[tune]));
    for (const own of fitting) {
      if (least * train * leastStep * own.forward > left()) break;
      own.step[tune] = await stepOf(own.entry, tune, task, request).catch((error: unknown) => {
        // A program's layers cannot be reached, and a graph may have none that low-rank changes suit.
        if (tune === "lora" && error instanceof UserError) return Number.POSITIVE_INFINITY;
        throw error;
      });
    }
    for (let m = fitting.length; m >= Math.min(2, tried.length); m--) {
      const members = fitting.slice(0, m);
      const step = sumOver(members, (own) => own.step[tune] ?? Number.POSITIVE_INFINITY);
      const onePass = train * step + measuring(members);
      const passes = Math.min(usual, Math.floor(left() / onePass));
      if (passes < least) continue;
      const milliseconds = members.map((own) => (1000 * (own.step[tune] ?? 0)).toFixed(0)).join(", ");
      const each = members.length === 1 ? "it" : `each of ${m}`;
      const own = `an image of a step takes ${milliseconds} ms: ${passes} passes of ${each}, ${words[tune]}, in about ${Math.ceil(passes * onePass)} s`;
      return { members, tune, passes, reasons: [...reasons, own] };
    }
    reasons.push(
      fitting.length < Math.min(2, tried.length)
        ? `${words[tune]} take more memory than is free: ${gigabytes(copies[tune] * sumOver(tried.slice(0, fitting.length + 1), ({ bytes }) => bytes))} of ${gigabytes(memory)}`
        : `${words[tune]} take more time than there is`,
    );
  }
  const features = (of: readonly Candidate[], views: number) =>
    views * train * sumOver(of, ({ forward }) => forward) + measuring(of);
  const fits = (of: readonly Candidate[], views: number) => features(of, views) <= left() && roomy(of, 1);
  // Several models before several views of each image.
  const m = tried.findLastIndex((_, i) => fits(tried.slice(0, i + 1), 1)) + 1;
  const members = tried.slice(0, Math.max(1, m));
  const views = [defaultViews, 2, 1].find((count) => fits(members, count)) ?? 1;
  const stay = `the models stay as they are, and heads learn from their features (${counted(views, "view")} of each image), in about ${Math.ceil(features(members, views))} s`;
  const late = m === 0 ? ["that is more than there is: a hub of smaller models, or --minutes, would help"] : [];
  return { members, tune: "frozen", passes: usual, views, reasons: [...reasons, stay, ...late] };
}

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;
