/** What ranks that train one run together do beside their rows: who decodes first, when to stop, sums of a step. */
import type { GradientSums } from "../distributed/index.ts";
import { ConfigError, Interrupted, type ProcessGroup, scope, type Tensor, tensor } from "../torch/index.ts";
import type { RequestedOptions } from "./options.ts";

/** Runs a function on rank 0, and then on the others, which find what it left. It has no collectives, and may take long. */
export async function firstRankFirst<T>(group: ProcessGroup | undefined, fn: () => Promise<T>): Promise<T> {
  if (!group) return fn();
  const isFirst = group.rank === 0;
  const first = await outlasted(group, isFirst ? fn : undefined);
  const later = await outlasted(group, isFirst ? undefined : fn);
  return (isFirst ? first : later) as T;
}

/** What a rank says of work that others wait for; the largest number counts. */
const state = { done: 0, working: 1, interrupted: 2 };

/**
 * Work of some ranks. The others wait beyond their time-out, as long as these say now and then that they are at work.
 * @throws Interrupted on all ranks, where a signal ended the work of one
 */
async function outlasted<T>(group: ProcessGroup, fn?: () => Promise<T>): Promise<T | undefined> {
  const say = (own: number) => scope(() => group.allReduce(tensor([own], { dtype: "int64" }), "max").item());
  let heard = state.done;
  const tell = (own: number) => {
    try {
      heard = Math.max(heard, say(own));
    } catch {
      clearInterval(beats); // it fails once more after the work
    }
  };
  const beats = fn && setInterval(tell, (1000 * group.timeout) / 4, state.working);
  let result: T | undefined;
  try {
    result = await fn?.();
  } catch (error) {
    if (error instanceof Interrupted) tell(state.interrupted);
    throw error;
  } finally {
    clearInterval(beats);
  }
  // Who heard of a signal while it worked has no others to wait for.
  if (heard !== state.interrupted) {
    do heard = say(state.done);
    while (heard === state.working);
  }
  if (heard === state.interrupted) throw new Interrupted("work of another rank");
  return result;
}

/** @throws ConfigError when some rank would have no row of a batch */
export function requireRowsForAll({ worldSize }: ProcessGroup, images: number, batchSize: number): void {
  const last = images % batchSize || batchSize;
  if (Math.min(batchSize, images) < worldSize) {
    throw new ConfigError(
      `batches of ${Math.min(batchSize, images)} images leave some of ${worldSize} ranks without one`,
    );
  }
  if (last >= worldSize) return;
  throw new ConfigError(
    `the last batch of ${images} images has ${last}, which leaves some of ${worldSize} ranks without one: ` +
      `choose another --batch-size than ${batchSize}`,
  );
}

/** @throws ConfigError for settings that make room for a batch which ranks share already */
export function refuseParts({ accumulate = 1, checkpointActivations }: RequestedOptions): void {
  const given = accumulate > 1 ? "--accumulate" : checkpointActivations ? "--checkpoint-activations" : undefined;
  if (given === undefined) return;
  throw new ConfigError(`${given} is for one process, and ranks share each batch: leave it out`);
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
  gradients: GradientSums,
  parameters: readonly Tensor[],
  { loss, flops, rows, stops }: StepSums,
): StepSums {
  const sums = gradients.finish(parameters, [loss, flops, Number(stops), ...(rows ?? [])]);
  const [allLoss = Number.NaN, allFlops = 0, stopped = 0, ...allRows] = sums;
  return { loss: allLoss, flops: allFlops, stops: stopped > 0, ...(rows && { rows: allRows }) };
}

/** True when it is on some rank: a signal comes to each at another moment, and all have to stop at the same place. */
export function onAnyRank(flag: boolean, group: ProcessGroup | undefined): boolean {
  if (!group) return flag;
  return scope(() => group.allReduce(tensor([Number(flag)], { dtype: "int64" }), "max").item() > 0);
}

/** A figure summed over the ranks. */
export function sumOverRanks(figure: number, group: ProcessGroup): number {
  return scope(() => group.allReduce(tensor([figure], { dtype: "float64" })).item());
}
