/**
 * Activation checkpointing (Chen, Xu, Zhang & Guestrin, "Training Deep Nets with Sublinear Memory Cost", 2016): blocks forget
 * what they compute inside, and compute it again when the backward pass comes to them. Gradients are the same, a step holds
 * the activations of one block beside the blocks' outputs, and costs one more forward pass.
 */
import { enableGrad, Generator, isGradEnabled, keep, noGrad, ops, scope, type Tensor, zeros } from "../torch/index.ts";
import type { Module } from "./module.ts";

/** A block that ran, and waits for its gradient. */
interface Waiting {
  readonly run: (x: Tensor) => Tensor;
  readonly input: Tensor;
  /** A summand of the output, whose gradient is the output's; it takes no memory. */
  readonly output: Tensor;
  readonly states: ReadonlyMap<Generator, Uint8Array>;
}

let recomputing = false;

/** True in the second forward pass of a block: statistics that are kept over steps have seen its input already. */
export function isRecomputing(): boolean {
  return recomputing;
}

export class Recomputation {
  readonly #undo: readonly (() => void)[];
  readonly #waiting: Waiting[] = [];

  /** @param blocks that forget; `trains` says of each whether anything inside is trained */
  constructor(blocks: readonly { block: Module; trains: boolean }[]) {
    this.#undo = blocks.map(({ block, trains }) => {
      const sources = generatorsOf(block);
      return block.wrap((x, run) =>
        isGradEnabled() && (trains || x.requires_grad) ? this.#run(x, run, sources) : run(x),
      );
    });
  }

  #run(x: Tensor, run: (x: Tensor) => Tensor, sources: readonly Generator[]): Tensor {
    // Inside the second pass of a block around it.
    if (recomputing) return run(x);
    const states = new Map(sources.map((source) => [source, source.getState()]));
    return scope(() => {
      const y = noGrad(() => scope(() => run(x)));
      const output = keep(zeros([], { dtype: y.dtype, device: y.device }).expand(y.shape).detach());
      output.requires_grad = true;
      this.#waiting.push({ run, input: keep(ops.alias(x)), output, states });
      return y.add(output);
    });
  }

  /**
   * Goes on with a backward pass that ended at blocks which forgot.
   * @param within runs the second forward passes as the first ones ran, under autocast for instance
   */
  finish(within: <T>(fn: () => T) => T = (fn) => fn()): void {
    try {
      for (const block of this.#waiting.toReversed()) scope(() => goOn(block, within));
    } finally {
      this.clear();
    }
  }

  /** Forgets blocks whose backward pass does not come. */
  clear(): void {
    for (const { input, output } of this.#waiting) {
      input.dispose();
      output.dispose();
    }
    this.#waiting.length = 0;
  }

  /** Gives the blocks their forward passes back. */
  dispose(): void {
    this.clear();
    for (const undo of this.#undo) undo();
  }
}

function goOn({ run, input, output, states }: Waiting, within: <T>(fn: () => T) => T): void {
  const gradient = output.grad;
  if (!gradient) return;
  const x = input.detach();
  x.requires_grad = input.requires_grad;
  const y = again(states, () => scope(() => enableGrad(() => within(() => run(x)))));
  if (y.requires_grad) y.backward(gradient);
  const before = x.requires_grad ? x.grad : undefined;
  if (before) input.backward(before);
}

/** Runs `fn` with the random numbers of before. */
function again<T>(states: ReadonlyMap<Generator, Uint8Array>, fn: () => T): T {
  const now = new Map([...states.keys()].map((source) => [source, source.getState()]));
  recomputing = true;
  try {
    for (const [source, state] of states) source.setState(state);
    return fn();
  } finally {
    recomputing = false;
    for (const [source, state] of now) source.setState(state);
  }
}

/** Streams that parts of a block draw from in training, and the second pass must draw from again. */
function generatorsOf(block: Module): Generator[] {
  const sources = block.modules().map((part) => (part as { generator?: unknown }).generator);
  return [...new Set(sources.filter((source) => source instanceof Generator))];
}
