/** A finished run as something that labels images. */
import { decodeImage, defaultPixelLimit, forEachConcurrently, type ImageSource, type TaskKind } from "../data/index.ts";
import type { InferenceMode } from "../methods/catalog.ts";
import { ModePredictor, refuseRouteWishes, restorePredictor, withMode } from "../methods/index.ts";
import { FoldedNorms } from "../nn/index.ts";
import {
  answerWords,
  type ClassAnswer,
  isRejected,
  type LabelsAnswer,
  type NumbersAnswer,
  type PathwayPart,
  pathwayOf,
  readAnswer,
  tempered,
} from "../runtime/index.ts";
import { ConfigError, findDevice, inferenceMode, scope, tensor, UserError } from "../torch/index.ts";
import { type OpenedRun, type OpenRunOptions, openRun, type Prediction, requireK, storedTask } from "../train/index.ts";

/** How a run is opened to predict. */
export interface PredictorOptions extends OpenRunOptions {
  /**
   * Rules by which members answer in place of the run's routes (default "routes"). Their setting is chosen on the run's validation
   * images, which all members answer first; `flops` bounds its mean cost.
   */
  mode?: InferenceMode | undefined;
  /** Where these images are now, when not where the run was trained. */
  data?: string | undefined;
  /** Stops the choice of a setting. */
  signal?: AbortSignal | undefined;
}

/** A path, or the bytes of an encoded image (PNG, JPEG, WebP, GIF, AVIF, BMP, TIFF, SVG). */
export type ImageInput = string | Uint8Array;

export interface PredictOptions {
  /** Activated models for each image (default: as the run was trained or opened). */
  k?: number | undefined;
  /** Number of classes in `top` (default 1). */
  top?: number | undefined;
}

/** What there is of an answer beside itself. */
interface Answered {
  /** Models that were activated, by weight. */
  pathway: PathwayPart[];
}

export interface ImagePrediction extends ClassAnswer, Answered {
  /** True for "I don't know": less probable than the threshold. Present where one was asked for. */
  rejected?: boolean | undefined;
}

/** Answer of a run whose images have several labels. */
export interface LabelsPrediction extends LabelsAnswer, Answered {}

/** Answer of a run whose images have numbers. */
export interface NumbersPrediction extends NumbersAnswer, Answered {}

export type AnyPrediction = ImagePrediction | LabelsPrediction | NumbersPrediction;

/** Outcome of one image of many. */
export type PredictionOutcome<T, P extends AnyPrediction = ImagePrediction> = { image: T } & (
  | { prediction: P }
  | { error: Error }
);

/** Images that are decoded and predicted together; memory holds no more. */
const batchSize = 32;

/**
 * Labels images with a finished run; the run's folder is all that it needs. Dispose it, or declare it with `using`.
 *
 * @example
 * using predictor = await Predictor.open("runs/photos-1");
 * const { label, probability } = await predictor.predict("cat.jpg");
 * @example
 * using predictor = await Predictor.open("runs/photos-1", { coverage: 0.9 });
 * const { label, rejected } = await predictor.predict("cat.jpg");
 * @example
 * using predictor = await Predictor.open("runs/ages-1", { task: "regression" });
 * const { values } = await predictor.predict("cat.jpg");
 */
export class Predictor<P extends AnyPrediction = ImagePrediction> implements Disposable {
  readonly #run: OpenedRun;
  readonly #device: string | undefined;
  readonly #folds = new FoldedNorms();

  private constructor(run: OpenedRun, device: string | undefined) {
    this.#run = run;
    this.#device = device;
  }

  /**
   * @throws UserError when the folder holds no finished run, is damaged, or answers otherwise than the task; ConfigError for a k or a
   * threshold that the run cannot have
   */
  static open(run: string, options: PredictorOptions & { task: "multi-label" }): Promise<Predictor<LabelsPrediction>>;
  static open(run: string, options: PredictorOptions & { task: "regression" }): Promise<Predictor<NumbersPrediction>>;
  static open(run: string, options?: PredictorOptions & { task?: "classification" | undefined }): Promise<Predictor>;
  static async open(
    run: string,
    { task = "classification", ...options }: PredictorOptions & { task?: TaskKind | undefined } = {},
  ): Promise<Predictor<AnyPrediction>> {
    const predictor = await Predictor.openAny(run, options);
    const { kind } = predictor;
    if (kind === task) return predictor;
    predictor.dispose();
    throw new UserError(`${run} answers with ${answerWords[kind]}: open it with the task ${kind}`);
  }

  /** The same, whatever the run's answers are. */
  static async openAny(
    run: string,
    { mode = "routes", data, signal, ...options }: PredictorOptions = {},
  ): Promise<Predictor<AnyPrediction>> {
    const device = options.device === undefined ? undefined : findDevice(options.device);
    if (mode === "routes" && data !== undefined)
      throw new ConfigError("--data says where --mode finds the run's validation images: name a mode, or leave it out");
    if (mode === "routes")
      return new Predictor<AnyPrediction>(openRun(run, restorePredictor, { ...options, device }), device);
    refuseRouteWishes(mode, options);
    // The run is opened without a budget for its routes.
    const { flops, ...rest } = options;
    const opened = openRun(run, restorePredictor, { ...rest, device });
    try {
      return new Predictor<AnyPrediction>(await withMode(opened, { mode, flops, data, device }, { signal }), device);
    } catch (error) {
      opened.dispose();
      throw error;
    }
  }

  /** What its answers are. */
  get kind(): TaskKind {
    return this.#run.task.kind;
  }

  /** Names of the classes, or of the numbers, as trained. */
  get classes(): readonly string[] {
    return this.#run.config.classes;
  }

  /** Probability below which answers are rejected, where a coverage or a largest error was asked for. */
  get threshold(): number | undefined {
    return this.#run.rejection?.threshold;
  }

