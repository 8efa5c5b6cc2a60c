/**
 * Vision Transformer (Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021), pre-norm, as in timm, whose
 * parameter names it has. Its variants: a distillation token (Touvron et al., "Training Data-Efficient Image Transformers",
 * ICML 2021), registers (Darcet et al., ICLR 2024), scaled branches and gated perceptrons (DINOv2), rotary positions
 * (DINOv3; beside learned ones in EVA-02, whose perceptrons have a norm inside), CLIP's norm before the blocks, and SigLIP's
 * pooling by attention.
 */
import { z } from "zod";
import {
  Conv2d,
  DropPath,
  GELU,
  init,
  LayerNorm,
  Linear,
  Module,
  ReLU,
  Sequential,
  SiLU,
  selfAttention,
} from "../nn/index.ts";
import { cat, empty, full, noGrad, ops, scope, type Tensor, UserError } from "../torch/index.ts";
import { Backbone, type BackboneOptions } from "./backbone.ts";
import { Rotary } from "./blocks/rotary.ts";
import type { Preset, PresetInput } from "./preset.ts";

export const vitConfig = z
  .strictObject({
    /** Side of the images; others are refused, because positions are learned. */
    image: z.int().positive().default(224),
    /** Side of the patches. */
    patch: z.int().positive().default(16),
    /** Width of the tokens. */
    dim: z.int().positive().default(192),
    depth: z.int().positive().default(12),
    heads: z.int().positive().default(3),
    /** Width of the perceptrons over that of the tokens. */
    mlpRatio: z.number().positive().default(4),
    /**
     * Source of the features: the class token, the mean of the patches, or the output of a learned query's attention.
     */
    pool: z.enum(["token", "avg", "attention"]).default("token"),
    /** True when there is a class token; only where it gives the features when left out. */
    classToken: z.boolean().optional(),
    /** True when a distillation token follows the class token; the features are the mean of both. */
    distilled: z.boolean().default(false),
    /** Number of further tokens that give no features. */
    registers: z.int().min(0).max(64).default(0),
    /** "rotary": DINOv3's, which turn queries and keys; nothing is learned then. */
    positions: z.enum(["learned", "rotary"]).default("learned"),
    /** Patches along a side in EVA-02's pre-training: its rotary positions then turn queries and keys, beside learned ones. */
    rotaryGrid: z.int().positive().max(1024).optional(),
    /** True when query, key and value have biases. */
    attentionBias: z.boolean().default(true),
    /** True when only patches have positions. */
    patchPositions: z.boolean().default(false),
    /** True when the last norm follows pooling (`fc_norm`); for "avg" when left out. */
    normAfterPool: z.boolean().optional(),
    /** True when a norm stands before the blocks; the projection of patches then has no bias. */
    preNorm: z.boolean().default(false),
    /** True when branches are scaled channel by channel. */
    layerScale: z.boolean().default(false),
    /** True when half of a perceptron's hidden channels gate the other half (SwiGLU). */
    gated: z.boolean().default(false),
    /** True when a norm stands before the last layer of perceptrons (EVA-02). */
    mlpNorm: z.boolean().default(false),
    /** True when a norm stands before the last layer of attention (EVA-02's CLIP). */
    attentionNorm: z.boolean().default(false),
    /** Activation of perceptrons; gated ones have SiLU. */
    activation: z.enum(["gelu", "gelu_tanh", "quick_gelu", "relu", "silu"]).default("gelu"),
    /** Probability of dropping the last block's branches in training; it rises linearly over the blocks. */
    dropPath: z.number().min(0).max(0.9).default(0),
    /** Epsilon of every LayerNorm: 1e-6 in timm and torchvision, 1e-12 in transformers. */
    eps: z.number().positive().max(1).default(1e-6),
  })
  .refine((config) => config.image % config.patch === 0, "the image's side must be a multiple of the patch's")
  .refine((config) => config.dim % config.heads === 0, "dim must be a multiple of heads")
  .refine(
    ({ positions, rotaryGrid, dim, heads }) =>
      (positions === "learned" && rotaryGrid === undefined) || (dim / heads) % 4 === 0,
    "rotary positions need heads whose channels are a multiple of four",
  )
  .refine(
    ({ pool, classToken, distilled }) => pool !== "token" || (classToken ?? true) || distilled,
    'pool "token" needs a class token',
  )
  .refine(({ pool, distilled }) => pool === "token" || !distilled, 'a distillation token needs pool "token"');

export type ViTConfig = z.input<typeof vitConfig>;

/** timm's augreg weights were trained on values in [-1, 1]. */
const halfInput: PresetInput = { size: 224, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], interpolation: "bicubic" };

