/** The member whose weights were lost, and what to do about it. */
import type { Module } from "../nn/index.ts";
import type { Optimizer } from "../optim/index.ts";
import type { Tensor } from "../torch/index.ts";
import { firstNotFinite } from "./finite.ts";
import type { Learner } from "./learner.ts";

/**
 * A sentence about weights of a learner that are not finite; undefined when all are sound. Weights that no step has
 * changed are those of the hub: another learning rate does not mend them.
 */
export function divergence({ module, backbones, memberNames }: Learner, optimizer: Optimizer): string | undefined {
  for (const [i, backbone] of backbones.entries()) {
    const tensor = firstNotFinite(backbone.stateDict());
    if (tensor === undefined) continue;
    const name = `member "${memberNames[i]}"`;
    if (wasStepped(backbone, optimizer)) return lost(`the weights of ${name}`, tensor);
    return `${name} has weights in the hub that are not finite (${tensor}): replace them, or take it out of the hub`;
  }
  const tensor = firstNotFinite(module.stateDict());
  return tensor === undefined ? undefined : lost("the new layers' weights", tensor);
}

function lost(what: string, tensor: string): string {
  return `${what} are no longer finite (${tensor}): lower the learning rate (--lr)`;
}

function wasStepped(backbone: Module, optimizer: Optimizer): boolean {
  return backbone.parameters().some((parameter: Tensor) => optimizer.wasStepped(parameter));
}
