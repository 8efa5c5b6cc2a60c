/**
 * Options of one training: type, range, default, flag and help of each in one place. The defaults were chosen on
 * validation data (docs/results/choices.md).
 */
import { z } from "zod";
import { settings } from "../torch/setting.ts";
import { isTune, tuneWords } from "./tune.ts";

const part = z.number().min(0).max(1);
const epochs = z.int().min(1).max(100_000);
const factor = z.number().gt(0).max(1e4);

/** Options as they are asked for. In this order they are part of runs' and cells' identities. */
export const requestedOptionShape = {
  /** Left out, they are chosen by the number of images and models. */
  epochs: epochs.optional().register(settings, {
    group: "Training",
    value: "<n>",
    help: "passes through the training images",
    usually: "by their number, and by k of the hub's m models",
  }),
  /** Steps of training in all, the last epoch being cut short: it goes before `epochs`, which follow from it. */
  iterations: z.int().min(1).max(1e9).optional().register(settings, {
    group: "Training",
    value: "<n>",
    help: "steps in all, instead of --epochs; the last epoch is cut short",
  }),
  batchSize: z.int().min(1).max(65_536).default(48).register(settings, {
    group: "Training",
    value: "<n>",
    help: "images in a step",
  }),
  /** Parts of a batch that are computed one after the other, with the gradient of the whole; at once when left out. */
  accumulate: z.int().min(1).max(65_536).optional().register(settings, {
    group: "Training",
    value: "<n>",
    help: "parts of a batch that models compute one after the other: the step is that of the whole",
    usually: "1",
  }),
  /** The members' blocks forget what they compute inside, and compute it again in the backward pass. */
  checkpointActivations: z.boolean().optional().register(settings, {
    group: "Training",
    help: "compute each block of a model twice in a step instead of keeping what is inside: less memory",
  }),
  /** Learning rate of pre-trained parameters. */
  lr: z.number().gt(0).max(10).default(1e-3).register(settings, {
    group: "Training",
    value: "<rate>",
    help: "learning rate of pre-trained weights",
  }),
  /** Factors of that rate for new layers, and for the generator: left out, the method says it. */
  newLayerFactor: factor.default(4).register(settings, {
    group: "Training",
    value: "<factor>",
    help: "learning rate of new layers, in that of pre-trained weights",
  }),
  generatorFactor: factor.optional().register(settings, {
    group: "Training",
    value: "<factor>",
    help: "learning rate of the generator, in that of pre-trained weights",
    usually: "2; 10 where losses teach",
  }),
  weightDecay: z.number().min(0).max(10).default(0.01).register(settings, {
    group: "Training",
    value: "<w>",
    help: "weight decay of matrices and filters",
  }),
  /** AdamW when left out; `sgd` has Nesterov's momentum of 0.9. */
  optimizer: z.enum(["adamw", "sgd"]).optional().register(settings, {
    group: "Training",
    value: "<name>",
    help: "sgd has Nesterov's momentum of 0.9, and wants a higher --lr",
    usually: "adamw",
  }),
  /** Largest norm of the gradient; 0 switches clipping off. */
  clipNorm: z.number().min(0).max(1e6).default(5).register(settings, {
    group: "Training",
    value: "<norm>",
    help: "largest norm of the gradient; 0 for any",
  }),
  /** Part of the steps over which the rate rises, before it falls by a half cosine. */
  warmup: part.lt(1).default(0.15).register(settings, {
    group: "Training",
    value: "<part>",
    help: "part of the steps over which the learning rate rises; 0 for none",
  }),
  /** Steps from which the rate is a tenth of what it was before, instead of the half cosine. */
  decaySteps: z
    .array(z.int().min(1).max(1e9))
    .min(1)
    .optional()
    .register(settings, {
      group: "Training",
      value: "<n,n>",
      help: "steps from which the learning rate is a tenth of what it was, instead of a half cosine",
      usually: "the half cosine",
      must: "whole numbers of at least 1, with commas between them",
      read: (text) => text.split(",").map(Number),
    }),
  labelSmoothing: part.lt(1).default(0.1).register(settings, {
    group: "Training",
    value: "<part>",
    help: "part of each label that is spread over all classes",
  }),
  /** Weights of the classes' losses; none when left out. */
  classWeights: z.enum(["balanced", "none"]).optional().register(settings, {
    group: "Training",
    value: "<how>",
    help: "weights of the losses of classes: balanced lets rare ones count as much as others",
    usually: "none",
  }),
  /** Order in which training images are drawn; each once in an epoch when left out. */
  sampling: z.enum(["balanced", "uniform"]).optional().register(settings, {
    group: "Training",
    value: "<how>",
    help: "how often images are seen: balanced shows each class equally often",
    usually: "uniform",
  }),
  /** Precision of the members' products while training. */
  precision: z.enum(["float32", "bfloat16"]).default("float32").register(settings, {
    group: "Training",
    value: "<type>",
    help: "precision of the models' products",
  }),
  batchNorm: z.enum(["batch", "frozen", "recalibrated"]).default("batch").register(settings, {
    group: "Training",
    value: "<policy>",
    help: "statistics of the models' BatchNorm",
  }),
  /** Seconds between checkpoints; one is always written at the end and on interruption. */
  checkpointSeconds: z.number().gt(0).default(60).register(settings, {
    group: "Training",
    value: "<s>",
    help: "seconds between checkpoints; one is always written at the end and on interruption",
  }),
  seed: z.int().min(0).default(0).register(settings, {
    group: "Training",
    value: "<n>",
    help: "moves split, new weights, noise and order",
  }),
  /** Weights that predict: of the epoch that is best on validation data (when left out), or of the last one. */
  keep: z.enum(["best", "last"]).optional().register(settings, {
    group: "Training",
    value: "<which>",
    help: "weights that predict: of the epoch that is best on validation images, or the last",
    usually: "best",
  }),
  /** Epochs without a better one after which training stops; none when left out. Needs `keep: "best"`. */
  patience: z.int().min(1).max(100_000).optional().register(settings, {
    group: "Training",
    value: "<n>",
    help: "epochs without a better one after which training stops",
    usually: "never",
  }),
  /** What is trained of each member, as `parseTune` reads it; all when left out. */
  tune: z.string().refine(isTune).optional().register(settings, {
    group: "Training",
    value: "<what>",
    help: "what is trained of the models: head, bitfit, ssf, lora[:RANK], last:N or all; NAME=WHAT for one, with commas between",
    usually: "all",
    must: tuneWords,
  }),
  /**
   * Members stay as the hub has them, and the rest is trained on so many fixed views of each image, the first of which is
   * the image itself. Left out, members are trained, and every epoch has views of its own.
   */
  frozenViews: z.int().min(1).max(1000).optional(),
};

