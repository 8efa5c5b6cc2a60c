/** Exponential moving average of a module's weights (Polyak & Juditsky 1992). */
import type { Module } from "../nn/index.ts";
import { keep, noGrad, ops, scope, type Tensor, UserError } from "../torch/index.ts";

/** A second set of weights that follows a module's; buffers are copied as they are. */
export class EMA {
  readonly decay: number;
  readonly #module: Module;
  readonly #parameters: Map<string, Tensor>;
  readonly #buffers: Map<string, Tensor>;
  #updates = 0;

  /** @param decay part of the old average that stays at each update; less in the first ones: (1 + n) / (10 + n) */
  constructor(module: Module, decay = 0.999) {
    this.decay = decay;
    this.#module = module;
    this.#parameters = copies(module.namedParameters());
    this.#buffers = copies(module.namedBuffers());
  }

  /** Call after each optimiser step. */
  update(): void {
    const decay = Math.min(this.decay, (1 + this.#updates) / (10 + this.#updates));
    this.#updates += 1;
    noGrad(() => {
      ops._foreach_lerp_([...this.#parameters.values()], this.#module.parameters(), 1 - decay);
      const buffers = [...this.#buffers.values()];
      if (buffers.length > 0) ops._foreach_copy_(buffers, [...this.#module.namedBuffers().values()]);
    });
  }

  /** Exchanges the module's weights with the average; a second call exchanges them back. */
  swap(): void {
    scope(() =>
      noGrad(() => {
        for (const [mine, theirs] of this.#pairs()) {
          const before = theirs.clone();
          theirs.copy_(mine);
          mine.copy_(before);
        }
      }),
    );
  }

  /** The averaged weights by name (the very tensors), and the number of updates. */
  stateDict(): { tensors: Map<string, Tensor>; numbers: Record<string, number> } {
    return { tensors: new Map([...this.#parameters, ...this.#buffers]), numbers: { updates: this.#updates } };
  }

  /** @throws UserError when a tensor is missing or has another shape */
  loadStateDict(state: { tensors: ReadonlyMap<string, Tensor>; numbers: Record<string, number> }): void {
    const own = this.stateDict().tensors;
    for (const [name, tensor] of own) {
      const given = state.tensors.get(name);
      if (String(given?.shape) !== String(tensor.shape)) {
        throw new UserError(`the averaged weight ${name} is ${given ? `[${given.shape}]` : "missing"}`);
      }
    }
    noGrad(() => {
      for (const [name, tensor] of own) tensor.copy_(state.tensors.get(name) as Tensor);
    });
    this.#updates = state.numbers["updates"] ?? 0;
  }

  #pairs(): [Tensor, Tensor][] {
    const theirs = new Map([...this.#module.namedParameters(), ...this.#module.namedBuffers()]);
    return [...this.stateDict().tensors].map(([name, mine]) => [mine, theirs.get(name) as Tensor]);
  }

  dispose(): void {
    for (const tensor of this.stateDict().tensors.values()) tensor.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function copies(tensors: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  return new Map(
    Array.from(tensors, ([name, tensor]) => [name, noGrad(() => keep(ops.zeros_like(tensor).copy_(tensor)))]),
  );
}
