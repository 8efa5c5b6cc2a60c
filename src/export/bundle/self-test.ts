/** Images with the answers that a bundle must give, which travel with it. n images, m models, C classes, S pixels a side. */
import { writeSafetensors } from "../../io/index.ts";
import { answer, type Bundle, type RunFile } from "../../runtime/index.ts";
import { Generator, inferenceMode, keep, ops, rand, scope, type Tensor, tensor } from "../../torch/index.ts";
import type { Predictor } from "../../train/index.ts";

export const selfTestFile = "selftest/selftest.safetensors";
export const selfTestImages = 16;

/**
 * Writes soft patches of colour, the same for every run, with scores, routes and probabilities. They are nobody's images, so
 * that a bundle can be given to anyone.
 */
export function writeSelfTest(path: string, predictor: Predictor, size: number, k: number): void {
  using images = patches(size);
  scope(() => {
    const { probabilities, scores, weights } = inferenceMode(() => predictor.predict(unit(images), undefined, { k }));
    write(path, k, { images, probabilities: probabilities.to({ dtype: "float32" }), scores, weights });
  });
}

/** Replaces the run's answers by the files' own, which are rounded otherwise. */
export async function rewriteSelfTest(path: string, bundle: Bundle, run: RunFile): Promise<void> {
  const n = selfTestImages;
  const images = patches(bundle.images.size);
  try {
    const floats = scope(() => unit(images).toTypedArray() as Float32Array);
    const { probabilities, scores, weights } = await answer(bundle, floats, n, run, { k: bundle.k });
    scope(() => {
      const rows = (values: Float32Array): Tensor => tensor(values, { shape: [n, values.length / n] });
      const routed = scores ? { scores: rows(scores), weights: rows(weights) } : {};
      write(path, bundle.k, { images, probabilities: rows(probabilities), ...routed });
    });
  } finally {
    images.dispose();
  }
}

/** [16, 3, S, S] bytes. */
function patches(size: number): Tensor {
  using generator = new Generator(16);
  return scope(() => {
    const colours = rand([selfTestImages, 3, 4, 4], { generator });
    return keep(ops.round(ops.upsample_bilinear2d(colours, [size, size], false).mul(255)).to({ dtype: "uint8" }));
  });
}

interface Stored {
  readonly images: Tensor;
  readonly probabilities: Tensor;
  readonly scores?: Tensor | undefined;
  readonly weights?: Tensor | undefined;
}

function write(path: string, k: number, { images, probabilities, scores, weights }: Stored): void {
  const tensors: [string, Tensor][] = [
    ["images", images],
    ["probabilities", probabilities],
  ];
  if (scores) tensors.push(["scores", scores]);
  if (weights) tensors.push(["weights", weights], ["routes", weights.topk(k, 1)[1]]);
  writeSafetensors(path, new Map(tensors));
}

function unit(images: Tensor): Tensor {
  return images.to({ dtype: "float32" }).mul(1 / 255);
}
