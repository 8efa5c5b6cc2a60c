/** What of which members is trained, on how many images: the most that time and memory have room for. */
import { counted } from "../../io/index.ts";
import { type BatchSource, defaultViews, passesOver, type Task } from "../../train/index.ts";
import { type Candidate, figureOf, isWorse, sumOf } from "./comparison.ts";
import { type LessonCost, lessonCost } from "./lesson-cost.ts";
import { type AutoRequest, type AutoSettings, epochsFor } from "./request.ts";
import { type StepCost, stepCost, type Trained, type Way, wayFor } from "./step-cost.ts";

export interface Plan {
  members: readonly Candidate[];
  tune: Trained | "frozen";
  /** How often the members see each image. */
  passes: number;
  /** How a step is computed, and how many images there are: what of that is not usual. */
  settings: Pick<
    AutoSettings,
    "accumulate" | "checkpointActivations" | "views" | "trainPerClass" | "validationFraction"
  >;
  reasons: string[];
}

/** Bounds of what is left. */
export interface Room {
  /** Seconds that training may still fill. */
  left: () => number;
  /** Bytes for weights and what training keeps beside them. */
  memory: number;
}

interface Members {
  /** In the order in which they are taken. */
  tried: readonly Candidate[];
  /** The best ones, for the case that there is no time for those. */
  shown: readonly Candidate[];
}

/** Members with what decides among plans for them. */
interface Asked extends Members {
  task: Task;
  request: AutoRequest;
  room: Room;
  /** Passes that are usual for so many images, and below which training is not worth while. */
  usual: number;
  least: number;
}

/** How often the weights are held by weights, gradients and the optimizer's state. */
const copies: Record<Trained, number> = { all: 4, lora: 1.2 };
const words: Record<Trained, string> = { all: "all weights", lora: "low-rank changes" };
/** Forward passes that an image of a step costs at least, and that one more costs in a step whose blocks compute twice. */
const [leastStep, recomputing] = [2, 4 / 3];
const fewestPasses = 3;
/** Part of the time that measuring one member's step should take. */
const measuringShare = 1 / 20;
/** How much longer than there is time for fewer images may take. */
const leeway = 1.2;
/** Fewest training images of a class. */
const fewestOfClass = 4;
/** Seconds of measuring how long loading takes: a loader needs some until its first batch. */
const loadingSeconds = 1;
/** Least part of the images that the best member is taken with: with half of them it loses little. */
const enough = 1 / 2;

const sumOver = (of: readonly Candidate[], cost: (own: Candidate) => number): number => sumOf(of.map(cost));
const weightsOf = (of: readonly Candidate[]): number => sumOver(of, ({ bytes }) => bytes);
const forwardOf = (of: readonly Candidate[]): number => sumOver(of, ({ forward }) => forward);

/** The most members, and of those the most weights, that time and memory have room for. Steps are measured only of what could be chosen. */
export async function planned(members: Members, task: Task, request: AutoRequest, room: Room): Promise<Plan> {
  const usual = passesOver(request.data.counts.train);
  const asked: Asked = { ...members, task, request, room, usual, least: Math.max(fewestPasses, usual / 2) };
  const reasons: string[] = [];
  for (const tune of ["all", "lora"] as const) {
    const made = await trained(asked, tune);
    if (typeof made !== "string") return { ...made, reasons: [...reasons, ...made.reasons] };
    reasons.push(made);
  }
  const made = await frozen(asked);
  return { ...made, reasons: [...reasons, ...made.reasons] };
}

/** A plan to train members; why there is none, where there is none. */
async function trained(asked: Asked, tune: Trained): Promise<Plan | string> {
  const { tried, room } = asked;
  const fitting = tried.filter((_, i) => copies[tune] * weightsOf(tried.slice(0, i + 1)) <= room.memory);
  const fewest = Math.min(2, tried.length);
  const tooMuch = (bytes: number) =>
    `${words[tune]} take more memory than is free: ${gigabytes(bytes)} of ${gigabytes(room.memory)}`;
  if (fitting.length < fewest) return tooMuch(copies[tune] * weightsOf(tried.slice(0, fitting.length + 1)));
  const costs = await stepCosts(asked, fitting, tune);
  let needed = 0;
  for (let m = costs.length; m >= fewest; m--) {
    const [members, own] = [fitting.slice(0, m), costs.slice(0, m)];
    const weights = copies[tune] * weightsOf(members);
    const way = wayOf(asked, own, room.memory - weights);
    if (!way) needed = weights + leastActivations(own);
    const plan = way && inTime(asked, tune, members, own, way);
    if (plan) return plan;
  }
  return needed > 0 ? tooMuch(needed) : `${words[tune]} take more time than there is`;
}

