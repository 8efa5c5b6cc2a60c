/** Batches of a run's images as the runtime takes them. */
import { scope } from "../../torch/index.ts";
import { type BatchSource, throwIfAborted } from "../../train/index.ts";

/**
 * Uses each batch, as [n, 3, S, S] in [0, 1].
 * @param step every so many batches are used
 * @throws Interrupted after the signal
 */
export async function forEachImages(
  batches: BatchSource,
  signal: AbortSignal | undefined,
  use: (images: Float32Array, n: number) => Promise<void>,
  step = 1,
): Promise<void> {
  let i = 0;
  for await (const batch of batches.epoch(0, 0)) {
    try {
      throwIfAborted(signal, "measuring the exported files");
      if (i++ % step !== 0) continue;
      const cpu = scope(() => batch.images.to({ dtype: "float32", device: "cpu" }).toTypedArray() as Float32Array);
      await use(cpu, batch.labels.length);
    } finally {
      batch.dispose();
    }
  }
}
