/** Training in one call, with everything but the images defaulted. */
import { existsSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { type DuplicatesPolicy, listEnding, shardEnding, type TaskKind } from "../data/index.ts";
import { type Hub, largestInput, openHub, starterHub } from "../hub/index.ts";
import { findMethod } from "../methods/index.ts";
import { findDevice, setNumThreads } from "../torch/index.ts";
import {
  type Choices,
  type DataRequest,
  defaultTrainOptions,
  type EvaluationSummary,
  type Method,
  type MultiLabelSummary,
  type RegressionSummary,
  type RequestedOptions,
  type RunEvent,
  type TargetSummary,
  type TrainOptions,
  trainRun,
} from "../train/index.ts";

export interface TrainSettings {
  /** What the labels are (default: one class of each image); a list says it by its columns, and it has to be named here too. */
  task?: TaskKind | undefined;
  /** Folder with a sub-folder for each class, a file that lists images, the name of a known data set, or NAME:FOLDER. */
  images: string;
  /** Folder of the hub (default: the starter hub). */
  hub?: string | undefined;
  /** Folder of the run, made anew (default: runs/NAME-1, or the next free number). */
  out?: string | undefined;
  /** The method to train, or its name (default "hub-pathway"). */
  method?: string | Method | undefined;
  /** Activated models for each image. */
  k?: number | undefined;
  /** Further choices of the method, by name. */
  choices?: Choices | undefined;
  /** Passes through the training images (default: by the number of images and models). */
  epochs?: number | undefined;
  /** Further options of the training. */
  options?: Partial<TrainOptions> | undefined;
  /** What is trained of the members: "head", "bitfit", "ssf", "lora:8", "last:2" or "all" (default), or "NAME=lora,all". */
  tune?: string | undefined;
  /** Side of the images, pixels (default: the largest that a member takes). */
  imageSize?: number | undefined;
  /** Parts of each class for choosing and for the final figure (default 0.2 each), where the folder has no split. */
  validationFraction?: number | undefined;
  testFraction?: number | undefined;
  /** Copies of one image: on one side of each split ("group", default), or as if they were different images ("keep"). */
  duplicates?: DuplicatesPolicy | undefined;
  /** Leave unreadable images out instead of stopping (default false). */
  skipBad?: boolean | undefined;
  /** Decides split, order, augmentation and new weights (default 0). */
  seed?: number | undefined;
  /** Threads inside one operator. */
  threads?: number | undefined;
  /** "cpu" (default), "cuda" or "cuda:N". */
  device?: string | undefined;
  /** Stops the training after the step in progress; everything is saved. */
  signal?: AbortSignal | undefined;
  onEvent?: ((event: RunEvent) => void) | undefined;
}

/** A run that is trained. */
export interface TrainedRun<S extends EvaluationSummary | TargetSummary = EvaluationSummary> {
  /** Folder of the run, for `Predictor.open`. */
  path: string;
  /** Figures on the validation split. */
  validation: S;
  seconds: number;
  trainingFlops: number;
}

/**
 * Trains on a folder of labelled images and leaves a run that predicts.
 * @throws UserError for images, hub or folders that cannot be used; ConfigError for settings; Interrupted after the signal
 *
 * @example
 * const run = await train({ images: "./photos", k: 2 });
 * @example
 * const { validation } = await train({ images: "ages.csv", task: "regression" });
 */
export async function train(settings: TrainSettings & { task: "multi-label" }): Promise<TrainedRun<MultiLabelSummary>>;
export async function train(settings: TrainSettings & { task: "regression" }): Promise<TrainedRun<RegressionSummary>>;
export async function train(settings: TrainSettings & { task?: "classification" | undefined }): Promise<TrainedRun>;
export async function train(settings: TrainSettings): Promise<TrainedRun<EvaluationSummary | TargetSummary>> {
  const { method = "hub-pathway", signal, onEvent, threads, device, k } = settings;
  if (threads !== undefined) setNumThreads(threads);
  const hub = settings.hub ?? starterHub;
  const out = settings.out ?? freeRunFolder(settings.images);
  const outcome = await trainRun({
    method: typeof method === "string" ? findMethod(method) : method,
    choices: { ...settings.choices, ...(k === undefined ? {} : { k }) },
    hub,
    data: dataOf(settings, openHub(hub)),
    options: optionsOf(settings),
    out,
    resume: false,
    emit: (event) => onEvent?.(event),
    signal,
    device: device === undefined ? undefined : findDevice(device),
  });
  const { predictor, data, summary, seconds, trainingFlops } = outcome;
  predictor.dispose();
  data.dispose();
  return { path: out, validation: summary, seconds, trainingFlops };
}

function optionsOf({ options, epochs, tune, seed }: TrainSettings): RequestedOptions {
  const { epochs: _epochs, generatorFactor: _factor, ...others } = defaultTrainOptions;
  return {
    ...others,
    ...options,
    ...(epochs === undefined ? {} : { epochs }),
    ...(tune === undefined ? {} : { tune }),
    ...(seed === undefined ? {} : { seed }),
  };
}

function dataOf(settings: TrainSettings, hub: Hub): DataRequest {
  const { batchSize, seed } = optionsOf(settings);
  const { task = "classification" } = settings;
  const { images, imageSize, skipBad = false, duplicates, validationFraction = 0.2, testFraction = 0.2 } = settings;
  return {
    ...(settings.task && { task }),
    takes: { who: `train with the task ${task}`, kinds: [task] },
    source: images,
    imageSize: imageSize ?? largestInput(hub.manifest),
    split: { validationFraction, testFraction },
    augment: "standard",
    batchSize,
    seed,
    skipBad,
    duplicates,
  };
}

/** RUNS/NAME-1 after the images' folder, or the next number that is free. */
export function freeRunFolder(images: string, runs = "runs"): string {
  const letters = basename(resolve(images))
    .replace(listEnding, "")
    .replace(shardEnding, "")
    .replaceAll(/[^\p{L}\p{N}._]+/gu, "-");
  const name = letters.replaceAll(/^[-.]+|[-.]+$/g, "") || "run";
  for (let number = 1; ; number++) {
    const folder = join(runs, `${name}-${number}`);
    if (!existsSync(folder)) return folder;
  }
}
