/** What ranks that train one run together do beside their rows: who decodes first, when to stop, sums of a step. */
import { type AugmentName, augmentations } from "../data/index.ts";
import { reduceGradients } from "../distributed/index.ts";
import { ConfigError, type ProcessGroup, scope, type Tensor, tensor } from "../torch/index.ts";
import type { TrainOptions } from "./options.ts";

/** Runs a function on rank 0, and then on the others, which find what it left. */
export async function firstRankFirst<T>(group: ProcessGroup | undefined, fn: () => Promise<T>): Promise<T> {
  if (group && group.rank > 0) group.barrier();
  const result = await fn();
  if (group?.rank === 0) group.barrier();
  return result;
}

/**
 * @throws ConfigError when some rank would have no row of a batch, or rows are mixed with others that another rank has
 */
export function requireRowsForAll(
  { worldSize }: ProcessGroup,
  images: number,
  { batchSize, augment }: { batchSize: number; augment: AugmentName },
): void {
  const last = images % batchSize || batchSize;
  if (Math.min(batchSize, images) < worldSize) {
    throw new ConfigError(
      `batches of ${Math.min(batchSize, images)} images leave some of ${worldSize} ranks without one`,
    );
  }
  if (last < worldSize) {
    throw new ConfigError(
      `the last batch of ${images} images has ${last}, which leaves some of ${worldSize} ranks without one: ` +
        `choose another --batch-size than ${batchSize}`,
    );
  }
  if (augmentations[augment].mixup === 0) return;
  throw new ConfigError(`--augment ${augment} mixes images that are on other ranks: choose another`);
}

/** @throws ConfigError for settings under which one process does what several would */
export function refuseFrozen({ frozenViews }: Pick<TrainOptions, "frozenViews">): void {
  if (frozenViews === undefined) return;
  throw new ConfigError("--freeze-members computes each image once and then trains heads alone: one process is enough");
}

/** @throws ConfigError for training that several ranks cannot share */
export function requireShareable({ mixesRows = false }: { readonly mixesRows?: boolean }): void {
  if (!mixesRows) return;
  throw new ConfigError(
    "this method's loss is no mean over images (bss, zoo-tuning, --credit losses): ranks cannot share its batches",
  );
}

/** Figures of a step. */
export interface StepSums {
  loss: number;
  flops: number;
  /** Rows of each model. */
  rows?: number[];
  /** A signal has come. */
  stops: boolean;
}

/** Gradients and figures of a step, summed over the ranks; all stop where one has to. */
export function reduceStep(
  parameters: readonly Tensor[],
  { loss, flops, rows, stops }: StepSums,
  group: ProcessGroup,
): StepSums {
  const sums = reduceGradients(parameters, group, [loss, flops, Number(stops), ...(rows ?? [])]);
  const [allLoss = Number.NaN, allFlops = 0, stopped = 0, ...allRows] = sums;
  return { loss: allLoss, flops: allFlops, stops: stopped > 0, ...(rows && { rows: allRows }) };
}

/** True when it is on some rank: a signal comes to each at another moment, and all have to stop at the same place. */
export function onAnyRank(flag: boolean, group: ProcessGroup | undefined): boolean {
  if (!group) return flag;
  return scope(() => group.allReduce(tensor([Number(flag)], { dtype: "int64" }), "max").item() > 0);
}