/** Costs of members in order, up to the first one that could not be trained in the time, or not so. */
async function stepCosts(asked: Asked, members: readonly Candidate[], tune: Trained): Promise<StepCost[]> {
  const { request, room, task, least } = asked;
  const memory = room.memory - copies[tune] * weightsOf(members);
  const costs: StepCost[] = [];
  for (const { entry, forward } of members) {
    if (least * request.data.counts.train * leastStep * forward > room.left()) break;
    const cost = await stepCost(entry, tune, task, request, { seconds: measuringShare * room.left(), memory });
    if (!cost) break;
    costs.push(cost);
  }
  return costs;
}

function wayOf({ request: { options, data } }: Asked, costs: readonly StepCost[], memory: number): Way | undefined {
  return wayFor(costs, options, memory, Math.min(options.batchSize, data.counts.train));
}

/** Bytes of the smallest part of a step. */
const leastActivations = (costs: readonly StepCost[]): number => Math.max(...costs.map(({ recomputed }) => recomputed));

/** The plan to train members so, with as many passes as there is time for; undefined where those are too few. */
function inTime(
  { request, room, usual, least }: Asked,
  tune: Trained,
  members: readonly Candidate[],
  costs: readonly StepCost[],
  { parts, recomputes }: Way,
): Plan | undefined {
  const { train, validation } = request.data.counts;
  const factor = recomputes && request.options.checkpointActivations !== true ? recomputing : 1;
  const seconds = costs.map((own) => factor * own.seconds);
  const onePass = train * sumOf(seconds) + validation * forwardOf(members);
  const passes = Math.min(usual, Math.floor(room.left() / onePass));
  if (passes < least) return undefined;
  const milliseconds = seconds.map((own) => (1000 * own).toFixed(0)).join(", ");
  const each = members.length === 1 ? "it" : `each of ${members.length}`;
  const reasons = [
    `an image of a step takes ${milliseconds} ms: ${passes} passes of ${each}, ${words[tune]}, in about ${Math.ceil(passes * onePass)} s`,
  ];
  const image = Math.max(...costs.map(({ activations }) => activations));
  if (parts > 1 || recomputes) {
    const how = [recomputes ? "blocks compute twice" : "", parts > 1 ? `a batch is computed in ${parts} parts` : ""];
    reasons.push(
      `an image of a step takes ${gigabytes(image)} beside the weights, of ${gigabytes(room.memory)} in all: ${how.filter((text) => text !== "").join(", and ")}`,
    );
  }
  const settings = {
    ...(parts > 1 ? { accumulate: parts } : {}),
    ...(recomputes ? { checkpointActivations: true } : {}),
  };
  return { members, tune, passes, settings, reasons };
}

interface Images {
  train: number;
  validation: number;
}

/** Seconds of members that stay as they are, for so many views of each image. */
type Timing = (of: readonly Candidate[], views: number, images: Images) => number;

/** The plan for members that stay as they are: several before several views of each image, and fewer images where all take too long. */
async function frozen(asked: Asked): Promise<Plan> {
  const { request, room } = asked;
  const { counts } = request.data;
  const seconds = await frozenTiming(request);
  const left = Math.max(0, room.left());
  const fits = (of: readonly Candidate[], views: number) =>
    seconds(of, views, counts) <= left && weightsOf(of) <= room.memory;
  const { tried, reasons: instead } = quickEnough(asked, (own) => seconds([own], 1, counts), left);
  const m = tried.findLastIndex((_, i) => fits(tried.slice(0, i + 1), 1)) + 1;
  const members = tried.slice(0, Math.max(1, m));
  const views = [defaultViews, 2, 1].find((count) => fits(members, count)) ?? 1;
  const fewer = m > 0 ? undefined : fewerImages(request, Math.min(1, left / seconds(members, views, counts)));
  const images = fewer?.images ?? counts;
  const taken = Math.ceil(seconds(members, views, images));
  const reasons = [
    ...instead,
    ...(fewer?.reasons ?? []),
    `the models stay as they are, and heads learn from their features (${counted(views, "view")} of each image), in about ${taken} s`,
  ];
  // Fewer images are seen more often, which is no reason to complain.
  if (taken > Math.ceil(leeway * left))
    reasons.push("that is more than there is: a hub of smaller models, or --minutes, would help");
  return {
    members,
    tune: "frozen",
    passes: passesOver(images.train),
    settings: { views, ...fewer?.settings },
    reasons,
  };
}

