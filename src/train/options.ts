/** Options of one training, with defaults that were chosen on validation data (docs/results/choices.md). */

export interface TrainOptions {
  epochs: number;
  /** Steps of training in all, the last epoch being cut short: it goes before `epochs`, which follow from it. */
  iterations?: number | undefined;
  batchSize: number;
  /** Learning rate of pre-trained parameters. */
  lr: number;
  /** Factors of that rate for new layers and for the generator. */
  newLayerFactor: number;
  generatorFactor: number;
  weightDecay: number;
  /** AdamW when left out; `sgd` has Nesterov's momentum of 0.9. */
  optimizer?: "adamw" | "sgd" | undefined;
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
  /** Weights that predict: of the epoch that is best on validation data (when left out), or of the last one. */
  keep?: "best" | "last" | undefined;
  /** Epochs without a better one after which training stops, at least 1; none when left out. Needs `keep: "best"`. */
  patience?: number | undefined;
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

/** The same options with the epochs that their steps take; without a number of steps they stay as they are. */
export function resolveEpochs(options: TrainOptions, stepsPerEpoch: number): TrainOptions {
  const { iterations } = options;
  return iterations === undefined ? options : { ...options, epochs: Math.ceil(iterations / stepsPerEpoch) };
}

/** Options of a fit of another length: its steps keep their proportion to its epochs. */
export function withEpochs(options: TrainOptions, epochs: number): TrainOptions {
  const { iterations } = options;
  if (iterations === undefined) return { ...options, epochs };
  return { ...options, epochs, iterations: Math.round((iterations * epochs) / options.epochs) };
}
