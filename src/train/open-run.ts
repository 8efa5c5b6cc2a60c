/** A finished run, opened to predict: its folder is all that is needed. */
import { tmpdir } from "node:os";
import { Residency } from "../hub/index.ts";
import { sweepTemporaries, temporaryPath } from "../io/index.ts";
import { ConfigError, UserError } from "../torch/index.ts";
import { type KeptSource, loadModel } from "./kept-model.ts";
import type { Predictor } from "./learner.ts";
import type { RunConfig } from "./run-config.ts";
import { RunFolder } from "./run-folder.ts";

export interface OpenRunOptions {
  /** Bytes that the members' weights may hold in memory; all of them when left out. */
  hubMemory?: number | undefined;
  /** Load TorchScript members too, which are programs. */
  trust?: boolean | undefined;
  /** Where it computes (default "cpu"). */
  device?: string | undefined;
  /** Activated models for each image, where another number than in training is wanted. */
  k?: number | undefined;
  /** The largest k whose mean cost of an image is within so many FLOPs. */
  flops?: number | undefined;
}

export interface OpenedRun {
  folder: RunFolder;
  config: RunConfig;
  predictor: Predictor;
  dispose(): void;
}

/** Puts a stored predictor together: methods know how. */
export type Restore = (source: KeptSource, imageSize: number) => Predictor;

/**
 * Loads what predicts of a finished run.
 * @throws UserError when there is none, or it is unfinished or damaged; ConfigError for a k or FLOPs that it cannot have
 */
export function openRun(path: string, restore: Restore, options: OpenRunOptions = {}): OpenedRun {
  const { device, trust, hubMemory } = options;
  refuseMemoryOn(device, hubMemory);
  const folder = new RunFolder(path);
  const config = folder.config();
  if (!folder.isFinished) {
    throw new UserError(`${path} is not finished: continue it with \`hub-pathway train --resume ${path}\``);
  }
  // What a killed process spilled is nobody's.
  if (hubMemory !== undefined) sweepTemporaries(tmpdir());
  const residency =
    hubMemory === undefined
      ? undefined
      : new Residency({ budget: hubMemory, folder: temporaryPath(tmpdir(), "members") });
  let predictor: Predictor | undefined;
  const dispose = () => {
    predictor?.dispose();
    residency?.dispose();
  };
  try {
    const { imageSize } = config.data.form;
    predictor = loadModel(folder.file("model"), (source) => restore(source, imageSize), { device, trust, residency });
    choose(predictor, config.method, options);
    return { folder, config, predictor, dispose };
  } catch (error) {
    dispose();
    throw error;
  }
}

/** @throws ConfigError where the weights that are to be limited are not in main memory */
export function refuseMemoryOn(device: string | undefined, hubMemory: number | undefined): void {
  if (hubMemory === undefined || device === undefined || device === "cpu") return;
  throw new ConfigError(`--hub-memory limits main memory, and the run computes on ${device}: leave one of them out`);
}

function choose(predictor: Predictor, method: string, { k, flops }: OpenRunOptions): void {
  if (k === undefined && flops === undefined) return;
  if (k !== undefined && flops !== undefined) {
    throw new ConfigError("--k and --flops both choose the number of activated models: leave one of them out");
  }
  const { largestK } = predictor;
  if (largestK === undefined) throw new ConfigError(`the method ${method} has no k to choose`);
  if (k !== undefined) setK(predictor, k, largestK);
  if (flops !== undefined) setBudget(predictor, flops, largestK);
}

function setK(predictor: Predictor, k: number, largest: number): void {
  if (!Number.isInteger(k) || k < 1 || k > largest) {
    const dropped = predictor.memberNames.length - largest;
    const why = dropped > 0 ? ` (the run kept ${largest} members: ${dropped} were never activated)` : "";
    throw new ConfigError(`k is ${k}: it must be a whole number from 1 to ${largest}${why}`);
  }
  predictor.k = k;
}

function setBudget(predictor: Predictor, flops: number, largest: number): void {
  for (let k = largest; k >= 1; k--) {
    predictor.k = k;
    if (predictor.inferenceFlops <= flops) return;
  }
  const least = Math.ceil(predictor.inferenceFlops);
  throw new ConfigError(
    `--flops is ${flops}: even one model costs ${least} FLOPs for an image; give at least --flops ${least}`,
  );
}
