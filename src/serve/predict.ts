/** From encoded images to answers as clients read them. */
import { decodeImage, squarePixels, UnreadableImage } from "../data/index.ts";
import {
  ChoiceError,
  chosenBy,
  isRejected,
  type ModelChoice,
  pathwayOf,
  readAnswer,
  tempered,
} from "../runtime/index.ts";
import type { SentImage } from "./body.ts";
import type { OnGone } from "./context.ts";
import type { RowRequest } from "./engine/answer-batch.ts";
import type { ModelInfo } from "./engine/parts.ts";
import { EngineGone } from "./engine-process.ts";
import { Problem } from "./problem.ts";
import { type Answered, OtherSize, tooLate, type Wanted } from "./queue.ts";
import type { AnyServed, PredictAnswer, PredictQuery, ServedPrediction } from "./schemas.ts";
import type { ServedModel, Surroundings } from "./served-model.ts";

/** Choices of a request. */
export type Choices = Pick<PredictQuery, "k" | "confidence" | "flops" | "top" | "explain" | "deadline">;

/**
 * Calls `work` with images let into a model's queue, under a deadline. They keep their places until `work` ends, which may be
 * after the deadline: what is still decoded or computed is still to be paid for.
 * @throws Problem 503 when the queue is full; 504 when the deadline passes, or the client leaves
 */
export async function withDeadline<T>(
  model: ServedModel,
  { limits }: Surroundings,
  choices: Pick<Choices, "deadline">,
  onGone: OnGone,
  work: (request: OpenRequest) => Promise<T>,
): Promise<T> {
  const leases = [model.queue.admit(1)];
  const ms = Math.min(choices.deadline ?? limits.deadlineMs, limits.deadlineMs);
  let timer: NodeJS.Timeout | undefined;
  const wanted = { deadline: performance.now() + ms, isWanted: true };
  const over = new Promise<never>((_, reject) => {
    const end = () => {
      wanted.isWanted = false;
      reject(tooLate());
    };
    timer = setTimeout(end, ms);
    onGone(end);
  });
  const grow = (images: number) => {
    if (images > 0) leases.push(model.queue.admit(images));
  };
  const working = work(Object.assign(wanted, { over, grow })).finally(() => {
    for (const leave of leases) leave();
  });
  try {
    return await Promise.race([working, over]);
  } finally {
    clearTimeout(timer);
  }
}

/** A request that is let in, with one image. */
export interface OpenRequest extends Wanted {
  /** Lets so many further images in. @throws Problem 503 */
  grow(images: number): void;
  /** Rejects when the deadline passes or the client leaves. */
  readonly over: Promise<never>;
}

/** Outcomes of images, in their order; what is wrong with one concerns no other. */
export async function answersOf(
  model: ServedModel,
  images: readonly SentImage[],
  choices: Choices,
  request: OpenRequest,
  around: Surroundings,
): Promise<(Answered | Problem)[]> {
  const choice = choiceOf(model.info, choices);
  request.grow(images.length - 1);
  return Promise.all(
    images.map((image) =>
      answerOf(model, image, { choice, explain: choices.explain }, request, around).catch((error: unknown) => {
        if (error instanceof Problem) return error;
        if (error instanceof EngineGone)
          return new Problem(503, "engine-gone", "the engine died: try again", { retryAfter: 1 });
        throw error;
      }),
    ),
  );
}

async function answerOf(
  model: ServedModel,
  image: SentImage,
  request: RowRequest,
  open: OpenRequest,
  around: Surroundings,
): Promise<Answered> {
  for (;;) {
    const began = performance.now();
    const bytes = await decoded(image, model.info, around);
    around.metrics.stages.observe({ model: model.name, stage: "decode" }, performance.now() - began);
    try {
      return await model.queue.push({ bytes, request, open });
    } catch (error) {
      if (!(error instanceof OtherSize)) throw error;
    }
  }
}

async function decoded(image: SentImage, { size, fit }: ModelInfo, { limits }: Surroundings): Promise<Uint8Array> {
  const { field, bytes } = image;
  const options = { size, channels: 3, pixelLimit: limits.maxPixels, fit } as const;
  try {
    if (image.size) return await squarePixels(bytes, image.size, options);
    return await decodeImage({ id: field, label: -1, source: { kind: "bytes", bytes } }, options);
  } catch (error) {
    if (!(error instanceof UnreadableImage)) throw error;
    throw new Problem(422, "bad-image", `${field} cannot be used: ${error.reason}`, { field });
  }
}