export type RequestedOptions = z.output<z.ZodObject<typeof requestedOptionShape>>;

/** Options of a run, whose epochs and rates are settled. */
export const trainOptionsSchema = z.object({ ...requestedOptionShape, epochs, generatorFactor: factor.default(2) });

export type TrainOptions = z.output<typeof trainOptionsSchema>;

/** Fixed views of each image with frozen members, where none are asked for. */
export const defaultViews = 4;

export const defaultTrainOptions: TrainOptions = trainOptionsSchema.parse({ epochs: 16 });

/** Quantities on which the options depend that are left out. */
export interface OptionNeeds {
  stepsPerEpoch: number;
  /** Training images. */
  images: number;
  /** Epochs in which each model sees as many images as there are: m / k where k of m models see each image. */
  epochsOfOnePass: number;
  /** What the method wants, where it is not the usual one. */
  generatorFactor?: number | undefined;
}

/** Passes of one model through 250 images: about what fine-tuning the starter hub's models needs. */
const usualPasses = 16;
const usualImages = 250;

/** Hubs of many models would train for days: their models see less. */
const mostEpochsOfOnePass = 8;

/** Passes of one model through its training images: fewer of more images, as the cube root. */
export function passesOver(images: number): number {
  const passes = usualPasses * Math.cbrt(usualImages / Math.max(1, images));
  return Math.min(30, Math.max(3, Math.round(passes)));
}

/** Options as they were asked for, with those that follow from the images, the models and the method. */
export function resolveOptions(options: RequestedOptions, needs: OptionNeeds): TrainOptions {
  const { generatorFactor = needs.generatorFactor } = options;
  return trainOptionsSchema.parse({ ...options, epochs: epochsOf(options, needs), generatorFactor });
}

/** Epochs that were asked for, that the steps take, or that are usual for so many images and models. */
function epochsOf({ iterations, epochs }: RequestedOptions, needs: OptionNeeds): number {
  if (iterations !== undefined) return Math.ceil(iterations / needs.stepsPerEpoch);
  if (epochs !== undefined) return epochs;
  const share = Math.min(mostEpochsOfOnePass, needs.epochsOfOnePass);
  return Math.round(passesOver(needs.images) * share);
}

/** Options of a fit of another length: its steps keep their proportion to its epochs. */
export function withEpochs(options: TrainOptions, epochs: number): TrainOptions {
  const { iterations, decaySteps } = options;
  const scaled = (step: number) => Math.max(1, Math.round((step * epochs) / options.epochs));
  return {
    ...options,
    epochs,
    ...(iterations === undefined ? {} : { iterations: scaled(iterations) }),
    ...(decaySteps === undefined ? {} : { decaySteps: decaySteps.map(scaled) }),
  };
}
