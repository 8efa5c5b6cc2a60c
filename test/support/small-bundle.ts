/** A small run over drawn shapes, and its bundle. */
import { join } from "node:path";
import { type Bundle, type BundleOptions, writeBundle } from "../../src/export/index.ts";
import { restorePredictor } from "../../src/methods/index.ts";
import { openRun, type TrainRequest, trainRun } from "../../src/train/index.ts";
import { writeShapeImages, writeSmallHub } from "./small-hub.ts";
import { trainRequest } from "./train-request.ts";

/** Writes `hub` and `images` into a folder. */
export async function writeSmallTask(folder: string, perClass = 8): Promise<void> {
  writeSmallHub(folder);
  await writeShapeImages(folder, perClass);
}

/** Trains a run for one epoch, or as the change says. */
export async function trainedRun(
  folder: string,
  out: string,
  change: (request: TrainRequest) => Partial<TrainRequest> = () => ({}),
): Promise<void> {
  const request = trainRequest({ folder, hub: join(folder, "hub"), images: join(folder, "images") }, out);
  const one = { ...request, options: { ...request.options, epochs: 1 } };
  const { predictor, data } = await trainRun({ ...one, ...change(one) });
  predictor.dispose();
  data.dispose();
}

export async function exportedBundle(
  folder: string,
  run: string,
  out: string,
  k?: number,
  options: BundleOptions = {},
): Promise<Bundle> {
  const opened = openRun(join(folder, run), restorePredictor, { k });
  try {
    return await writeBundle(opened, join(folder, out), options);
  } finally {
    opened.dispose();
  }
}
