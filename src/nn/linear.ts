/** Matrix products: the layer Linear, and self-attention. */
import { empty, ops, type Tensor } from "../torch/index.ts";
import { type InitOptions, kaimingUniform_, uniform_ } from "./init.ts";
import { Module } from "./module.ts";

/** y = x Wᵀ + b: [..., in] to [..., out]. PyTorch's initialisation: weight and bias uniform within ±1 / √in. */
export class Linear extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor | undefined;

  constructor(inFeatures: number, outFeatures: number, options: InitOptions & { bias?: boolean | undefined }) {
    super();
    this.weight = this.parameter("weight", empty([outFeatures, inFeatures], options));
    kaimingUniform_(this.weight, options.generator);
    if (options.bias === false) return;
    this.bias = this.parameter("bias", empty([outFeatures], options));
    uniform_(this.bias, 1 / Math.sqrt(inFeatures), options.generator);
  }

  override forward(x: Tensor): Tensor {
    return ops.linear(x, this.weight, this.bias);
  }
}

/**
 * Splits [B, N, 3 d] of joined query, key and value into heads, attends, and joins the heads again: [B, N, d].
 * @param place puts positions into queries and keys, [B, heads, N, d / heads]
 */
export function selfAttention(joined: Tensor, heads: number, place = (x: Tensor): Tensor => x): Tensor {
  const [batch = 0, length = 0, width = 0] = joined.shape;
  const parts = ops.permute(joined.view([batch, length, 3, heads, width / 3 / heads]), [2, 0, 3, 1, 4]);
  const [query, key, value] = parts.unbind(0);
  if (!query || !key || !value) throw new RangeError("attention needs query, key and value");
  const attended = ops.scaled_dot_product_attention(place(query), place(key), value);
  return attended.transpose(1, 2).reshape([batch, length, width / 3]);
}
