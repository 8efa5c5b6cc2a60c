/** One cell: a synthetic hub trained in one setting with one seed, and everything that was measured of it. */
import type { LessonPart } from "../../methods/index.ts";
import { type PathwayConfig, resolvePathwayConfig } from "../../pathway/index.ts";
import { ClassificationTask, defaultTrainOptions } from "../../train/index.ts";
import { type Figures, measure, measuredBest } from "./measure.ts";
import { experts, newcomers } from "./members.ts";
import { trainPathways, trainTold } from "./training.ts";
import { type Variant, VariantLearner } from "./variants.ts";
import { bestMembers, draw, imageSide, type World } from "./world.ts";

/** Everything that decides a cell, besides its seed. */
export interface Setting {
  world: World;
  /** Experts stay as they are; newcomers start equal and are trained. */
  members: "experts" | "newcomers";
  /** Newcomers there are, when not as many as domains. */
  count?: number;
  config: Partial<PathwayConfig>;
  /** Training images. */
  samples: number;
  steps: number;
  generatorFactor: number;
  randomRoutes?: boolean;
  /** What the generator goes without when it learns from losses. */
  without?: LessonPart;
  /** Form of the generator that is no choice of the method. */
  variant?: Variant;
  /** True when a generator is trained on the best members too, for comparison. */
  told: boolean;
  /** Images to measure on. */
  testImages: number;
}

export interface RouterCell extends Figures {
  seconds: number;
  setting: Setting;
  seed: number;
}

/** Trains and measures; leaves nothing behind. */
export async function routerCell(setting: Setting, seed: number): Promise<RouterCell> {
  const { world, members: kind, samples, steps, generatorFactor, testImages } = setting;
  const began = performance.now();
  const frozen = kind === "experts";
  const hub = frozen ? experts(world) : newcomers(world, setting.count ?? world.members, seed);
  const routes = setting.randomRoutes ? { generatorKind: "random" } : {};
  const config = resolvePathwayConfig({ ...setting.config, ...routes }, hub.length);
  const training = draw(world, samples, seed, "training");
  const test = draw(world, testImages, seed, "test");
  const choice = draw(world, testImages, seed, "choice");
  const options = {
    members: hub,
    task: new ClassificationTask(world.classes, defaultTrainOptions.labelSmoothing),
    config,
    seed,
    imageSize: imageSide,
    items: training.labels.map((_, i) => i),
    withoutLesson: setting.without,
  };
  const learner = new VariantLearner(options, setting.variant);
  const schedule = { steps, frozen, generatorFactor, seed };
  try {
    learner.begin(training, seed);
    await trainPathways(learner, training, schedule);
    await learner.finish(() => draw(world, Math.ceil(samples / 4), seed, "held out"));
    using told = setting.told ? await trainTold(world, config, training, schedule) : undefined;
    const known = Array.from({ length: world.members }, (_, domain) => bestMembers(world, domain, learner.k));
    const best = frozen ? known : measuredBest(learner, choice, world.members);
    const needed = frozen ? Math.min(world.good, learner.k) : learner.k;
    const figures = measure({ world, learner, test, choice, best, needed, seed, told });
    return { ...figures, seconds: (performance.now() - began) / 1000, setting, seed };
  } finally {
    learner.dispose();
    for (const sample of [training, test, choice]) sample.images.dispose();
  }
}
