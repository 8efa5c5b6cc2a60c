/** A finished run under a mode of inference: what does not go with one, and the images that its settings are chosen on. */
import { ConfigError } from "../../torch/index.ts";
import {
  type EvaluationOptions,
  type OpenedRun,
  type OpenRunOptions,
  openRunData,
  type RunData,
  type RunDataRequest,
} from "../../train/index.ts";
import type { InferenceMode } from "../catalog.ts";
import { ModePredictor } from "./mode-predictor.ts";
import type { ModeRequest } from "./modes.ts";

/** Wishes about a run's routes, and what is measured with them. */
const ofRoutes = {
  ...{ k: "k", confidence: "confidence", ms: "ms", models: "models" },
  ...{ coverage: "coverage", maxError: "max-error" },
} as const;

/** @throws ConfigError for a mode beside a wish about the run's routes */
export function refuseRouteWishes(mode: InferenceMode, wishes: Pick<OpenRunOptions, keyof typeof ofRoutes>): void {
  if (mode === "routes") return;
  for (const [key, flag] of Object.entries(ofRoutes)) {
    if (wishes[key as keyof typeof ofRoutes] === undefined) continue;
    throw new ConfigError(`--mode ${mode} does not use the run's routes: leave out --${flag}`);
  }
}

type Where = Pick<RunDataRequest, "data" | "device" | "onProgress">;

/** The run's own validation images: where it is told that its images are, or where they were. */
export async function validationImages({ folder, config }: OpenedRun, { data, ...rest }: Where): Promise<RunData> {
  const there = await openRunData(folder, config, { ...rest, split: "validation", data });
  if (there.isRecorded || data === undefined) return there;
  there.dispose();
  return openRunData(folder, config, { ...rest, split: "validation" });
}

/** @throws ConfigError for a run whose images have not one class each */
export function requireMode({ config }: Pick<OpenedRun, "config">, mode: InferenceMode): void {
  if (!config.task) return;
  throw new ConfigError(
    `--mode ${mode} asks how sure one class of an image is, and this run has other labels: leave it out`,
  );
}

/**
 * An opened run that answers by a mode, with the best setting on its validation images. Disposing it disposes the given one.
 * @throws UserError when these images are not there; ConfigError for a run or FLOPs that the mode cannot have
 */
export async function withMode(
  run: OpenedRun,
  { mode, flops, ...where }: Pick<ModeRequest, "mode" | "flops"> & Where,
  options: EvaluationOptions = {},
): Promise<OpenedRun & { predictor: ModePredictor }> {
  requireMode(run, mode);
  const images = await validationImages(run, where);
  try {
    const request = { mode, flops, known: images.batches, classes: run.config.classes.length };
    const predictor = await ModePredictor.open(run.predictor, request, options);
    // Temperature and thresholds are those of the run's own answers.
    return { ...run, predictor, calibration: undefined, isOwnChoice: false };
  } finally {
    images.dispose();
  }
}
