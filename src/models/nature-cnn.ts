/**
 * The network of deep Q-learning for Atari frames (Mnih et al., "Human-level control through deep reinforcement learning",
 * Nature 518, 2015): three convolutions and a layer of 512 units over four stacked frames of 84x84 pixels.
 */
import { z } from "zod";
import { Conv2d, type InitOptions, Linear } from "../nn/index.ts";
import { scope, type Tensor } from "../torch/index.ts";
import { ObservationNetwork } from "./backbone.ts";

export const natureCnnConfig = z.strictObject({
  /** Stacked frames. */
  channels: z.int().positive().default(4),
  height: z.int().min(36).default(84),
  width: z.int().min(36).default(84),
  hidden: z.int().positive().default(512),
});

export type NatureCnnConfig = z.input<typeof natureCnnConfig>;

/** Filters, kernel, stride. */
const layers = [
  [32, 8, 4],
  [64, 4, 2],
  [64, 3, 1],
] as const;

/** [B, C, H, W] to [B, hidden]. */
export class NatureCnn extends ObservationNetwork {
  readonly featureWidth: number;
  readonly inputShape: readonly [number, number, number];
  readonly #convs: Conv2d[] = [];
  readonly #fc: Linear;

  constructor(config: NatureCnnConfig, options: InitOptions) {
    super();
    const { channels, height, width, hidden } = natureCnnConfig.parse(config);
    this.inputShape = [channels, height, width];
    this.featureWidth = hidden;
    let [from, h, w] = [channels, height, width];
    for (const [i, [filters, kernel, stride]] of layers.entries()) {
      this.#convs.push(this.module(`convs.${i}`, new Conv2d(from, filters, kernel, { stride, ...options })));
      from = filters;
      [h, w] = [Math.floor((h - kernel) / stride) + 1, Math.floor((w - kernel) / stride) + 1];
    }
    this.#fc = this.module("fc", new Linear(from * h * w, hidden, options));
  }

  get inputWeight(): Tensor {
    return (this.#convs[0] as Conv2d).weight;
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      let y = x;
      for (const conv of this.#convs) y = conv.forward(y).relu();
      return this.#fc.forward(y.flatten(1)).relu();
    });
  }
}
