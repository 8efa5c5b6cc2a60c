/** One scale for the features of frozen members, so that their heads are comparable. n images, d features. */
import type { Standardize } from "../../nn/index.ts";
import {
  disposeTree,
  FlopMeter,
  inferenceMode,
  type ProcessGroup,
  scope,
  type Tensor,
  zeros,
} from "../../torch/index.ts";
import { forEachBatch, type LoopOptions } from "../batches.ts";
import type { BatchSource } from "../data.ts";
import type { Learner } from "../learner.ts";
import { sumOverRanks } from "../ranks.ts";

/** Raised when heads of frozen members would get other features. */
export const scaleVersion = 1;

/** Sum of the features' standard deviations that every frozen member gets: about what the starter hub's members have. */
const deviation = 100;

/** Loops over images that a signal may end, and that ranks may share. */
type Shared = Pick<LoopOptions, "signal" | "group">;

/**
 * Sets the constants that centre and scale the features of a learner's frozen backbones, from the training images.
 *
 * Adam moves each weight of a head by about its rate in every step, hence the logits by the rate times the sum of the features'
 * deviations. Published networks differ a hundredfold in that sum: without this, the generator finds the member with the
 * largest numbers, whose head fits first, instead of the one that knows most (this project's choice; docs/results/notebook.md).
 * @returns forward FLOPs of the images whose features were not at hand
 * @throws Interrupted after the signal
 */
export async function scaleFeatures(
  learner: Learner,
  batches: BatchSource,
  { signal, group }: Shared = {},
): Promise<number> {
  const standardizers = learner.standardizers?.() ?? [];
  if (standardizers.length === 0) return 0;
  const sums = standardizers.map(({ mean }) => new Moments(mean));
  const meter = new FlopMeter();
  try {
    for (const backbone of learner.backbones) backbone.eval();
    await forEachBatch(batches.epoch(0, 0), { work: "scaling of features", signal, group }, (batch) => {
      scope(() =>
        inferenceMode(() => {
          for (const [i, sum] of sums.entries()) {
            const stored = batch.features?.(learner.memberNames[i] ?? "");
            sum.add(stored ?? meter.count(() => learner.features(i, batch.images)));
          }
        }),
      );
    });
    for (const [i, sum] of sums.entries()) {
      if (group) sum.join(group);
      sum.settle(standardizers[i]);
    }
    return group ? sumOverRanks(meter.total, group) : meter.total;
  } finally {
    disposeTree(sums.map((sum) => [sum.first, sum.second]));
  }
}

/** Sums over rows in float64. */
class Moments {
  /** [d]. */
  readonly first: Tensor;
  /** [d]. */
  readonly second: Tensor;
  #count = 0;

  constructor({ shape, device }: Tensor) {
    this.first = zeros(shape, { dtype: "float64", device });
    this.second = zeros(shape, { dtype: "float64", device });
  }

  /** @param features [n, d] */
  add(features: Tensor): void {
    const exact = features.to({ dtype: "float64" });
    this.first.add_(exact.sum([0]));
    this.second.add_(exact.square().sum([0]));
    this.#count += features.size(0);
  }

  /** Adds up what the ranks have. */
  join(group: ProcessGroup): void {
    scope(() => {
      for (const sum of [this.first, this.second]) sum.copy_(group.allReduce(sum));
    });
    this.#count = sumOverRanks(this.#count, group);
  }

  settle(standardize: Standardize | undefined): void {
    scope(() => {
      const mean = this.first.div(this.#count);
      const variance = this.second.div(this.#count).sub(mean.square()).clamp(0);
      const sum = variance.sqrt().sum().item();
      // A member that says the same about every image has nothing to scale.
      standardize?.set(mean.to({ dtype: "float32" }), sum > 0 ? sum / deviation : 1);
    });
  }
}
