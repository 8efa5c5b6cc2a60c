/** Every setting of `hub-pathway train`: flags, configuration file and checks are made from these schemas. */
import { z } from "zod";
import type { AugmentName } from "../data/index.ts";
import { starterHub } from "../hub/find-hub.ts";
import { scoreNames } from "../ranking/score-names.ts";
import { mostThreads } from "../torch/environment.ts";
import { requestedOptionShape } from "../train/options.ts";
import { type Setting, settings } from "../train/setting.ts";
import { choice, choiceHelp, deviceHelp, hubMemoryHelp, memory, memoryWords, trustHelp } from "./flags.ts";

const augmentNames = Object.keys({
  none: 1,
  standard: 1,
  randaugment: 1,
  mixup: 1,
  crops: 1,
} satisfies Record<AugmentName, 1>) as [AugmentName, ...AugmentName[]];

const text = z.string().min(1);

const aboutData: Setting = {
  group: "Images",
  value: "<dir|name|name:dir>",
  help: "folder with a sub-folder for each class, a known data set, or NAME:FOLDER with the files of a published one (data ls)",
};

/** Which images, and how they are split: settings that `train` and `hub rank` share. */
export const dataShape = {
  data: text.optional().register(settings, aboutData),
  imageSize: z.int().min(8).max(4096).optional().register(settings, {
    group: "Images",
    value: "<pixels>",
    help: "side of the images",
    usually: "the largest that a model of the hub takes",
  }),
  trainPerClass: z.int().min(1).optional().register(settings, {
    group: "Images",
    value: "<n>",
    help: "use at most so many training images of a class",
  }),
  validationFraction: z.number().gt(0).lt(1).default(0.2).register(settings, {
    group: "Images",
    value: "<part>",
    help: "part of each class for choosing, where no folder is for it",
  }),
  testFraction: z.number().min(0).lt(1).default(0.2).register(settings, {
    group: "Images",
    value: "<part>",
    help: "part of each class for the final figure, where no folder is for it",
  }),
  skipBad: z.boolean().default(false).register(settings, {
    group: "Images",
    help: "leave unreadable images out and count them",
  }),
  duplicates: z.enum(["group", "keep"]).default("group").register(settings, {
    group: "Images",
    value: "<policy>",
    help: "copies of one image: group puts them on one side of a split, keep does nothing",
  }),
};

/** Where a command computes: settings that say nothing about the result. */
export const machineShape = {
  threads: z.int().min(1).max(mostThreads).optional().register(settings, {
    group: "Run",
    value: "<n>",
    help: "threads inside one operator",
    usually: "the free processors",
  }),
  device: text.default("cpu").register(settings, { group: "Run", value: "<name>", help: deviceHelp }),
  trust: z.boolean().default(false).register(settings, { group: "Models", help: trustHelp }),
};

const methodShape = {
  hub: text.default(starterHub).register(settings, {
    group: "Models",
    value: "<dir>",
    help: "folder of the hub",
  }),
  method: text.default("hub-pathway").register(settings, {
    group: "Models",
    value: "<name>",
    help: "what to train",
  }),
  k: z.int().min(1).optional().register(settings, {
    group: "Models",
    value: "<n>",
    help: "activated models for each image, at most the hub's",
    usually: "2",
  }),
  member: text.optional().register(settings, {
    group: "Models",
    value: "<name>",
    help: "the model for a method that trains one",
    usually: "the method's choice",
  }),
  choice: z
    .record(z.string(), z.unknown())
    .optional()
    .register(settings, {
      group: "Models",
      value: "<name=value>",
      help: choiceHelp,
      must: "choices of the method by their names",
      read: (written, before) => choice(written, before as Record<string, unknown> | undefined),
    }),
  freezeMembers: z.boolean().default(false).register(settings, {
    group: "Models",
    help: "leave models as they are: their features are computed once, the rest trains fast",
  }),
  views: z.int().min(1).max(1000).optional().register(settings, {
    group: "Models",
    value: "<n>",
    help: "fixed views of each image for --freeze-members",
    usually: "4",
  }),
  allowedMembers: z.int().min(1).optional().register(settings, {
    group: "Models",
    value: "<n>",
    help: "models that one training step may touch",
    usually: "8",
  }),
  hubMemory: memory.optional().register(settings, {
    group: "Models",
    value: "<amount>",
    help: hubMemoryHelp,
    must: memoryWords,
  }),
};

/** Choices of the pathway; their ranges are the method's own (src/pathway/config.ts). */
const pathwayShape = {
  aggregation: text.optional().register(settings, {
    group: "Pathways",
    value: "<name>",
    help: "how outputs are joined: logits, probabilities, features",
    usually: "logits",
  }),
  tau: z
    .union([z.number(), z.literal("equal")])
    .optional()
    .register(settings, {
      group: "Pathways",
      value: "<t|equal>",
      help: "temperature of the activated models' weights",
      usually: "equal",
    }),
  noise: text.optional().register(settings, {
    group: "Pathways",
    value: "<kind>",
    help: "noise on the scores: scheduled, learned, none",
    usually: "scheduled",
  }),
  explorationWeight: z.number().optional().register(settings, {
    group: "Pathways",
    value: "<w>",
    help: "weight of the exploration loss at the start",
    usually: "0.1",
  }),
  explorationFade: z
    .union([z.number(), z.literal("constant")])
    .optional()
    .register(settings, {
      group: "Pathways",
      value: "<part|constant>",
      help: "part of training over which it falls to zero",
      usually: "0.5",
    }),
  prior: z
    .enum(["uniform", ...scoreNames])
    .optional()
    .register(settings, {
      group: "Pathways",
      value: "<name>",
      help: "use of the models that the exploration loss leads to, by their ranking",
      usually: "uniform",
    }),
  exploitationWeight: z.number().optional().register(settings, {
    group: "Pathways",
    value: "<w>",
    help: "weight of each model's own task loss",
    usually: "1",
  }),
  beta: z.number().optional().register(settings, {
    group: "Pathways",
    value: "<part>",
    help: "part of the aggregate's loss that reaches the models, 0 to 1",
    usually: "0, each learns from its own loss alone",
  }),
  pathwayWarmup: z.number().optional().register(settings, {
    group: "Pathways",
    value: "<part>",
    help: "part of training with random routes",
    usually: "0.15",
  }),
};

const augmentShape = {
  augment: z.enum(augmentNames).default("standard").register(settings, {
    group: "Images",
    value: "<recipe>",
    help: "augmentation",
  }),
};

const { frozenViews: _views, ...optionShape } = requestedOptionShape;

export const trainShape = {
  ...dataShape,
  ...augmentShape,
  ...methodShape,
  ...pathwayShape,
  ...optionShape,
  ...machineShape,
  out: text.optional().register(settings, {
    group: "Run",
    value: "<dir>",
    help: "folder of the run, made anew",
    usually: "runs/IMAGES-N with the next free N",
  }),
};

export type TrainSettings = z.output<z.ZodObject<typeof trainShape>>;

/** Settings of `hub rank`: the images are split as train splits them. */
export const rankShape = {
  ...dataShape,
  data: z.string().min(1).register(settings, aboutData),
  limit: z.int().min(1).optional().register(settings, {
    group: "Images",
    value: "<n>",
    help: "use at most so many training images, spread over the classes",
  }),
  seed: optionShape.seed,
  ...machineShape,
};
