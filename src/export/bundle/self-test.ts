/** Images with the answers that a bundle must give, which travel with it. n images, m models, C classes, S pixels a side. */
import { writeSafetensors } from "../../io/index.ts";
import { Generator, inferenceMode, ops, rand, scope, type Tensor } from "../../torch/index.ts";
import type { Predictor } from "../../train/index.ts";

export const selfTestFile = "selftest/selftest.safetensors";
export const selfTestImages = 16;

/**
 * Writes soft patches of colour, the same for every run, with the predictor's scores, routes and probabilities. They are nobody's
 * images, so that a bundle can be given to anyone.
 */
export function writeSelfTest(path: string, predictor: Predictor, size: number, k: number): void {
  using generator = new Generator(16);
  scope(() => {
    const patches = ops.upsample_bilinear2d(rand([selfTestImages, 3, 4, 4], { generator }), [size, size], false);
    const images = ops.round(patches.mul(255)).to({ dtype: "uint8" });
    const { probabilities, scores, weights } = inferenceMode(() => predictor.predict(unit(images)));
    const tensors: [string, Tensor][] = [
      ["images", images],
      ["probabilities", probabilities],
    ];
    if (scores) tensors.push(["scores", scores]);
    if (weights) tensors.push(["weights", weights], ["routes", weights.topk(k, 1)[1]]);
    writeSafetensors(path, new Map(tensors));
  });
}

function unit(images: Tensor): Tensor {
  return images.to({ dtype: "float32" }).mul(1 / 255);
}
