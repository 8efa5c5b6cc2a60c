/** A bundle that answers. */
import { answer, type RunFile } from "./answer.ts";
import { isRejected, tempered } from "./calibration.ts";
import { type Choices, chosenBy, type Wish } from "./choice.ts";
import { BundleFiles, type BundleSource, sourceAt } from "./files.ts";
import { type ImageInput, planesOf } from "./images.ts";
import { type Bundle, placesOf } from "./manifest.ts";
import { runSelfTest, type SelfTestResult } from "./self-test.ts";
import { type OnnxRuntime, type OpeningTimes, Sessions, type SessionsOptions } from "./sessions.ts";

export interface OpenOptions {
  /** onnxruntime-web or onnxruntime-node, as `import * as ort` gives it. */
  readonly ort: OnnxRuntime;
  /** Sum of the sizes of model files that stay open (default 256 MiB); those used longest ago are closed. */
  readonly memoryBytes?: number | undefined;
  /** Names of onnxruntime; by default WebGPU where there is one and wasm in browsers, the processor in Node. */
  readonly executionProviders?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface PredictOptions extends Wish {
  /** Activated models, from 1 to all (default: the bundle's); with a confidence, at most so many (default: all). */
  readonly k?: number | undefined;
  /** Probability of the answer at which no further model is asked, 0 … 1: one after the other, in the order of the scores. */
  readonly confidence?: number | undefined;
  /** Instead of k: FLOPs that an image may cost, on average. The most accurate choice within them that was measured answers. */
  readonly flops?: number | undefined;
  /** Number of classes in `top` (default 5). */
  readonly top?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ClassProbability {
  readonly label: string;
  /** 0 … 1. */
  readonly probability: number;
}

/** A model that ran on an image, and how much its answer counted (weights sum to 1). */
export interface PathwayPart {
  readonly member: string;
  readonly weight: number;
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

export interface BundlePrediction extends ClassProbability {
  /** The most probable classes, first the most probable. */
  readonly top: readonly ClassProbability[];
  /** Of all classes, in the order of `labels`. */
  readonly probabilities: Float32Array;
  /** True when the answer is less sure than the bundle asks for ("I don't know"); undefined for a bundle without a threshold. */
  readonly rejected: boolean | undefined;
  /** Models that were activated, by weight. */
  readonly pathway: readonly PathwayPart[];
  /** Bytes that came over the network for this call; not those from the cache. */
  readonly bytesFetched: number;
  /** Of the call, whatever the number of its images. */
  readonly milliseconds: StageTimes;
}

/** What a page needs of a bundle; a model in a worker has the same. */
export interface BundleModel {
  readonly bundle: Bundle;
  /** @throws BundleError for an image or a choice that cannot be, or a file that is missing or damaged */
  predict(image: ImageInput, options?: PredictOptions): Promise<BundlePrediction>;
  /** The router runs once on all images, each model once on those that activate it. */
  predictAll(images: readonly ImageInput[], options?: PredictOptions): Promise<BundlePrediction[]>;
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
 * @throws BundleError when there is no bundle, or one of another version
 */
export async function openBundle(place: string | URL, options: OpenOptions): Promise<BundleModel> {
  return openSource(sourceAt(place), options);
}

export async function openSource(source: BundleSource, options: OpenOptions): Promise<BundleModel> {
  const { memoryBytes = 2 ** 28, ort, executionProviders, signal } = options;
  const files = await BundleFiles.open(source, signal);
  return new LocalModel(files, { ort, memoryBytes, executionProviders });
}

class LocalModel implements BundleModel {
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

  async predict(image: ImageInput, options: PredictOptions = {}): Promise<BundlePrediction> {
    const [prediction] = await this.predictAll([image], options);
    return prediction as BundlePrediction;
  }

  predictAll(images: readonly ImageInput[], options: PredictOptions = {}): Promise<BundlePrediction[]> {
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

  async #predict(images: readonly ImageInput[], options: PredictOptions): Promise<BundlePrediction[]> {
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
export function choicesOf({ router, members, budgets }: Bundle): Choices {
  const costs = members.map(({ flops = Number.NaN }) => flops);
  const mean = costs.reduce((sum, flops) => sum + flops, 0) / costs.length;
  const byK = costs.map((_, i) => (router?.flops ?? Number.NaN) + (i + 1) * mean);
  const flops = byK.some(Number.isNaN) ? undefined : byK;
  return { largestK: members.length, isOrdered: router !== undefined, budgets, flops };
}

type Answered = Omit<BundlePrediction, "bytesFetched" | "milliseconds">;

function predictionOf(
  bundle: Bundle,
  { probabilities: all, weights }: { probabilities: Float32Array; weights: Float32Array },
  row: number,
  count: number,
): Answered {
  const { labels, members, calibration, rejection } = bundle;
  const m = placesOf(bundle);
  const own = all.slice(row * labels.length, (row + 1) * labels.length);
  const probabilities = tempered(own, labels.length, calibration?.temperature);
  const classes = labels.map((label, i) => ({ label, probability: probabilities[i] ?? 0 }));
  // Sorting keeps the order of equal ones.
  const top = classes.sort((a, b) => b.probability - a.probability).slice(0, Math.max(1, count));
  const pathway = members
    .map(({ name, index }) => ({ member: name, weight: weights[row * m + index] ?? 0 }))
    .filter(({ weight }) => weight > 0)
    .sort((a, b) => b.weight - a.weight);
  const best = top[0] as ClassProbability;
  const rejected = rejection && isRejected(best.probability, rejection.threshold);
  return { ...best, top, probabilities, rejected, pathway };
}
