/** Requests of runs on a small hub and drawings, as several tests begin with. */
import { join } from "node:path";
import { findMethod } from "../../src/methods/index.ts";
import { type ClassifierOutcome, defaultTrainOptions, type TrainRequest, trainRun } from "../../src/train/index.ts";

/** Folders of a test's hub, images and runs. */
export interface TestPlace {
  folder: string;
  hub: string;
  images: string;
}

/** A trained run whose images have one class each. */
export async function trainClassifier(request: TrainRequest): Promise<ClassifierOutcome> {
  const outcome = await trainRun(request);
  if (!outcome.calibration) throw new TypeError("images have other labels than one class each");
  return outcome;
}

/** Hub-Pathway for three epochs on 24 px images, with one seed for split, data and training. */
export function trainRequest({ folder, hub, images }: TestPlace, out: string): TrainRequest {
  return {
    method: findMethod("hub-pathway"),
    choices: { k: 2, generatorWidth: 4 },
    hub,
    data: {
      source: images,
      imageSize: 24,
      split: { validationFraction: 0.2, testFraction: 0.2 },
      augment: "standard",
      batchSize: 12,
      seed: 3,
    },
    options: { ...defaultTrainOptions, epochs: 3, batchSize: 12, seed: 3, lr: 2e-3 },
    out: join(folder, out),
    resume: false,
    emit: () => {},
  };
}
