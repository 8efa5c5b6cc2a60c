/** First stages of a network that stay as they are, without the rest of the network. */
import type { Backbone } from "../models/index.ts";
import { Module } from "../nn/index.ts";
import { inferenceMode, Script, scope, Tensor, watchCalls, zeros } from "../torch/index.ts";

export class FrozenStem extends Module {
  readonly #network: Backbone;
  readonly #prepare: (images: Tensor) => Tensor;

  /**
   * @param network taken over: what its first stages do not read is released
   * @param prepare images [n, 3, H, W] in [0, 1] as the network expects them
   * @param size side of an image that the network takes, pixels
   */
  constructor(network: Backbone, prepare: (images: Tensor) => Tensor, size: number) {
    super();
    this.#network = network.eval().requiresGrad_(false);
    this.#prepare = prepare;
    const used = tensorsRead(() =>
      network.stem(zeros([1, 3, size, size], { device: network.parameters()[0]?.device })),
    );
    for (const [name, tensor] of network.stateDict()) {
      if (used.has(tensor)) this.buffer(name, tensor);
      else tensor.dispose();
    }
  }

  /** Feature map [n, c, h, w] of images [n, 3, H, W] in [0, 1]. */
  override forward(images: Tensor): Tensor {
    return scope(() => this.#network.stem(this.#prepare(images)));
  }
}

/** Tensors that operators are given while `fn` runs. */
function tensorsRead(fn: () => unknown): Set<Tensor> {
  const read = new Set<Tensor>();
  const note = (value: unknown): void => {
    if (value instanceof Tensor) read.add(value);
    else if (Array.isArray(value)) value.forEach(note);
  };
  const see = (_: string, args: readonly unknown[]): void => {
    args.forEach(note);
    const [program, x] = args;
    if (program instanceof Script && x instanceof Tensor) for (const [, inner] of program.calls(x)) inner.forEach(note);
  };
  watchCalls(see, () => scope(() => inferenceMode(() => void fn())));
  return read;
}
