/** Protocol of a comparison, the same for all its methods: hub, data, split, options, budgets. */
import { type Hub, largestInput, openHub } from "../hub/index.ts";
import { proposeName } from "../io/index.ts";
import {
  type Choices,
  type ConfiguredMethod,
  type DataRequest,
  defaultTrainOptions,
  type Method,
  prepareData,
  type TaskData,
  type TrainOptions,
} from "../train/index.ts";
import type { ExperimentRequest } from "./experiment.ts";
import { changesFrom } from "./identity.ts";

/** A target data set and how much of it is used. */
export interface Target {
  name: string;
  data: Omit<DataRequest, "seed" | "onProgress">;
  /** Side of the images as they are: members that want larger ones than `imageSize` get up to this. */
  fullSize?: number;
  /** Images of the validation and test splits that are measured at most, spread over the classes; all when left out. */
  limits?: { validation?: number; test?: number };
  /** Measure the test split over ten crops of larger images. */
  tenCrop?: boolean;
  /** E, where the data need another number of epochs than the others. */
  epochs?: number;
}

export interface Protocol {
  hub: string;
  target: Target;
  options: TrainOptions;
  /** E: epochs of one unit, which is one member fine-tuned once. */
  epochs: number;
}

export type Budget = "equal epochs" | "equal compute" | "all members" | "several fits";

/** One line of a table: a method, its choices and how long it trains. */
export interface Plan {
  name: string;
  method: Method;
  choices: Choices;
  budget: Budget;
  epochs: number;
  /** Options of its training that differ from the protocol's. */
  options?: Partial<TrainOptions>;
  /** Seeds that are enough for it; all when left out. */
  seeds?: number;
}

/** Image options of every target that does not set others. */
export const images = { imageSize: 48, augment: "standard", batchSize: 48 } as const;

/**
 * None of them was seen in the pre-training of hubs/starter and hubs/same-architecture. Where no test split is published the
 * seed moves it, as in all cells of these; photographs and images of one's own have a `testSeed`.
 */
export const targets: readonly Target[] = [
  {
    name: "emoji",
    fullSize: 64,
    data: {
      ...images,
      source: "emoji",
      split: { trainPerClass: 40, testFraction: 0.4, validationFraction: 0.2 },
    },
  },
  {
    name: "fashion-mnist",
    data: {
      ...images,
      source: "fashion-mnist",
      imageSize: 28,
      // 1,400 of the 6,000 training images of a class for validation: a fifth of all 7,000, test images included.
      split: { trainPerClass: 40, testFraction: 0.2, validationFraction: 1400 / 6000 },
    },
    limits: { validation: 1000 },
  },
  {
    name: "desktop-icons",
    fullSize: 64,
    data: {
      ...images,
      source: "desktop-icons",
      split: { trainPerClass: 40, testFraction: 0.4, validationFraction: 0.2 },
    },
  },
];

/** The user's own images in place of the targets. */
function targetOf(source: string): Target {
  const name = proposeName(source);
  const data = { ...images, source, split: { testSeed: 0, testFraction: 0.2, validationFraction: 0.2 } };
  return { name, fullSize: Number.POSITIVE_INFINITY, data };
}

/** The targets of a request: the experiment's own ones, or the user's images. */
export function targetsOf({ data }: ExperimentRequest, own: readonly Target[] = targets): readonly Target[] {
  return data === undefined ? own : [targetOf(data)];
}

/** Parts of a target that decide a cell: its images and how they are measured. */
export function targetKey({ data, limits, tenCrop }: Target): object {
  return { data: changesFrom(images, data), limits, tenCrop };
}

/**
 * Options that decide a cell: those that are not the defaults. Epochs and seed are apart, and the kept weights are
 * always the last.
 */
export function optionsKey(options: TrainOptions): object {
  const { epochs: _epochs, seed: _seed, checkpointSeconds: _seconds, keep: _keep, ...rest } = options;
  return changesFrom(defaultTrainOptions, rest);
}

export const unitEpochs = 16;

/** Heads on members that stay as they are: they learn long and cheaply; each further view of the images is a pass of all members. */
const frozenUnit = { epochs: 48, views: 2, limits: { validation: 400, test: 600 } };

/** The protocol of a target on a hub; a quick one trains one epoch on few images. */
export function protocolOf(
  { dir: hub, manifest }: Hub,
  { fullSize = 0, ...given }: Target,
  { quick, frozen }: Pick<ExperimentRequest, "quick" | "frozen">,
): Protocol {
  const imageSize = Math.max(given.data.imageSize, Math.min(largestInput(manifest), fullSize));
  const target = { ...given, data: { ...given.data, imageSize } };
  const options = frozen ? { ...defaultTrainOptions, frozenViews: frozenUnit.views } : defaultTrainOptions;
  if (quick) {
    const split = { ...target.data.split, trainPerClass: 8 };
    const limits = { validation: 60, test: 60 };
    return { hub, target: { ...target, data: { ...target.data, split }, limits }, options, epochs: 1 };
  }
  if (frozen) return { hub, target: { ...target, limits: frozenUnit.limits }, options, epochs: frozenUnit.epochs };
  return { hub, target, options, epochs: target.epochs ?? unitEpochs };
}

/** A protocol with one seed: what is opened for it is opened once, and only when a cell is missing. */
export class Setting {
  readonly protocol: Protocol;
  readonly seed: number;
  #data: Promise<TaskData> | undefined;
  #hub: Hub | undefined;

  /** @param hub another one than the protocol's folder has: some of its members, or as an experiment changed them */
  constructor(protocol: Protocol, seed: number, hub?: Hub) {
    this.protocol = protocol;
    this.seed = seed;
    this.#hub = hub;
  }

  get hub(): Hub {
    this.#hub ??= openHub(this.protocol.hub);
    return this.#hub;
  }

  /** The seed moves split, order and augmentation. */
  data(): Promise<TaskData> {
    const { target, options } = this.protocol;
    this.#data ??= prepareData({ ...target.data, seed: this.seed, views: options.frozenViews });
    return this.#data;
  }

  /**
   * Options of a plan: its own, before the generator's rate that its method wants, before the protocol's. All cells keep the last
   * weights: what they spend on validation data must not depend on who watches.
   */
  optionsOf({ method, choices, epochs, options }: Plan): TrainOptions {
    const generatorFactor = method.generatorFactor?.(choices) ?? this.protocol.options.generatorFactor;
    return { ...this.protocol.options, generatorFactor, ...options, epochs, seed: this.seed, keep: "last" };
  }

  /** The method of a plan with its choices. @throws ConfigError for those that the method or the hub does not have */
  configured(plan: Plan): ConfiguredMethod {
    return plan.method.configure(plan.choices, this.hub.manifest, this.optionsOf(plan));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Data that could not be opened have said so where they were asked for.
    (await this.#data?.catch(() => undefined))?.dispose();
  }
}
