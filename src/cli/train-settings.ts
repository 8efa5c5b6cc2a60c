/** Every setting of `hub-pathway train`: flags, configuration file and checks are made from these schemas. */
import { z } from "zod";
import type { AugmentName } from "../data/index.ts";
import { taskKinds } from "../data/types.ts";
import { starterHub } from "../hub/find-hub.ts";
import { type PresetName, pathwayShape, presets } from "../pathway/config.ts";
import { scoreNames } from "../ranking/score-names.ts";
import { mostThreads } from "../torch/environment.ts";
import { ConfigError } from "../torch/errors.ts";
import { type Setting, settings } from "../torch/setting.ts";
import type { Choices } from "../train/method.ts";
import { requestedOptionShape } from "../train/options.ts";
import { choice, choiceHelp, deviceHelp, hubMemoryHelp, memory, memoryWords, taskHelp, trustHelp } from "./flags.ts";

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
  help: "folder with a sub-folder for each class, a CSV, TSV or JSONL file with paths and labels, a known data set, or NAME:FOLDER with the files of a published one (data ls)",
};

/** Images and how they are split: settings that `train` and `hub rank` share. */
export const dataShape = {
  data: text.optional().register(settings, aboutData),
  task: z.enum(taskKinds).optional().register(settings, {
    group: "Images",
    value: "<kind>",
    help: taskHelp,
    usually: "by the columns of a list",
  }),
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
  fit: z.enum(["crop", "squash"]).default("crop").register(settings, {
    group: "Images",
    value: "<how>",
    help: "how photographs become squares: by their middle, or with another aspect ratio",
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

/** Devices and threads of a command: settings that say nothing about the result. */
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
  preset: z
    .enum(Object.keys(presets) as [PresetName, ...PresetName[]])
    .optional()
    .register(settings, {
      group: "Models",
      value: "<name>",
      help: "choices of hub-pathway by a name; single choices go before them",
      usually: "default",
    }),
  auto: z.boolean().default(false).register(settings, {
    group: "Models",
    help: "choose models, what of them is trained, size, k and epochs for the images and for --minutes on this machine",
  }),
  minutes: z.number().gt(0).max(100_000).optional().register(settings, {
    group: "Models",
    value: "<n>",
    help: "time for --auto, with everything",
    usually: "10",
  }),
  members: z
    .array(text)
    .min(1)
    .optional()
    .register(settings, {
      group: "Models",
      value: "<name,name>",
      help: "models to choose from",
      usually: "all of the hub",
      must: "names with commas between them",
      read: (written) => written.split(","),
    }),
  member: text.optional().register(settings, {
    group: "Models",
    value: "<name>",
    help: "the model for a method that trains one",
    usually: "the method's choice",
  }),
  choice: z
    .record(z.string(), z.json())
    .optional()
    .register(settings, {
      group: "Models",
      value: "<name=value>",
      help: choiceHelp,
      must: "choices of the method by their names",
      read: (written, before) => choice(written, before as Choices | undefined),
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
  hubMemory: memory.optional().register(settings, {
    group: "Models",
    value: "<amount>",
    help: hubMemoryHelp,
    must: memoryWords,
  }),
  shardMembers: z.boolean().default(false).register(settings, {
    group: "Models",
    help: "each of several processes has some of the models, for hubs that no machine holds",
  }),
};

/** Names of the pathway's choices as flags, and the other way round. */
type FlagOf<N extends string> = N extends "warmup" ? "pathwayWarmup" : N;
type PathwayFlags = {
  [N in keyof typeof pathwayShape as FlagOf<N>]: z.ZodOptional<ReturnType<(typeof pathwayShape)[N]["unwrap"]>>;
};

/**
 * Choices of the pathway that have flags, such as --k: src/pathway/config.ts names them. One that is not given is not
 * recorded: the method knows its default.
 */
const pathwayFlags = Object.fromEntries(
  Object.entries(pathwayShape).flatMap(([name, schema]) => {
    const about = settings.get(schema);
    if (!about) return [];
    const given = (schema.unwrap() as z.ZodType).optional();
    const usually = about.usually ?? String(schema.parse(undefined));
    return [[about.flag ?? name, given.register(settings, { ...about, usually })]];
  }),
) as PathwayFlags;

const priorShape = {
  prior: z
    .enum(["uniform", ...scoreNames])
    .optional()
    .register(settings, {
      group: "Pathways",
      value: "<name>",
      help: "use of the models that the exploration loss leads to, by their ranking",
      usually: "uniform",
    }),
};

const augmentShape = {
  augment: z.enum(augmentNames).default("standard").register(settings, {
    group: "Images",
    value: "<recipe>",
    help: "augmentation",
  }),
  cropScale: z.number().gt(0).max(1).optional().register(settings, {
    group: "Images",
    value: "<part>",
    help: "smallest part of an image's area that a random crop keeps",
    usually: "the recipe's",
  }),
  cropFrom: z.int().min(8).max(4096).optional().register(settings, {
    group: "Images",
    value: "<pixels>",
    help: "side of the images that random crops are taken from",
    usually: "--image-size",
  }),
};

const { frozenViews: _views, ...optionShape } = requestedOptionShape;

export const trainShape = {
  ...dataShape,
  ...augmentShape,
  ...methodShape,
  ...pathwayFlags,
  ...priorShape,
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

/**
 * Choices of the method among settings, under the names that the method has for them.
 * @throws ConfigError for one that has a flag of its own and is given by --choice too
 */
export function methodChoices(given: Partial<TrainSettings>): Choices {
  const { member, prior, preset, choice = {} } = given;
  // Defaults are left out, so that a run that names them and one that does not are the same run.
  const named = { member, prior, preset: preset === "default" ? undefined : preset };
  const pathway = Object.entries(pathwayShape).map(([name, schema]) => {
    return [name, (given as Choices)[settings.get(schema)?.flag ?? name]] as const;
  });
  const own = [...Object.entries(named), ...pathway].filter(([, value]) => value !== undefined);
  const twice = own.map(([name]) => name).filter((name) => Object.hasOwn(choice, name));
  if (twice.length > 0) throw new ConfigError(`${twice.join(", ")}: given by --choice and by an option of its own`);
  return { ...Object.fromEntries(own), ...choice };
}

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