/** @throws Problem 422 for a choice that the model does not have */
function choiceOf({ choices }: ModelInfo, wish: Choices): ModelChoice | undefined {
  try {
    return chosenBy(choices, wish);
  } catch (error) {
    if (!(error instanceof ChoiceError)) throw error;
    throw new Problem(422, "invalid", error.message, { field: error.field });
  }
}

/** Probabilities of an answer as the client reads them, or its numbers, [C]. */
export function probabilitiesOf({ answer, info }: Answered): Float32Array {
  return tempered(answer.probabilities, info.labels.length, info.temperature);
}

/** An answer as the client reads it, counted in the metrics. */
export function predictionOf(
  model: string,
  answered: Answered,
  { top, explain }: Choices,
  { metrics, limits }: Surroundings,
): AnyServed {
  const { answer, info, loweredTo } = answered;
  const { task, labels, members } = info;
  const own = readAnswer(task, labels, probabilitiesOf(answered), top);
  const pathway = pathwayOf(members, answer.weights);
  const without = answer.without.map((i) => members[i] ?? "");
  metrics.activated(
    model,
    pathway.map(({ member }) => member),
  );
  for (const _ of without) metrics.degraded.inc({ model, why: "member" });
  if (loweredTo !== undefined) metrics.degraded.inc({ model, why: "load" });
  const isDegraded = without.length > 0 || loweredTo !== undefined;
  const common = {
    pathway,
    ...(isDegraded ? { degraded: { without, ...(loweredTo === undefined ? {} : { k: loweredTo }) } } : {}),
  };
  const [scores, opinions] = explain ? [scoresOf(answered), opinionsOf(answered)] : [];
  if (!("label" in own)) {
    const explanation = scores ? { explanation: { scores, opinions } } : {};
    return { ...own, ...common, ...explanation } as AnyServed;
  }
  const { rejectBelow = info.rejectBelow } = limits;
  const rejected = rejectBelow === undefined ? undefined : isRejected(own.probability, rejectBelow);
  if (rejected) metrics.rejected.inc({ model });
  return {
    ...own,
    ...common,
    ...(rejected === undefined ? {} : { rejected }),
    ...(scores && opinions ? { explanation: explanationOf(scores, opinions, own.label) } : {}),
  };
}

function scoresOf({ answer: { scores }, info: { members } }: Answered): Record<string, number> {
  return Object.fromEntries(Array.from(scores ?? [], (score, i) => [members[i] ?? "", score]));
}

/** What each activated member answers alone, first the one that counts most. */
function opinionsOf({ answer: { opinions = [], weights }, info }: Answered) {
  const { members, labels, temperature, task } = info;
  const own = opinions.map(({ member, probabilities }) => {
    const values = tempered(probabilities, labels.length, temperature);
    return { member: members[member] ?? "", weight: weights[member] ?? 0, ...readAnswer(task, labels, values, 3) };
  });
  return own.sort((a, b) => b.weight - a.weight);
}

function explanationOf(
  scores: Record<string, number>,
  all: ReturnType<typeof opinionsOf>,
  label: string,
): NonNullable<ServedPrediction["explanation"]> {
  const opinions = all.flatMap((one) =>
    "label" in one ? [{ member: one.member, weight: one.weight, top: one.top }] : [],
  );
  const agreeing = opinions.filter(({ top }) => top[0]?.label === label);
  const agreement = Math.min(
    1,
    agreeing.reduce((sum, { weight }) => sum + weight, 0),
  );
  return { scores, opinions, agreement };
}

/** What `POST /predict` answers. @throws Problem when one image was sent and has no answer, or none of several has one for the same reason */
export function predictAnswerOf(
  model: string,
  outcomes: readonly (Answered | Problem)[],
  choices: Choices,
  around: Surroundings,
): PredictAnswer {
  const problems = outcomes.filter((outcome) => outcome instanceof Problem);
  const [first] = problems;
  // Where nothing was computed for want of an engine or of time, the whole request is told so.
  if (first && problems.length === outcomes.length && (outcomes.length === 1 || first.status > 500)) throw first;
  return {
    model,
    predictions: outcomes.map((outcome) =>
      outcome instanceof Problem ? { problem: outcome.details } : predictionOf(model, outcome, choices, around),
    ),
  };
}
