/**
 * The network of MinAtar's authors for its 10x10 grids (Young & Tian, "MinAtar: An Atari-Inspired Testbed for Thorough and
 * Reproducible Reinforcement Learning Experiments", 2019): one convolution of 16 3x3 filters, one layer of 128 units.
 */
import { z } from "zod";
import { Conv2d, type InitOptions, Linear } from "../nn/index.ts";
import { scope, type Tensor } from "../torch/index.ts";
import { ObservationNetwork } from "./backbone.ts";

export const minatarNetworkConfig = z.strictObject({
  /** Kinds of objects of the game. */
  channels: z.int().positive(),
  height: z.int().min(3).default(10),
  width: z.int().min(3).default(10),
  filters: z.int().positive().default(16),
  hidden: z.int().positive().default(128),
});

export type MinatarNetworkConfig = z.input<typeof minatarNetworkConfig>;

/** [B, C, H, W] to [B, hidden]. */
export class MinatarNetwork extends ObservationNetwork {
  readonly featureWidth: number;
  readonly inputShape: readonly [number, number, number];
  readonly #conv: Conv2d;
  readonly #fc: Linear;

  constructor(config: MinatarNetworkConfig, options: InitOptions) {
    super();
    const { channels, height, width, filters, hidden } = minatarNetworkConfig.parse(config);
    this.inputShape = [channels, height, width];
    this.featureWidth = hidden;
    this.#conv = this.module("conv", new Conv2d(channels, filters, 3, options));
    this.#fc = this.module("fc", new Linear(filters * (height - 2) * (width - 2), hidden, options));
  }

  get inputWeight(): Tensor {
    return this.#conv.weight;
  }

  override forward(x: Tensor): Tensor {
    return scope(() => this.#fc.forward(this.#conv.forward(x).relu().flatten(1)).relu());
  }
}
