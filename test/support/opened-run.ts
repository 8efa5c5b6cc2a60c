/** A finished run opened as `eval` opens it. */
import { restorePredictor } from "../../src/methods/index.ts";
import {
  type Evaluation,
  evaluate,
  type OpenedRun,
  type OpenRunOptions,
  openRun,
  openRunData,
  type RunDataRequest,
} from "../../src/train/index.ts";

/** Opens a run and measures it on its own images; the caller disposes what is returned. */
export async function measured(
  path: string,
  options: OpenRunOptions & Partial<RunDataRequest> = {},
): Promise<OpenedRun & { evaluation: Evaluation; remarks: string[] }> {
  const run = openRun(path, restorePredictor, options);
  try {
    const { split = "validation", data, device } = options;
    const images = await openRunData(run.folder, run.config, { split, data, device });
    try {
      const evaluation = await evaluate(run.predictor, images.batches, run.config.classes.length);
      return { ...run, evaluation, remarks: images.remarks };
    } finally {
      images.dispose();
    }
  } catch (error) {
    run.dispose();
    throw error;
  }
}