const preset = (dim: number, heads: number, more: ViTConfig = {}): Preset => {
  const config = { dim, heads, ...more } satisfies ViTConfig;
  return { architecture: "vit", config, input: halfInput, classifier: "head", library: "timm" };
};

export const vitPresets: Readonly<Record<string, Preset>> = {
  vit_tiny_patch16_224: preset(192, 3),
  vit_small_patch16_224: preset(384, 6),
  vit_base_patch16_224: preset(768, 12),
  vit_base_patch32_224: preset(768, 12, { patch: 32 }),
  vit_large_patch16_224: preset(1024, 16, { depth: 24 }),
  vit_huge_patch14_224: preset(1280, 16, { depth: 32, patch: 14 }),
};

type Network = z.output<typeof vitConfig>;

/** Gates hidden channels by their other half: [.., 2h] to [.., h]. */
class SwiGate extends Module {
  override forward(x: Tensor): Tensor {
    return scope(() => {
      const half = x.size(-1) / 2;
      return ops.silu(x.narrow(-1, 0, half)).mul(x.narrow(-1, half, half));
    });
  }
}

/** x σ(1.702 x), OpenAI's approximation of GELU. */
class QuickGELU extends Module {
  override forward(x: Tensor): Tensor {
    return scope(() => x.mul(x.mul(1.702).sigmoid()));
  }
}

const activations: Record<Network["activation"], () => Module> = {
  gelu: () => new GELU(),
  gelu_tanh: () => new GELU({ approximate: "tanh" }),
  quick_gelu: () => new QuickGELU(),
  relu: () => new ReLU(),
  silu: () => new SiLU(),
};

/** Two layers over each token, with an activation or a gate between, and a norm after it where there is one. */
function perceptron(network: Network, options: BackboneOptions): Sequential {
  const { dim, mlpRatio, gated, activation, mlpNorm, eps } = network;
  // A ratio such as 4304 / 1152 is not exact.
  const hidden = Math.floor(dim * mlpRatio + 1e-6);
  const fc1 = linear(dim, gated ? 2 * hidden : hidden, options);
  return new Sequential({
    fc1,
    act: gated ? new SwiGate() : activations[activation](),
    ...(mlpNorm ? { norm: new LayerNorm([hidden], { ...options, eps }) } : {}),
    fc2: linear(hidden, dim, options),
  });
}

class Attention extends Module {
  readonly #qkv: Linear;
  readonly #norm: LayerNorm | undefined;
  readonly #proj: Linear;
  readonly #heads: number;
  readonly #rotary: Rotary | undefined;

  /** @param rotary belongs to the whole network */
  constructor(network: Network, rotary: Rotary | undefined, options: BackboneOptions) {
    super();
    const { dim, heads, attentionBias: bias, attentionNorm, eps } = network;
    this.#heads = heads;
    this.#rotary = rotary;
    this.#qkv = this.module("qkv", linear(dim, 3 * dim, { ...options, bias }));
    if (attentionNorm) this.#norm = this.module("norm", new LayerNorm([dim], { ...options, eps }));
    this.#proj = this.module("proj", linear(dim, dim, options));
  }

  override forward(x: Tensor): Tensor {
    const joined = this.#qkv.forward(x);
    const turn = this.#rotary?.turning(joined.size(-1) / 3 / this.#heads, joined.dtype);
    const attended = selfAttention(joined, this.#heads, turn);
    return this.#proj.forward(this.#norm?.forward(attended) ?? attended);
  }
}

/** One learned query attends to all tokens: [B, N, d] to [B, d]. */
class AttentionPool extends Module {
  readonly #latent: Tensor;
  readonly #query: Linear;
  readonly #keyValue: Linear;
  readonly #proj: Linear;
  readonly #norm: LayerNorm;
  readonly #mlp: Sequential;
  readonly #heads: number;

