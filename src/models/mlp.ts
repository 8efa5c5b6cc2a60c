/**
 * Layers of units one after the other, for observations that are vectors. Two layers of 64 tanh units are those of
 * Schulman et al., "Proximal Policy Optimization Algorithms", 2017.
 */
import { z } from "zod";
import { type InitOptions, Linear } from "../nn/index.ts";
import { scope, type Tensor } from "../torch/index.ts";
import { ObservationNetwork } from "./backbone.ts";

export const mlpConfig = z.strictObject({
  /** Numbers of one observation. */
  channels: z.int().positive(),
  hidden: z.array(z.int().positive()).min(1).default([64, 64]),
  activation: z.enum(["tanh", "relu"]).default("tanh"),
});

export type MlpConfig = z.input<typeof mlpConfig>;

/** [B, C, 1, 1] to the last layer's [B, hidden]. */
export class Mlp extends ObservationNetwork {
  readonly featureWidth: number;
  readonly inputShape: readonly [number, number, number];
  readonly #layers: Linear[];
  readonly #activation: "tanh" | "relu";

  constructor(config: MlpConfig, options: InitOptions) {
    super();
    const { channels, hidden, activation } = mlpConfig.parse(config);
    this.inputShape = [channels, 1, 1];
    this.featureWidth = hidden.at(-1) ?? channels;
    this.#activation = activation;
    const widths = [channels, ...hidden];
    this.#layers = hidden.map((to, i) => this.module(`layers.${i}`, new Linear(widths[i] ?? channels, to, options)));
  }

  get inputWeight(): Tensor {
    return (this.#layers[0] as Linear).weight;
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      let y = x.flatten(1);
      for (const layer of this.#layers) y = layer.forward(y)[this.#activation]();
      return y;
    });
  }
}
