/**
 * Settings of a training that fits into a given time, from what the models of a hub are worth on the images and what a step of
 * each takes on this machine. n images, d features, C classes.
 */
import { type Hub, type ImageInput, loadMember, type MemberEntry } from "../hub/index.ts";
import { MemberLearner } from "../methods/index.ts";
import { logMe, ridgeHead } from "../ranking/index.ts";
import { disposeTree, int64, keep, noGrad, ops, scope, type Tensor } from "../torch/index.ts";
import {
  type BatchSource,
  ClassificationTask,
  defaultViews,
  fit,
  passesOver,
  passOf,
  type RequestedOptions,
  type TaskData,
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
  probabilities: Tensor;
  /** Images that this head answers rightly. */
  right: boolean[];
  /** Seconds of a forward pass of one image. */
  forward: number;
  /** Seconds of an image in a step, all weights trained and a low-rank change; unmeasured for members that are not tried. */
  step?: { all: number; lora: number };
}

/** Training images that members are compared on, at most; and the most members whose steps are measured and that are trained. */
const [mostImages, mostMembers] = [400, 4];
/** Part of the time that training may fill: the rest is for evaluation at its end, and for steps that take longer. */
const share = 0.7;
/** Passes of a model through the images below which training it is not worth while. */
const fewestPasses = 3;
const usualK = 2;

/**
 * Chooses settings. Members are compared by linear heads on their features, and by LogME among equals; several are chosen only where the best pair
 * answers more of the images, which the heads did not see, than the best member alone, by more than chance makes likely.
 * @throws UserError for members that cannot be used; Interrupted after the signal
 */
export async function chooseSettings(request: AutoRequest): Promise<AutoChoice> {
  const began = performance.now();
  const left = () => share * (request.seconds - (performance.now() - began) / 1000);
  const { data } = request;
  const { candidates, labels } = await compared(request);
  try {
    const shown = candidates.slice(0, mostMembers);
    const reasons = [rankingLine(candidates, labels)];
    const gain = pairGain(shown, labels);
    if (gain) reasons.push(gain.reason);
    const tried = gain?.isReal === true ? shown : shown.slice(0, 1);
    for (const candidate of tried) candidate.step = await stepOf(candidate.entry, request);
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
  } finally {
    disposeTree(candidates.map(({ probabilities }) => probabilities));
  }
}

/** Members in the order of what their linear heads answer rightly, then of LogME. */
async function compared(request: AutoRequest): Promise<{ candidates: Candidate[]; labels: readonly number[] }> {
  const { hub, data, signal } = request;
  const limit = Math.min(data.counts.train, Math.max(mostImages, data.classes.length));
  const candidates: Candidate[] = [];
  let labels: readonly number[] = [];
  for (const entry of hub.manifest.members) {
    request.onMember?.(entry.name);
    const member = loadMember(hub.dir, entry, { trust: hub.trust, device: hub.device });
    try {
      const began = performance.now();
      const pass = await passOf(member, data.open("train", limit), () => {}, signal);
      const forward = (performance.now() - began) / 1000 / pass.labels.length;
      labels = pass.labels;
      const outputs = { ...pass, classes: data.classes.length };
      const probabilities = leftOut(outputs);
      const right = rightOf(probabilities, labels);
      candidates.push({ entry, logMe: logMe(pass.features, outputs), probabilities, right, forward });
      disposeTree([pass.features, pass.logits]);
    } finally {
      member.dispose();
    }
  }
  const order = (a: Candidate, b: Candidate) => count(b.right) - count(a.right) || b.logMe - a.logMe;
  return { candidates: candidates.sort(order), labels };
}

function leftOut({
  features,
  labels,
  classes,
}: {
  features: Tensor;
  labels: readonly number[];
  classes: number;
}): Tensor {
  return keep(
    scope(() =>
      noGrad(() => {
        const given = int64(labels);
        const wide = features.to({ dtype: "float64", device: "cpu" });
        const targets = ops.one_hot(given, classes).to({ dtype: "float64" });
        const loss = (logits: Tensor) => ops.cross_entropy_loss(logits, given).item();
        return ridgeHead(wide, targets, loss).leftOut.softmax(1);
      }),
    ),
  );
}

/** Images that probabilities [n, C] answer rightly. */
function rightOf(probabilities: Tensor, labels: readonly number[]): boolean[] {
  const answers = scope(() => probabilities.argmax(1).toNumbers());
  return labels.map((label, i) => answers[i] === label);
}

const count = (right: readonly boolean[]) => right.filter(Boolean).length;
const percentOf = (right: readonly boolean[]) => `${((100 * count(right)) / right.length).toFixed(1)} %`;

function rankingLine(candidates: readonly Candidate[], labels: readonly number[]): string {
  const best = candidates.slice(0, mostMembers).map(({ entry, logMe, right }) => {
    return `${entry.name} ${percentOf(right)} (${logMe.toFixed(2)})`;
  });
  return `${candidates.length} models by a linear head on ${labels.length} images, each left out in turn (and LogME): ${best.join(", ")}`;
}

/** What the best pair answers beyond the best member; undefined for one member. */
function pairGain(
  candidates: readonly Candidate[],
  labels: readonly number[],
): { isReal: boolean; reason: string } | undefined {
  const singles = candidates.map(({ entry, right }) => ({ name: entry.name, right }));
  const pairs = candidates.flatMap((a, i) =>
    candidates.slice(i + 1).map((b) => {
      const right = scope(() => rightOf(a.probabilities.add(b.probabilities), labels));
      return { name: `${a.entry.name} and ${b.entry.name}`, right };
    }),
  );
  if (pairs.length === 0) return undefined;
  const most = <T extends { right: boolean[] }>(of: readonly T[]) =>
    of.reduce((a, b) => (count(b.right) > count(a.right) ? b : a));
  const [single, pair] = [most(singles), most(pairs)];
  const won = labels.filter((_, i) => pair.right[i] && !single.right[i]).length;
  const lost = labels.filter((_, i) => single.right[i] && !pair.right[i]).length;
  // A standard deviation of the difference, were both equally good (McNemar 1947).
  const isReal = won - lost > Math.sqrt(won + lost);
  const figures = `${pair.name} together answer ${percentOf(pair.right)} of them, ${single.name} alone ${percentOf(single.right)}`;
  const verdict = isReal ? "several models are worth it" : "a single model is enough here";
  return { isReal, reason: `${figures}: ${verdict}` };
}

/** Seconds of an image in a step: of two steps the second, by which memory is warm. */
async function stepOf(
  entry: MemberEntry<ImageInput>,
  { hub, data, options, signal }: AutoRequest,
): Promise<{ all: number; lora: number }> {
  const measured = async (tune: string): Promise<number> => {
    const member = loadMember(hub.dir, entry, { trust: hub.trust, device: hub.device, verified: true });
    const learner = new MemberLearner(member, new ClassificationTask(data.classes.length), options.seed);
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
