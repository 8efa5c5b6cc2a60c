/** Training over drawn images: the real loop for pathways, and a generator that is told the best routes. */

import type { PathwayLearner } from "../../methods/index.ts";
import { AdamW } from "../../optim/index.ts";
import { type PathwayConfig, PathwayGenerator } from "../../pathway/index.ts";
import { Generator, int64, keyedRandom, ops, scope, seedOf, shuffled, tensor } from "../../torch/index.ts";
import { type Batch, type BatchSource, defaultTrainOptions, fit, learningRateFactor } from "../../train/index.ts";
import { bestMembers, type Sample, type World } from "./world.ts";

/** Batches of drawn images, shuffled anew in each epoch. */
export class SampleBatches implements BatchSource {
  readonly stepsPerEpoch: number;
  readonly #sample: Sample;
  readonly #size: number;
  readonly #seed: number;

  constructor(sample: Sample, size: number, seed: number) {
    this.#sample = sample;
    this.#size = size;
    this.#seed = seed;
    this.stepsPerEpoch = Math.ceil(sample.labels.length / size);
  }

  async *epoch(epoch: number, startStep: number): AsyncIterable<Batch> {
    const items = this.#sample.labels.map((_, i) => i);
    const order = shuffled(items, keyedRandom(this.#seed, epoch));
    for (let step = startStep; step < this.stepsPerEpoch; step++) {
      yield this.#batch(order.slice(step * this.#size, (step + 1) * this.#size));
    }
  }

  #batch(indices: number[]): Batch {
    const labels = indices.map((i) => this.#sample.labels[i] ?? 0);
    const images = scope(() => this.#sample.images.index_select(0, int64(indices)));
    const targets = int64(labels);
    const dispose = () => {
      images.dispose();
      targets.dispose();
    };
    return { images, targets, labels, indices, dispose };
  }
}

export interface Schedule {
  steps: number;
  /** True when members are frozen. */
  frozen: boolean;
  /** Factor of the learning rate for the generator. */
  generatorFactor: number;
  seed: number;
}

/** Trains as `hub-pathway train` does, with its defaults. */
export async function trainPathways(learner: PathwayLearner, sample: Sample, schedule: Schedule): Promise<void> {
  const { steps, frozen, generatorFactor, seed } = schedule;
  const batches = new SampleBatches(sample, defaultTrainOptions.batchSize, seed);
  await fit({
    fit: "pathways",
    learner,
    batches,
    options: {
      ...defaultTrainOptions,
      epochs: Math.max(1, Math.round(steps / batches.stepsPerEpoch)),
      generatorFactor,
      seed,
      ...(frozen ? { frozenViews: 1 } : {}),
    },
    checkpoint: undefined,
    identity: "",
    emit: () => {},
  });
}

/**
 * The same generator, trained by cross-entropy on the best members of each image: what it can see in so many images
 * when nothing has to be found out. The caller disposes it.
 */
export async function trainTold(
  world: World,
  { generatorWidth: width, generatorSize: size, k }: PathwayConfig,
  sample: Sample,
  schedule: Schedule,
): Promise<PathwayGenerator> {
  using init = new Generator(seedOf(schedule.seed, "told"));
  const generator = new PathwayGenerator({ m: world.members, width, size, learnedNoise: false, generator: init });
  const batches = new SampleBatches(sample, defaultTrainOptions.batchSize, schedule.seed);
  const epochs = Math.max(1, Math.round(schedule.steps / batches.stepsPerEpoch));
  const lr = defaultTrainOptions.lr * schedule.generatorFactor;
  const optimizer = new AdamW([{ params: generator.parameters(), lr, weight_decay: defaultTrainOptions.weightDecay }]);
  const targetsOf = (indices: readonly number[]) =>
    tensor(indices.map((i) => shares(world, sample.domains[i] ?? 0, Math.min(k, world.good))));
  for (let epoch = 0; epoch < epochs; epoch++) {
    let step = epoch * batches.stepsPerEpoch;
    for await (const batch of batches.epoch(epoch, 0)) {
      const progress = step++ / (epochs * batches.stepsPerEpoch);
      for (const group of optimizer.groups) group.lr = lr * learningRateFactor(progress, defaultTrainOptions.warmup);
      using loss = scope(() => ops.cross_entropy_loss(generator.forward(batch.images), targetsOf(batch.indices)));
      scope(() => {
        loss.backward();
        optimizer.step();
        optimizer.zeroGrad();
      });
      batch.dispose();
    }
  }
  optimizer.dispose();
  return generator.eval();
}

/** Equal shares of a domain's best members, [m]. */
function shares(world: World, domain: number, k: number): number[] {
  const best = bestMembers(world, domain, k);
  return Array.from({ length: world.members }, (_, i) => (best.includes(i) ? 1 / k : 0));
}
