/** Calibration of runs whose folders do not have it: older ones, and runs that answer with other models than their own choice. */
import { join } from "node:path";
import { acquireLock } from "../io/index.ts";
import { UserError } from "../torch/index.ts";
import { calibrate } from "./calibration.ts";
import { evaluate } from "./evaluate.ts";
import { storeCalibration } from "./kept-model.ts";
import type { EvaluationOptions } from "./learner.ts";
import type { OpenedRun } from "./open-run.ts";
import { openRunData, type RunDataRequest } from "./run-data.ts";
import { type Calibration, chooseThreshold, type RejectionRule } from "./selective.ts";

export interface RejectionRequest extends EvaluationOptions, RejectionRule, Pick<RunDataRequest, "data" | "device"> {
  /** Takes what kept a measured calibration from being stored. */
  onUnstored: (error: unknown) => void;
}

/**
 * A run with its calibration and the threshold of a wish. What its folder lacks is measured on its validation images, and stored
 * where it holds for the run's own choice of models.
 * @throws UserError when these images are not there; ConfigError for a wish that cannot be had; Interrupted after the signal
 */
export async function withRejection(run: OpenedRun, request: RejectionRequest): Promise<OpenedRun> {
  const calibration = run.isOwnChoice && run.calibration ? run.calibration : await measured(run, request);
  return { ...run, calibration, rejection: chooseThreshold(calibration, request) };
}

async function measured(run: OpenedRun, request: RejectionRequest): Promise<Calibration> {
  const { folder, config, predictor, isOwnChoice } = run;
  const { data, device, signal, onProgress, onUnstored } = request;
  const images = await openRunData(folder, config, { split: "validation", data, device });
  try {
    if (images.ownImages === "none") {
      throw new UserError(
        `thresholds are chosen on the validation images of ${folder.path}, and ${images.name} has none of them: ` +
          "leave out --coverage and --max-error, or name where they are with --data",
      );
    }
    const classes = config.classes.length;
    const calibration = calibrate(await evaluate(predictor, images.batches, classes, { signal, onProgress }));
    if (isOwnChoice && images.ownImages === "all") store(run, calibration, onUnstored);
    return calibration;
  } finally {
    images.dispose();
  }
}

function store({ folder }: OpenedRun, calibration: Calibration, onUnstored: RejectionRequest["onUnstored"]): void {
  try {
    using _lock = acquireLock(join(folder.path, ".lock"), "hub-pathway eval");
    storeCalibration(folder.file("model"), calibration);
  } catch (error) {
    onUnstored(error);
  }
}
