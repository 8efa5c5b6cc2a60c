/** The BatchNorm policy of fine-tuned members. It moves accuracy more than routing does, so every method shares it. */
import { BatchNorm2d, type Module } from "../nn/index.ts";

/**
 * `batch`: the rows that chose a member are its batch (running statistics below the layer's minimum of rows). `frozen`:
 * running statistics from pre-training, affine parameters trained. `recalibrated`: statistics re-estimated once on
 * target images, then frozen.
 */
export type BatchNormPolicy = "batch" | "frozen" | "recalibrated";

/** Sets which statistics the BatchNorm layers of a module use while training. */
export function setBatchNormPolicy(module: Module, policy: BatchNormPolicy): void {
  for (const layer of batchNorms(module)) layer.policy = policy === "batch" ? "batch" : "running";
}

/** Re-estimates running statistics as the mean over the given batches; `forward` runs the module on one of them. */
export function recalibrate<T>(module: Module, batches: Iterable<T>, forward: (batch: T) => void): void {
  const layers = batchNorms(module);
  const before = layers.map((layer) => ({ policy: layer.policy, momentum: layer.momentum }));
  const training = module.training;
  module.train();
  let count = 0;
  for (const batch of batches) {
    count += 1;
    for (const layer of layers) {
      layer.policy = "batch";
      layer.momentum = 1 / count;
    }
    forward(batch);
  }
  for (const [i, layer] of layers.entries()) Object.assign(layer, before[i]);
  module.train(training);
}

function batchNorms(module: Module): BatchNorm2d[] {
  return [...module.modules()].filter((layer) => layer instanceof BatchNorm2d);
}
