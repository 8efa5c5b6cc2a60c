/**
 * Settings of a training that fits into a given time, from what the models of a hub are worth on the images and what a step of
 * each takes on this machine. n images, d features, C classes.
 */
import { type Hub, type ImageInput, loadMember, type MemberEntry } from "../hub/index.ts";
import { MemberLearner } from "../methods/index.ts";
import { logMe } from "../ranking/index.ts";
import { disposeTree, int64, noGrad, scope, type Tensor } from "../torch/index.ts";
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
  /** Seconds of an image in a step, all weights trained and a low-rank change; unmeasured for members that are not tried. */
  step?: { all: number; lora: number };
}

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
/** Part of the time that training may fill: the rest is for evaluation at its end, and for steps that take longer. */
const share = 0.7;
/** Passes of a model through the images below which training it is not worth while. */
const fewestPasses = 3;
const usualK = 2;

/**
 * Chooses settings. Members are compared by linear heads on their features, and by LogME among equals; several are chosen only where the best pair
 * answers the images, which the heads did not see, better than the best member alone, by more than chance makes likely.
 * @throws UserError for members that cannot be used; Interrupted after the signal
 */
export async function chooseSettings(request: AutoRequest): Promise<AutoChoice> {
  const began = performance.now();
  const left = () => share * (request.seconds - (performance.now() - began) / 1000);
  const { data } = request;
  const task = taskOf(data, request.options);
  const { candidates, judge, items } = await compared(request, task);
  const shown = candidates.slice(0, mostMembers);
  const reasons = [rankingLine(candidates, task, items)];
  const gain = pairGain(shown, task, judge);
  if (gain) reasons.push(gain.reason);
  const tried = gain?.isReal === true ? shown : shown.slice(0, 1);
  for (const candidate of tried) candidate.step = await stepOf(candidate.entry, task, request);
  const plan = planOf(tried, data.counts, left());
  const imageSize = Math.max(...plan.members.map(({ entry }) => entry.input.size));
  reasons.push(plan.reason);
  const names = plan.members.map(({ entry }) => entry.name);
  const k = Math.min(usualK, names.length);
  return {
    settings: {
      method: names.length > 1 ? "hub-pathway" : "fine-tune",
      members: names,
      ...(names.length > 1 ? { k } : {}),
      ...(plan.tune === "lora" ? { tune: "lora" } : {}),
      ...(plan.tune === "frozen" ? { freezeMembers: true } : {}),
      epochs: Math.max(1, Math.round((plan.passes * names.length) / k)),
      imageSize,
    },
    reasons,
  };
}

/** Members in the order of what their linear heads are worth, then of LogME. */
async function compared(
  request: AutoRequest,
  task: Task,
): Promise<{ candidates: Candidate[]; judge: Judge; items: number }> {
  const { hub, data, signal } = request;
  const limit = Math.min(data.counts.train, Math.max(mostImages, data.classes.length));
  const candidates: Candidate[] = [];
  let known: Omit<Answers, "probabilities"> = { labels: [] };
  const judge: Judge = (probabilities) => {
    const answers = { ...known, probabilities };
    return { quality: qualityOf(task.measure(answers)), merits: task.merits(answers) };
  };
  for (const entry of hub.manifest.members) {
    request.onMember?.(entry.name);
    const member = loadMember(hub.dir, entry, { trust: hub.trust, device: hub.device });
    try {
      const began = performance.now();
      const pass = await passOf(member, data.open("train", limit), () => {}, signal);
      const { features, logits, targets, labels } = pass;
      const forward = (performance.now() - began) / 1000 / labels.length;
      known = { labels, targets: targets?.toTypedArray() as Float64Array | undefined };
      const answers = leftOut(features, targets, labels, task);
      const score = logMe(features, { labels, targets, classes: data.classes.length });
      candidates.push({ entry, logMe: score, answers, judged: judge(answers), forward });
      disposeTree([features, logits, targets]);
    } finally {
      member.dispose();
    }
  }
  const order = (a: Candidate, b: Candidate) => scoreOf(b.judged) - scoreOf(a.judged) || b.logMe - a.logMe;
  return { candidates: candidates.sort(order), judge, items: known.labels.length };
}

const scoreOf = ({ quality }: Judged): number => quality.score;

/** Answers [n, C] to each image by a linear head that was fitted without it. */
function leftOut(features: Tensor, targets: Tensor | undefined, labels: readonly number[], task: Task): Float32Array {
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
  return `${candidates.length} models by a linear head on ${items} images, each left out in turn (and LogME): ${figure}${best.join(", ")}`;
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
  task: Task,
  { hub, data, options, signal }: AutoRequest,
): Promise<{ all: number; lora: number }> {
  const measured = async (tune: string): Promise<number> => {
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
  };
  const all = await measured("all");
  // A program's layers cannot be reached: there is nothing beside them to train.
  return { all, lora: entry.weights.format === "torchscript" ? all : await measured("lora") };
}

interface Plan {
  members: readonly Candidate[];
  tune: "all" | "lora" | "frozen";
  passes: number;
  reason: string;
}

/** The most members, and of those the most weights, that the time takes often enough through the images. */
function planOf(tried: readonly Candidate[], images: { train: number; validation: number }, seconds: number): Plan {
  const usual = passesOver(images.train);
  const sum = (of: readonly Candidate[], cost: (own: Candidate) => number) =>
    of.reduce((all, own) => all + cost(own), 0);
  const measuring = (of: readonly Candidate[]) => images.validation * sum(of, ({ forward }) => forward);
  for (const tune of ["all", "lora"] as const) {
    for (let m = tried.length; m >= Math.min(2, tried.length); m--) {
      const members = tried.slice(0, m);
      const step = sum(members, (own) => own.step?.[tune] ?? Number.POSITIVE_INFINITY);
      const onePass = images.train * step + measuring(members);
      const passes = Math.min(usual, Math.floor(seconds / onePass));
      if (passes < Math.max(fewestPasses, usual / 2)) continue;
      const milliseconds = members.map((own) => (1000 * (own.step?.[tune] ?? 0)).toFixed(0)).join(", ");
      const what =
        tune === "all" ? "all weights" : "low-rank changes, since all weights would take longer than there is";
      const reason = `an image of a step takes ${milliseconds} ms: ${passes} passes of ${members.length === 1 ? "it" : `each of ${m}`}, ${what}, in about ${Math.ceil(passes * onePass)} s`;
      return { members, tune, passes, reason };
    }
  }
  const features = (of: readonly Candidate[]) =>
    defaultViews * images.train * sum(of, ({ forward }) => forward) + measuring(of);
  const m = tried.findLastIndex((_, i) => features(tried.slice(0, i + 1)) <= seconds) + 1;
  const members = tried.slice(0, Math.max(1, m));
  const reason = `training the models would take longer than there is: they stay as they are, and heads learn from their features, in about ${Math.ceil(features(members))} s`;
  return { members, tune: "frozen", passes: usual, reason };
}
