/** A bundle that answers. */
import { answer, type RunFile } from "./answer.ts";
import { isRejected, tempered } from "./calibration.ts";
import { BundleError } from "./check.ts";
import { type Choices, chosenBy, type Wish } from "./choice.ts";
import { BundleFiles, type BundleSource, sourceAt } from "./files.ts";
import { type ImageInput, planesOf } from "./images.ts";
import { type Bundle, placesOf } from "./manifest.ts";
import { runSelfTest, type SelfTestResult } from "./self-test.ts";
import { type OnnxRuntime, type OpeningTimes, Sessions, type SessionsOptions } from "./sessions.ts";
import {
  type AnswerKind,
  answerWords,
  type ClassAnswer,
  type LabelsAnswer,
  type NumbersAnswer,
  type PathwayPart,
  pathwayOf,
  readAnswer,
} from "./task.ts";

/** What a caller expects answers to be; "any" for whatever they are. */
export type Expected = AnswerKind | "any";

export interface OpenOptions<T extends Expected = "classification"> {
  /** onnxruntime-web or onnxruntime-node, as `import * as ort` gives it. */
  readonly ort: OnnxRuntime;
  /** Sum of the sizes of model files that stay open (default 256 MiB); those used longest ago are closed. */
  readonly memoryBytes?: number | undefined;
  /** Names of onnxruntime; by default WebGPU where there is one and wasm in browsers, the processor in Node. */
  readonly executionProviders?: readonly string[] | undefined;
  /** What answers have to be (default "classification"). */
  readonly task?: T | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface PredictOptions extends Wish {
  /** Activated models, from 1 to all (default: the bundle's); with a confidence, at most so many (default: all). */
  readonly k?: number | undefined;
  /** Probability of the answer at which no further model is asked, 0 … 1: one after the other, in the order of the scores. */
  readonly confidence?: number | undefined;
  /** Instead of k: FLOPs that an image may cost, on average. The most accurate choice within them that was measured answers. */
  readonly flops?: number | undefined;
  /** Number of classes or labels in `top` (default 5). */
  readonly top?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Milliseconds of a call, by stage. */
export interface StageTimes {
  /** Decoding and resizing. */
  readonly prepare: number;
  readonly fetch: number;
  /** Opening files that were not open. */
  readonly open: number;
  /** Router and models. */
  readonly run: number;
}

/** What there is of an answer beside itself. */
interface Answered {
  /** Models that were activated, by weight. */
  readonly pathway: readonly PathwayPart[];
  /** Bytes that came over the network for this call; not those from the cache. */
  readonly bytesFetched: number;
  /** Of the call, whatever the number of its images. */
  readonly milliseconds: StageTimes;
}

export interface BundlePrediction extends ClassAnswer, Answered {
  /** Of all classes, in the order of `labels`. */
  readonly probabilities: Float32Array;
  /** True when the answer is less sure than the bundle asks for ("I don't know"); undefined for a bundle without a threshold. */
  readonly rejected: boolean | undefined;
}

/** The same of a bundle that answers with several labels. */
export interface BundleLabels extends LabelsAnswer, Answered {
  /** Of all labels, in the order of the bundle's `labels`. */
  readonly probabilities: Float32Array;
}

/** The same of a bundle that answers with numbers. */
export interface BundleNumbers extends NumbersAnswer, Answered {}

export type AnyBundlePrediction = BundlePrediction | BundleLabels | BundleNumbers;

/** Answers by the task that a bundle is opened with. */
export type PredictionOf<T extends Expected> = {
  classification: BundlePrediction;
  "multi-label": BundleLabels;
  regression: BundleNumbers;
  any: AnyBundlePrediction;
}[T];

/** What a page needs of a bundle; a model in a worker has the same. */
export interface BundleModel<P extends AnyBundlePrediction = BundlePrediction> {
  readonly bundle: Bundle;
  /** @throws BundleError for an image or a choice that cannot be, or a file that is missing or damaged */
  predict(image: ImageInput, options?: PredictOptions): Promise<P>;
  /** The router runs once on all images, each model once on those that activate it. */
  predictAll(images: readonly ImageInput[], options?: PredictOptions): Promise<P[]>;
  /** Runs the self-test. @throws BundleError when an answer is another than that of the run */
  verify(options?: { signal?: AbortSignal | undefined }): Promise<SelfTestResult>;
  /** Fetches every file into the cache, for use without a network. @returns bytes that were fetched */
  fetchAll(options?: { signal?: AbortSignal | undefined }): Promise<number>;
  close(): Promise<void>;
}

/**
 * Opens a bundle that `hub-pathway export` wrote; its models are fetched when an image activates them.
 * @param place its address, or in Node also its folder
 * @example
 * const model = await openBundle("bundle", { ort });
 * const { label, pathway } = await model.predict(imageData);
 * @example
 * const model = await openBundle("bundle", { ort, task: "regression" });
 * const { values } = await model.predict(imageData);
 * @throws BundleError when there is no bundle, or one of another version, or its answers are others than the task's
 */
export async function openBundle<T extends Expected = "classification">(
  place: string | URL,
  options: OpenOptions<T>,
): Promise<BundleModel<PredictionOf<T>>> {
  return openSource(sourceAt(place), options);
}

export async function openSource<T extends Expected = "classification">(
  source: BundleSource,
  options: OpenOptions<T>,
): Promise<BundleModel<PredictionOf<T>>> {
  const { memoryBytes = 2 ** 28, ort, executionProviders, task, signal } = options;
  const files = await BundleFiles.open(source, signal);
  requireTask(files.bundle, source.where, task);
  return new LocalModel(files, { ort, memoryBytes, executionProviders }) as never;
}

/** @throws BundleError when a bundle's answers are others than those that are expected */
export function requireTask({ task }: Bundle, where: string, expected: Expected = "classification"): void {
  const { kind } = task ?? { kind: "classification" as const };
  if (expected === "any" || expected === kind) return;
  throw new BundleError(`${where} answers with ${answerWords[kind]}: open it with the task "${kind}"`);
}

class LocalModel implements BundleModel<AnyBundlePrediction> {
  readonly #files: BundleFiles;
  readonly #sessions: Sessions;
  /** Calls answer one after the other, so that each counts its own bytes and no session is closed under another. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(files: BundleFiles, options: SessionsOptions) {
    this.#files = files;
    this.#sessions = new Sessions(files, options);
  }

  get bundle(): Bundle {
    return this.#files.bundle;
  }

  async predict(image: ImageInput, options: PredictOptions = {}): Promise<AnyBundlePrediction> {
    const [prediction] = await this.predictAll([image], options);
    return prediction as AnyBundlePrediction;
  }

  predictAll(images: readonly ImageInput[], options: PredictOptions = {}): Promise<AnyBundlePrediction[]> {
    return this.#next(() => this.#predict(images, options));
  }

  verify({ signal }: { signal?: AbortSignal | undefined } = {}): Promise<SelfTestResult> {
    return this.#next(async () => {
      const test = await this.#files.read(this.bundle.selfTest.file, signal);
      return runSelfTest(this.bundle, test, this.#runner({ fetch: 0, open: 0 }, signal), this.#files.where);
    });
  }

  fetchAll({ signal }: { signal?: AbortSignal | undefined } = {}): Promise<number> {
    return this.#next(async () => {
      const before = this.#files.fetched;
      for (const name of filesToRun(this.bundle)) await this.#files.read(name, signal);
      return this.#files.fetched - before;
    });
  }

  close(): Promise<void> {
    return this.#next(() => this.#sessions.close());
  }

  #next<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work, work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #predict(images: readonly ImageInput[], options: PredictOptions): Promise<AnyBundlePrediction[]> {
    const { bundle } = this;
    const { signal } = options;
    const choice = chosenBy(choicesOf(bundle), options);
    const [started, before] = [performance.now(), this.#files.fetched];
    const { size } = bundle.images;
    const all = new Float32Array(images.length * 3 * size * size);
    for (const [i, image] of images.entries()) {
      signal?.throwIfAborted();
      all.set(await planesOf(image, size), i * 3 * size * size);
    }
    const prepared = performance.now();
    const times = { fetch: 0, open: 0 };
    const answers = await answer(bundle, all, images.length, this.#runner(times, signal), choice);
    const call = {
      bytesFetched: this.#files.fetched - before,
      milliseconds: {
        ...times,
        prepare: prepared - started,
        run: performance.now() - prepared - times.fetch - times.open,
      },
    };
    return images.map((_, row) => ({ ...predictionOf(bundle, answers, row, options.top ?? 5), ...call }));
  }

  #runner(times: OpeningTimes, signal: AbortSignal | undefined): RunFile {
    return (file, rows, n) => this.#sessions.run(file, rows, n, times, signal);
  }
}

/** Files without which some image has no answer. */
export function filesToRun({ router, members }: Bundle): string[] {
  return [...(router ? [router.file] : []), ...members.map(({ file }) => file)];
}

/** What a caller may choose from. */
export function choicesOf({ router, members, budgets, task }: Bundle): Choices {
  const costs = members.map(({ flops = Number.NaN }) => flops);
  const mean = costs.reduce((sum, flops) => sum + flops, 0) / costs.length;
  const byK = costs.map((_, i) => (router?.flops ?? Number.NaN) + (i + 1) * mean);
  const flops = byK.some(Number.isNaN) ? undefined : byK;
  const answers = task && answerWords[task.kind];
  return { largestK: members.length, isOrdered: router !== undefined, answers, budgets, flops };
}

/** Names of the models by their places among the weights; one that was not exported has a number. */
export function memberNames(bundle: Bundle): string[] {
  const names = Array.from({ length: placesOf(bundle) }, (_, index) => `#${index}`);
  for (const { name, index } of bundle.members) names[index] = name;
  return names;
}

function predictionOf(
  bundle: Bundle,
  { probabilities: all, weights }: { probabilities: Float32Array; weights: Float32Array },
  row: number,
  count: number,
) {
  const { labels, calibration, rejection, task } = bundle;
  const names = memberNames(bundle);
  const own = all.slice(row * labels.length, (row + 1) * labels.length);
  const probabilities = tempered(own, labels.length, calibration?.temperature);
  const answer = readAnswer(task, labels, probabilities, count);
  const pathway = pathwayOf(names, weights.subarray(row * names.length, (row + 1) * names.length));
  if ("values" in answer) return { ...answer, pathway };
  if ("labels" in answer) return { ...answer, probabilities, pathway };
  const rejected = rejection && isRejected(answer.probability, rejection.threshold);
  return { ...answer, probabilities, rejected, pathway };
}
