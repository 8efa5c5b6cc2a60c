/** Ranges of a model's values on training images, as onnxruntime computes them. */
import type { OnnxRuntime } from "../../runtime/index.ts";
import { UserError } from "../../torch/index.ts";
import { type BatchSource, type OpenedRun, openRunData, type RunData } from "../../train/index.ts";
import { Quantiser, type Ranges } from "../precision/int8.ts";
import { forEachImages } from "./images.ts";

/** Training images without which ranges are not believed. */
const leastImages = 128;
/** Batches of 64 images that are read at most, spread over all classes. */
const mostBatches = 16;

/** The run's training images. @throws UserError when there are too few of them */
export async function trainingImages({ folder, config }: OpenedRun, data: string | undefined): Promise<RunData> {
  const images = await openRunData(folder, config, { split: "train", data }).catch((error: unknown) => {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(`--precision int8 needs the run's training images: ${error.message}`, { cause: error });
  });
  let count = 0;
  try {
    for await (const batch of images.batches.epoch(0, 0)) {
      count += batch.labels.length;
      batch.dispose();
      if (count >= leastImages) return images;
    }
  } catch (error) {
    images.dispose();
    throw error;
  }
  images.dispose();
  throw new UserError(
    `--precision int8 takes ranges from at least ${leastImages} training images, and there are ${count}: use float16`,
  );
}

/** The model with integer products. */
export async function calibrated(
  bytes: Uint8Array,
  size: number,
  ort: OnnxRuntime,
  batches: BatchSource,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const quantiser = new Quantiser(bytes);
  const session = await ort.InferenceSession.create(quantiser.observed(bytes), { logSeverityLevel: 3 });
  const ranges = new Map<string, [number, number]>();
  const step = Math.ceil(batches.stepsPerEpoch / mostBatches);
  try {
    await forEachImages(
      batches,
      signal,
      async (images, n) => {
        const results = await session.run({ images: new ort.Tensor("float32", images, [n, 3, size, size]) });
        const at = (name: string): number => (results[name] as { data: Float32Array }).data[0] ?? Number.NaN;
        for (const name of quantiser.values) {
          const [low, high] = ranges.get(name) ?? [0, 0];
          ranges.set(name, [Math.min(low, at(`min ${name}`)), Math.max(high, at(`max ${name}`))]);
        }
      },
      step,
    );
  } finally {
    await session.release();
  }
  return quantiser.quantised(ranges satisfies Ranges);
}