  constructor(network: Network, options: BackboneOptions) {
    super();
    const { dim, heads, eps } = network;
    this.#heads = heads;
    this.#latent = this.parameter("latent", empty([1, 1, dim], options));
    init.truncNormal_(this.#latent, dim ** -0.5, options.generator);
    this.#query = this.module("q", linear(dim, dim, options));
    this.#keyValue = this.module("kv", linear(dim, 2 * dim, options));
    this.#proj = this.module("proj", linear(dim, dim, options));
    this.#norm = this.module("norm", new LayerNorm([dim], { ...options, eps }));
    this.#mlp = this.module("mlp", perceptron({ ...network, gated: false, mlpNorm: false }, options));
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      const [batch = 0, length = 0, dim = 0] = x.shape;
      const split = (joined: Tensor, parts: number, rows: number): Tensor[] =>
        ops.permute(joined.view([batch, rows, parts, this.#heads, dim / this.#heads]), [2, 0, 3, 1, 4]).unbind(0);
      const [query] = split(this.#query.forward(this.#latent.expand([batch, 1, dim])), 1, 1);
      const [key, value] = split(this.#keyValue.forward(x), 2, length);
      if (!query || !key || !value) throw new RangeError("attention needs query, key and value");
      const attended = ops.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape([batch, 1, dim]);
      const pooled = this.#proj.forward(attended);
      return pooled.add(this.#mlp.forward(this.#norm.forward(pooled))).select(1, 0);
    });
  }
}

/** x + attention(norm(x)), then x + perceptron(norm(x)). */
class Block extends Module {
  readonly #norm1: LayerNorm;
  readonly #attention: Attention;
  readonly #norm2: LayerNorm;
  readonly #mlp: Sequential;
  readonly #drop: DropPath | undefined;

  readonly #scales: readonly Tensor[];

  constructor(network: Network, rotary: Rotary | undefined, drop: number, options: BackboneOptions) {
    super();
    const { dim, eps, layerScale } = network;
    const scale = (name: string): Tensor[] =>
      layerScale ? [this.parameter(`${name}.gamma`, full([dim], 1e-5, options))] : [];
    this.#norm1 = this.module("norm1", new LayerNorm([dim], { ...options, eps }));
    this.#attention = this.module("attn", new Attention(network, rotary, options));
    const first = scale("ls1");
    this.#norm2 = this.module("norm2", new LayerNorm([dim], { ...options, eps }));
    this.#mlp = this.module("mlp", perceptron(network, options));
    this.#scales = [...first, ...scale("ls2")];
    const generator = options.dropGenerator ?? options.generator;
    if (drop > 0) this.#drop = this.module("drop_path", new DropPath(drop, { generator }));
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      const [first, second] = this.#scales;
      const attended = this.#dropped(scaled(this.#attention.forward(this.#norm1.forward(x)), first)).add(x);
      return this.#dropped(scaled(this.#mlp.forward(this.#norm2.forward(attended)), second)).add(attended);
    });
  }

  #dropped(x: Tensor): Tensor {
    return this.#drop?.forward(x) ?? x;
  }
}

/** ViT in any size; [B, 3, image, image] to [B, d]. */
export class ViT extends Backbone {
  readonly featureWidth: number;
  readonly #config: Network;
  readonly #side: number;
  readonly #project: Conv2d;
  /** Tokens before the patches: class, distillation, registers. */
  readonly #prefix: readonly Tensor[];
  readonly #prefixLength: number;
  readonly #positions: Tensor | undefined;
  readonly #before: LayerNorm | undefined;
  readonly #blocks: Sequential;
  readonly #norm: LayerNorm;
  readonly #normsAfterPool: boolean;
  readonly #pool: AttentionPool | undefined;

  constructor(config: ViTConfig, options: BackboneOptions) {
    super();
    this.#config = vitConfig.parse(config);
    const { image, patch, dim, depth, pool, distilled, registers, positions, rotaryGrid } = this.#config;
    const { patchPositions, preNorm, dropPath, eps } = this.#config;
    const { generator } = options;
    const token = (name: string, length: number): Tensor =>
      init.normal_(this.parameter(name, empty([1, length, dim], options)), 1e-6, generator);
    const prefix: Tensor[] = [];
    if (this.#config.classToken ?? pool === "token") prefix.push(token("cls_token", 1));
    if (distilled) prefix.push(token("dist_token", 1));
    if (registers > 0) prefix.push(token("reg_token", registers));
    this.#prefix = prefix;
    this.#prefixLength = prefix.reduce((sum, { shape }) => sum + (shape[1] ?? 0), 0);
    this.featureWidth = dim;
    this.#side = Math.floor(image / patch);
    const rotary = positions === "rotary" || rotaryGrid !== undefined ? this.#rotary(options) : undefined;
    if (positions === "learned") {
      const length = this.#side ** 2 + (patchPositions ? 0 : this.#prefixLength);
      this.#positions = this.parameter(positionsName, empty([1, length, dim], options));
      init.truncNormal_(this.#positions, 0.02, generator);
    }
    const projection = new Conv2d(3, dim, patch, { ...options, stride: patch, bias: !preNorm });
    this.#project = this.module("patch_embed.proj", projection);
    const norm = (): LayerNorm => new LayerNorm([dim], { ...options, eps });
    if (preNorm) this.#before = this.module("norm_pre", norm());
    const blocks = Array.from({ length: depth }, (_, i) => {
      return new Block(this.#config, rotary, (dropPath * i) / Math.max(1, depth - 1), options);
    });
    this.#blocks = this.module("blocks", new Sequential(blocks));
    this.#normsAfterPool = this.#config.normAfterPool ?? pool === "avg";
    this.#norm = this.module(this.#normsAfterPool ? "fc_norm" : "norm", norm());
    if (pool === "attention") this.#pool = this.module("attn_pool", new AttentionPool(this.#config, options));
  }

  #rotary({ device }: BackboneOptions): Rotary {
    const { dim, heads, rotaryGrid: grid } = this.#config;
    return this.module("rope_embed", new Rotary(dim / heads, this.#side, this.#prefixLength, { grid, device }));
  }

  /** Tokens [B, N, d] after the last block. */
  #tokens(x: Tensor): Tensor {
    const { image, patch, patchPositions } = this.#config;
    if (Math.floor(x.size(2) / patch) !== this.#side || Math.floor(x.size(3) / patch) !== this.#side) {
      throw new UserError(`this ViT takes images of ${image} x ${image} pixels, got ${x.size(3)} x ${x.size(2)}`);
    }
    const patches = this.#project.forward(x).flatten(2).transpose(1, 2);
    const prefix = this.#prefix.map((token) => token.expand([x.size(0), token.size(1), this.featureWidth]));
    const joined = (tokens: Tensor): Tensor => (prefix.length > 0 ? cat([...prefix, tokens], 1) : tokens);
    const at = this.#positions;
    const placed = !at ? joined(patches) : patchPositions ? joined(patches.add(at)) : joined(patches).add(at);
    return this.#blocks.forward(this.#before?.forward(placed) ?? placed);
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      const tokens = this.#tokens(x);
      if (this.#normsAfterPool) return this.#norm.forward(this.#pooled(tokens));
      // Normalisation is per token, so the class token alone gives what the whole sequence would.
      const { pool, distilled } = this.#config;
      if (pool === "token") return this.#norm.forward(tokens.narrow(1, 0, distilled ? 2 : 1)).mean(1);
      return this.#pooled(this.#norm.forward(tokens));
    });
  }

  #pooled(tokens: Tensor): Tensor {
    const { pool, distilled } = this.#config;
    if (this.#pool) return this.#pool.forward(tokens);
    return pool === "token" ? tokens.narrow(1, 0, distilled ? 2 : 1).mean(1) : this.#patches(tokens).mean(1);
  }

  #patches(tokens: Tensor): Tensor {
    return tokens.narrow(1, this.#prefixLength, this.#side ** 2);
  }

  /** Patch tokens as a map [B, d, h, w]; normalised where the norm applies to tokens. */
  override forwardMap(x: Tensor): Tensor {
    return scope(() => {
      const side = this.#side;
      const patches = this.#patches(this.#tokens(x));
      const normed = this.#normsAfterPool ? patches : this.#norm.forward(patches);
      return normed.transpose(1, 2).reshape([x.size(0), this.featureWidth, side, side]);
    });
  }
}

/**
 * Learned positions [.., n + from², d] for to² patches, as timm resizes them: bicubic with antialiasing; the n rows of other
 * tokens stay. The result is the caller's.
 */
export function resizePositions(positions: Tensor, from: number, to: number): Tensor {
  return scope(() => {
    const [width = 0, length = 0] = positions.shape.toReversed();
    const others = length - from ** 2;
    const rows = positions.to({ dtype: "float32" }).view([length, width]);
    const map = ops.permute(rows.narrow(0, others, from ** 2).view([1, from, from, width]), [0, 3, 1, 2]);
    const resized = ops.permute(ops._upsample_bicubic2d_aa(map, [to, to], false), [0, 2, 3, 1]);
    const joined = cat([rows.narrow(0, 0, others), resized.reshape([to ** 2, width])]);
    return joined.view([...positions.shape.slice(0, -2), others + to ** 2, width]).to({ dtype: positions.dtype });
  });
}

/** Name of the learned positions among a ViT's parameters. */
export const positionsName = "pos_embed";

function scaled(x: Tensor, scale: Tensor | undefined): Tensor {
  return scale ? x.mul(scale) : x;
}

function linear(from: number, to: number, options: BackboneOptions & { bias?: boolean }): Linear {
  const layer = new Linear(from, to, options);
  init.truncNormal_(layer.weight, 0.02, options.generator);
  noGrad(() => layer.bias?.zero_());
  return layer;
}
