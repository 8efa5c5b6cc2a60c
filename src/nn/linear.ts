/** Layers that are matrix products: Linear, Embedding, MultiheadAttention. */
import { empty, ops, randn, type Tensor, zeros } from "../torch/index.ts";
import { constant_, type InitOptions, kaimingUniform_, uniform_, xavierUniform_ } from "./init.ts";
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

/** Rows of a table by index: int64 [...] to [..., width]; initial values N(0, 1). */
export class Embedding extends Module {
  readonly weight: Tensor;

  constructor(count: number, width: number, options: InitOptions) {
    super();
    this.weight = this.parameter("weight", randn([count, width], options));
  }

  override forward(indices: Tensor): Tensor {
    return ops.embedding(this.weight, indices);
  }
}

/** Splits [B, N, 3 d] of joined query, key and value into heads, attends, and joins the heads again: [B, N, d]. */
export function selfAttention(joined: Tensor, heads: number): Tensor {
  const [batch = 0, length = 0, width = 0] = joined.shape;
  const parts = ops.permute(joined.view([batch, length, 3, heads, width / 3 / heads]), [2, 0, 3, 1, 4]);
  const [query, key, value] = parts.unbind(0);
  if (!query || !key || !value) throw new RangeError("attention needs query, key and value");
  const attended = ops.scaled_dot_product_attention(query, key, value);
  return attended.transpose(1, 2).reshape([batch, length, width / 3]);
}

/**
 * Self-attention over [B, N, width] (batch first, no dropout), Vaswani et al. 2017, with the parameters of PyTorch's
 * nn.MultiheadAttention: in_proj_weight, in_proj_bias, out_proj.weight, out_proj.bias.
 */
export class MultiheadAttention extends Module {
  readonly heads: number;
  readonly in_proj_weight: Tensor;
  readonly in_proj_bias: Tensor;
  readonly out_proj: Linear;

  /** @throws RangeError when the width is not divisible by the number of heads */
  constructor(width: number, heads: number, options: InitOptions) {
    super();
    if (width % heads !== 0) throw new RangeError(`attention width ${width} is not divisible by ${heads} heads`);
    this.heads = heads;
    this.in_proj_weight = this.parameter("in_proj_weight", empty([3 * width, width], options));
    this.in_proj_bias = this.parameter("in_proj_bias", zeros([3 * width], options));
    this.out_proj = this.module("out_proj", new Linear(width, width, options));
    xavierUniform_(this.in_proj_weight, options.generator);
    constant_(this.out_proj.bias as Tensor, 0);
  }

  override forward(x: Tensor): Tensor {
    return this.out_proj.forward(selfAttention(ops.linear(x, this.in_proj_weight, this.in_proj_bias), this.heads));
  }
}
