/** Options of one training, with the defaults that experiments/starter.ts chose on validation data. */

export interface TrainOptions {
  epochs: number;
  batchSize: number;
  /** Learning rate of pre-trained parameters. */
  lr: number;
  /** Factors of that rate for new layers and for the generator. */
  newLayerFactor: number;
  generatorFactor: number;
  weightDecay: number;
  /** Largest norm of the gradient; 0 switches clipping off. */
  clipNorm: number;
  /** Part of the steps over which the rate rises, before it falls by a half cosine. */
  warmup: number;
  labelSmoothing: number;
  /** Precision of the members' products while training. */
  precision: "float32" | "bfloat16";
  batchNorm: "batch" | "frozen" | "recalibrated";
  /** Seconds between checkpoints; one is always written at the end and on interruption. */
  checkpointSeconds: number;
  seed: number;
  /**
   * Members stay as the hub has them, and the rest is trained on so many fixed views of each image, the first of which is
   * the image itself. Left out, members are trained, and every epoch has views of its own.
   */
  frozenViews?: number | undefined;
}

export const defaultTrainOptions: TrainOptions = {
  epochs: 16,
  batchSize: 48,
  lr: 1e-3,
  newLayerFactor: 4,
  generatorFactor: 2,
  weightDecay: 0.01,
  clipNorm: 5,
  warmup: 0.15,
  labelSmoothing: 0.1,
  precision: "float32",
  batchNorm: "batch",
  checkpointSeconds: 60,
  seed: 0,
};
