/**
 * Pooling by attention (Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021): the
 * mean of a map's pixels asks all of them. Parameter names are the authors'. B images, c channels, e width of the space of
 * images and texts.
 */
import { init, Linear, Module } from "../../nn/index.ts";
import { cat, empty, noGrad, ops, scope, type Tensor } from "../../torch/index.ts";
import type { BackboneOptions } from "../backbone.ts";

/** Channels of each head. */
export const headChannels = 64;

/** A map [B, c, s, s] of one side s, for which positions are learned, to [B, e]. */
export class AttentionPool2d extends Module {
  readonly #positions: Tensor;
  readonly #query: Linear;
  readonly #key: Linear;
  readonly #value: Linear;
  readonly #out: Linear;

  constructor(side: number, channels: number, out: number, options: BackboneOptions) {
    super();
    const deviation = channels ** -0.5;
    const { generator } = options;
    this.#positions = this.parameter("positional_embedding", empty([side ** 2 + 1, channels], options));
    init.normal_(this.#positions, deviation, generator);
    const linear = (name: string, to: number): Linear => {
      const layer = this.module(name, new Linear(channels, to, options));
      init.normal_(layer.weight, deviation, generator);
      noGrad(() => layer.bias?.zero_());
      return layer;
    };
    this.#query = linear("q_proj", channels);
    this.#key = linear("k_proj", channels);
    this.#value = linear("v_proj", channels);
    this.#out = linear("c_proj", out);
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      const pixels = x.flatten(2).transpose(1, 2);
      const tokens = cat([pixels.mean(1, true), pixels], 1).add(this.#positions);
      const [batch = 0, , channels = 0] = tokens.shape;
      // Nothing is left to the view to find out: a rank may have no row of a model.
      const heads = (y: Tensor): Tensor =>
        y.view([batch, y.size(1), channels / headChannels, headChannels]).transpose(1, 2);
      const query = heads(this.#query.forward(tokens.narrow(1, 0, 1)));
      const [key, value] = [heads(this.#key.forward(tokens)), heads(this.#value.forward(tokens))];
      const attended = ops.scaled_dot_product_attention(query, key, value);
      return this.#out.forward(attended.reshape([batch, channels]));
    });
  }
}
