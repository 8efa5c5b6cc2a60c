/** A learner whose models ranks have among them: what they do together beside their steps. */
import { clipGradNorm, type Optimizer, shrinkGradients } from "../optim/index.ts";
import { type ProcessGroup, scope, type Tensor, tensor, UserError } from "../torch/index.ts";
import type { Shards } from "./learner.ts";
import { onAnyRank } from "./ranks.ts";

/** Test for tensors that this rank alone trains, and for their moments in an optimizer. */
export function ownTensors({ own }: Pick<Shards, "own">, optimizer?: Optimizer): (tensor: Tensor) => boolean {
  const weights = own.flatMap((module) => [...module.stateDict().values()]);
  const moments = weights.flatMap((weight) => [...(optimizer?.momentsOf(weight) ?? [])]);
  const all = new Set([...weights, ...moments]);
  return (tensor) => all.has(tensor);
}

/** Work that all ranks do: where it fails on one, all fail. */
export function together(group: ProcessGroup, work: () => void): void {
  let failure: { error: unknown } | undefined;
  try {
    work();
  } catch (error) {
    failure = { error };
  }
  const failed = onAnyRank(failure !== undefined, group);
  if (failure) throw failure.error;
  if (failed) throw new UserError("another rank could not save what it trains: it says why");
}

/** The joint norm of all ranks' gradients, which are scaled so that it is at most `max`: see `clipGradNorm`. */
export function clipShared({ own, common, group }: Pick<Shards, "own" | "common" | "group">, max: number): number {
  const parameters = own.flatMap((module) => module.parameters());
  const all = [...parameters, ...common];
  // What all ranks have alike counts once.
  const norm = clipGradNorm(group.rank === 0 ? all : parameters, Number.POSITIVE_INFINITY);
  const total = Math.sqrt(scope(() => group.allReduce(tensor([norm ** 2], { dtype: "float64" })).item()));
  shrinkGradients(all, total, max);
  return total;
}

/** The text of the first rank that has one, on all of them. */
export function firstText(text: string | undefined, group: ProcessGroup): string | undefined {
  const key = group.keyOf("text");
  if (text !== undefined) group.set(`${key}/${group.rank}`, text);
  const place = text === undefined ? group.worldSize : group.rank;
  const first = scope(() => group.allReduce(tensor([place], { dtype: "int64" }), "min").item());
  if (first === group.worldSize) return undefined;
  const found = group.get(`${key}/${first}`);
  // Whoever serves the store may end only after all have read.
  group.barrier();
  return found;
}