  /** Setting of a mode other than the run's routes, and the FLOPs that it takes of an image on average. */
  get setting(): { name: string; flops: number } | undefined {
    const { predictor } = this.#run;
    return predictor instanceof ModePredictor
      ? { name: predictor.setting, flops: predictor.inferenceFlops }
      : undefined;
  }

  /** Names of the models that it chooses from. */
  get members(): readonly string[] {
    return this.#run.predictor.memberNames;
  }

  /** Side of the square that images are brought to, pixels. */
  get imageSize(): number {
    return this.#run.config.data.form.imageSize;
  }

  predict(image: ImageInput, options?: PredictOptions): Promise<P>;
  predict(images: readonly ImageInput[], options?: PredictOptions): Promise<P[]>;
  /** @throws UserError naming the first image that cannot be read */
  async predict(images: ImageInput | readonly ImageInput[], options: PredictOptions = {}): Promise<P | P[]> {
    const isOne = typeof images === "string" || images instanceof Uint8Array;
    const predictions: P[] = [];
    for await (const outcome of this.predictEach(isOne ? [images] : images, options)) {
      if ("error" in outcome) throw outcome.error;
      predictions.push(outcome.prediction);
    }
    return isOne ? (predictions[0] as P) : predictions;
  }

  /** One outcome for each image, in order: a prediction, or why there is none. Memory holds 32 images at a time. */
  async *predictEach<T extends ImageInput>(
    images: Iterable<T> | AsyncIterable<T>,
    options: PredictOptions = {},
  ): AsyncGenerator<PredictionOutcome<T, P>> {
    this.#check(options);
    let batch: T[] = [];
    for await (const image of images) {
      batch.push(image);
      if (batch.length < batchSize) continue;
      yield* await this.#predictBatch(batch, options);
      batch = [];
    }
    if (batch.length > 0) yield* await this.#predictBatch(batch, options);
  }

  dispose(): void {
    this.#folds.dispose();
    this.#run.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #check({ k, top = 1 }: PredictOptions): void {
    if (!Number.isInteger(top) || top < 1)
      throw new ConfigError(`top is ${top}: it must be a whole number of at least 1`);
    if (k !== undefined) requireK(this.#run.predictor, k);
  }

  async #predictBatch<T extends ImageInput>(
    images: readonly T[],
    options: PredictOptions,
  ): Promise<PredictionOutcome<T, P>[]> {
    const decoded = await this.#decode(images);
    const readable = decoded.filter((one) => one instanceof Uint8Array);
    const predictions = readable.length === 0 ? [] : this.#predictPixels(readable, options);
    let next = 0;
    return images.map((image, i): PredictionOutcome<T, P> => {
      const one = decoded[i];
      return one instanceof Error ? { image, error: one } : { image, prediction: predictions[next++] as P };
    });
  }

  /** Bytes [S, S, 3] of each image, or the error. */
  async #decode(images: readonly ImageInput[]): Promise<(Uint8Array | Error)[]> {
    const results: (Uint8Array | Error)[] = [];
    const { imageSize: size, fit } = this.#run.config.data.form;
    const options = { size, channels: 3, pixelLimit: defaultPixelLimit, fit } as const;
    await forEachConcurrently(images, async (image, i) => {
      const source: ImageSource =
        typeof image === "string" ? { kind: "file", path: image } : { kind: "bytes", bytes: image };
      const id = typeof image === "string" ? image : "the image";
      results[i] = await decodeImage({ id, label: -1, source }, options).catch((error: unknown) =>
        error instanceof Error ? error : new Error(String(error)),
      );
    });
    return results;
  }

  #predictPixels(pixels: readonly Uint8Array[], { k, top = 1 }: PredictOptions): P[] {
    const { predictor } = this.#run;
    const variant = k === undefined ? {} : { k };
    return scope(() =>
      inferenceMode(() => {
        const prediction = this.#folds.run(() => predictor.predict(this.#batch(pixels), undefined, variant));
        return this.#answers(prediction, pixels.length, top);
      }),
    );
  }

  /** [n, 3, S, S] in [0, 1]. */
  #batch(pixels: readonly Uint8Array[]): Prediction["probabilities"] {
    const size = this.imageSize;
    const all = new Uint8Array(pixels.length * size * size * 3);
    for (const [i, one] of pixels.entries()) all.set(one, i * one.length);
    return tensor(all, { shape: [pixels.length, size, size, 3] })
      .permute([0, 3, 1, 2])
      .to({ dtype: "float32" })
      .mul(1 / 255)
      .contiguous()
      .to({ device: this.#device });
  }

  #answers({ probabilities, weights }: Prediction, count: number, top: number): P[] {
    const [classes, members] = [this.classes.length, this.members.length];
    const { calibration } = this.#run;
    const raw = probabilities.to({ dtype: "float32" }).toTypedArray() as Float32Array;
    const table = [...tempered(raw, classes, calibration?.temperature)];
    const used = weights?.toNumbers();
    return Array.from({ length: count }, (_, i) => {
      const row = used?.slice(i * members, (i + 1) * members) ?? this.members.map(() => 1 / members);
      // The run's kind of task is the type's: `open` has checked it.
      return this.#answer(table.slice(i * classes, (i + 1) * classes), top, pathwayOf(this.members, row)) as P;
    });
  }

  #answer(values: readonly number[], top: number, pathway: PathwayPart[]): AnyPrediction {
    const { threshold, classes } = this;
    const answer = readAnswer(storedTask(this.#run.task), classes, values, top);
    const mark =
      threshold === undefined || !("label" in answer) ? {} : { rejected: isRejected(answer.probability, threshold) };
    return { ...answer, pathway, ...mark };
  }
}
