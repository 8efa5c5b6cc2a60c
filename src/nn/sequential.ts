/** Modules one after the other. */
import type { Tensor } from "../torch/index.ts";
import { foldedSteps } from "./folding.ts";
import { Module } from "./module.ts";

/** Runs its children in order; they are named "0", "1", … as in PyTorch, or by the keys of an object. */
export class Sequential extends Module {
  readonly #steps: readonly Module[];

  constructor(steps: readonly Module[] | Readonly<Record<string, Module>>) {
    super();
    this.#steps = Object.entries(steps).map(([name, step]) => this.module(name, step));
  }

  override forward(x: Tensor): Tensor {
    return inOrder(this.#steps, x);
  }

  /** The children in order. */
  steps(): readonly Module[] {
    return this.#steps;
  }
}

/** Runs modules one after the other. */
export function inOrder(steps: readonly Module[], x: Tensor): Tensor {
  let y = x;
  for (let i = 0; i < steps.length; ) {
    const folded = foldedSteps(y, steps, i);
    const next = folded?.y ?? steps[i]?.forward(y) ?? y;
    i += folded?.count ?? 1;
    // A tensor that only the next step needed goes at once, so that its memory is used again while it is in the cache.
    if (y !== x && y !== next) y.dispose();
    y = next;
  }
  return y;
}