/** The members themselves where there is time for enough images by the best of them; else one that only chance may put behind it. */
function quickEnough(
  { tried, shown, task, room }: Asked,
  seconds: (own: Candidate) => number,
  left: number,
): { tried: readonly Candidate[]; reasons: string[] } {
  const [best] = tried;
  const isQuick = (own: Candidate) => enough * seconds(own) <= left;
  if (!best || isQuick(best)) return { tried, reasons: [] };
  const equals = shown.filter((own) => own.bytes <= room.memory && !isWorse(own, best));
  const quickest = equals.reduce((a, b) => (seconds(b) < seconds(a) ? b : a), best);
  const chosen = equals.find(isQuick) ?? quickest;
  if (chosen === best) return { tried, reasons: [] };
  const [own, other] = [chosen, best].map(({ judged }) => figureOf(task, judged.quality.score));
  const reason = `${best.entry.name} has time for few images: ${chosen.entry.name} is quicker, and chance may explain ${own} against ${other}`;
  return { tried: [chosen], reasons: [reason] };
}

/** What heads on members that stay as they are take: their features, and where there are several small images and what a generator learns. */
async function frozenTiming(request: AutoRequest): Promise<Timing> {
  const { still, changed } = await loadingTime(request);
  let lessons: LessonCost | undefined;
  return (of, views, { train, validation }) => {
    const m = of.length;
    const epochs = epochsFor(passesOver(train), m);
    const features = forwardOf(of) * (views * train + validation);
    // Images were measured at the size of the hub's largest input. Each member loads them for its features, and the generator to keep small ones.
    const pixels = (Math.max(...of.map(({ entry }) => entry.input.size)) / request.data.imageSize) ** 2;
    const passes = m < 2 ? 1 : m + 1;
    const loaded = passes * (views * train + validation);
    // The first view is the image itself.
    const loading = pixels * loaded * (views === 1 ? still : changed);
    if (m < 2) return features + loading;
    lessons ??= lessonCost(request);
    const steps = epochs * Math.ceil(train / request.options.batchSize);
    return features + loading + steps * lessons.step + (1 + epochs) * (train + validation) * lessons.score;
  };
}

/** Settings that leave about a part of the images; undefined where images have no classes of which some could be left out. */
function fewerImages(
  { data, validationFraction }: AutoRequest,
  part: number,
): { images: Images; settings: Plan["settings"]; reasons: string[] } | undefined {
  if (data.targets !== undefined) return undefined;
  const { train, validation } = data.counts;
  const classes = data.classes.length;
  const trainPerClass = Math.max(fewestOfClass, Math.floor((part * train) / classes));
  const images = { train: Math.min(train, classes * trainPerClass), validation };
  const settings: Plan["settings"] = { trainPerClass };
  if (!data.validationIsGiven) {
    // A class always has one.
    images.validation = Math.max(classes, Math.round(part * validation));
    settings.validationFraction = Number(((validationFraction * images.validation) / validation).toPrecision(3));
  }
  const reasons = [
    `there is time for about ${images.train} of ${train} images to train and ${images.validation} of ${validation} to validate: more --minutes, or a hub of smaller models, would take them all`,
  ];
  return { images, settings, reasons };
}

/** Seconds of loading an image as it is, and changed for a step. */
async function loadingTime({ data }: AutoRequest): Promise<{ still: number; changed: number }> {
  // The first pass reads what the second has at hand.
  await secondsOfImage(data.train);
  return { still: await secondsOfImage(data.open("train")), changed: await secondsOfImage(data.train) };
}

async function secondsOfImage(batches: BatchSource): Promise<number> {
  const began = performance.now();
  let [images, seconds] = [0, 0];
  for await (const batch of batches.epoch(0, 0)) {
    images += batch.images.size(0);
    batch.dispose();
    seconds = (performance.now() - began) / 1000;
    if (seconds > loadingSeconds) break;
  }
  return seconds / Math.max(1, images);
}

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;
