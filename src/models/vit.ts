/**
 * Vision Transformer (Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021), pre-norm, as in timm, whose
 * parameter names it has. With `pool: "token"` a class token gives the features; with "avg" the mean of the patches.
 */
import { z } from "zod";
import { Conv2d, DropPath, GELU, init, LayerNorm, Linear, Module, Sequential, selfAttention } from "../nn/index.ts";
import { cat, empty, noGrad, scope, type Tensor, UserError } from "../torch/index.ts";
import { Backbone, type BackboneOptions } from "./backbone.ts";
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
    pool: z.enum(["token", "avg"]).default("token"),
    /** Probability of dropping the last block's branches in training; it rises linearly over the blocks. */
    dropPath: z.number().min(0).max(0.9).default(0),
    /** Of every LayerNorm: 1e-6 in timm and torchvision, 1e-12 in transformers. */
    eps: z.number().positive().max(1).default(1e-6),
  })
  .refine((config) => config.image % config.patch === 0, "the image's side must be a multiple of the patch's")
  .refine((config) => config.dim % config.heads === 0, "dim must be a multiple of heads");

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

/** Sizes of one block. */
interface BlockShape {
  dim: number;
  heads: number;
  hidden: number;
  eps: number;
  drop: number;
}

class Attention extends Module {
  readonly #qkv: Linear;
  readonly #proj: Linear;
  readonly #heads: number;

  constructor(dim: number, heads: number, options: BackboneOptions) {
    super();
    this.#heads = heads;
    this.#qkv = this.module("qkv", linear(dim, 3 * dim, options));
    this.#proj = this.module("proj", linear(dim, dim, options));
  }

  override forward(x: Tensor): Tensor {
    return this.#proj.forward(selfAttention(this.#qkv.forward(x), this.#heads));
  }
}

/** x + attention(norm(x)), then x + perceptron(norm(x)). */
class Block extends Module {
  readonly #norm1: LayerNorm;
  readonly #attention: Attention;
  readonly #norm2: LayerNorm;
  readonly #mlp: Sequential;
  readonly #drop: DropPath | undefined;

  constructor({ dim, heads, hidden, eps, drop }: BlockShape, options: BackboneOptions) {
    super();
    this.#norm1 = this.module("norm1", new LayerNorm([dim], { ...options, eps }));
    this.#attention = this.module("attn", new Attention(dim, heads, options));
    this.#norm2 = this.module("norm2", new LayerNorm([dim], { ...options, eps }));
    const [fc1, fc2] = [linear(dim, hidden, options), linear(hidden, dim, options)];
    this.#mlp = this.module("mlp", new Sequential({ fc1, act: new GELU(), fc2 }));
    const generator = options.dropGenerator ?? options.generator;
    if (drop > 0) this.#drop = this.module("drop_path", new DropPath(drop, { generator }));
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      const attended = this.#dropped(this.#attention.forward(this.#norm1.forward(x))).add(x);
      return this.#dropped(this.#mlp.forward(this.#norm2.forward(attended))).add(attended);
    });
  }

  #dropped(x: Tensor): Tensor {
    return this.#drop?.forward(x) ?? x;
  }
}

/** ViT in any size; [B, 3, image, image] to [B, d]. */
export class ViT extends Backbone {
  readonly featureWidth: number;
  readonly #config: z.output<typeof vitConfig>;
  readonly #project: Conv2d;
  readonly #token: Tensor | undefined;
  readonly #positions: Tensor;
  readonly #blocks: Sequential;
  readonly #norm: LayerNorm;

  constructor(config: ViTConfig, options: BackboneOptions) {
    super();
    this.#config = vitConfig.parse(config);
    const { image, patch, dim, depth, heads, mlpRatio, pool, dropPath, eps } = this.#config;
    const { generator } = options;
    this.featureWidth = dim;
    const hasToken = pool === "token";
    if (hasToken) this.#token = init.normal_(this.parameter("cls_token", empty([1, 1, dim], options)), 1e-6, generator);
    const length = (image / patch) ** 2 + (hasToken ? 1 : 0);
    this.#positions = this.parameter("pos_embed", empty([1, length, dim], options));
    init.truncNormal_(this.#positions, 0.02, generator);
    this.#project = this.module("patch_embed.proj", new Conv2d(3, dim, patch, { ...options, stride: patch }));
    const hidden = Math.floor(dim * mlpRatio);
    const blocks = Array.from({ length: depth }, (_, i) => {
      return new Block({ dim, heads, hidden, eps, drop: (dropPath * i) / Math.max(1, depth - 1) }, options);
    });
    this.#blocks = this.module("blocks", new Sequential(blocks));
    this.#norm = this.module(hasToken ? "norm" : "fc_norm", new LayerNorm([dim], { ...options, eps }));
  }

  /** Tokens [B, N, d] after the last block. */
  #tokens(x: Tensor): Tensor {
    const { image } = this.#config;
    if (x.size(2) !== image || x.size(3) !== image) {
      throw new UserError(`this ViT takes images of ${image} x ${image} pixels, got ${x.size(3)} x ${x.size(2)}`);
    }
    const patches = this.#project.forward(x).flatten(2).transpose(1, 2);
    const token = this.#token?.expand([x.size(0), 1, this.featureWidth]);
    return this.#blocks.forward((token ? cat([token, patches], 1) : patches).add(this.#positions));
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      const tokens = this.#tokens(x);
      // Normalisation is per token, so the class token alone gives what the whole sequence would.
      return this.#norm.forward(this.#token ? tokens.select(1, 0) : tokens.mean(1));
    });
  }

  /** Patch tokens as a map [B, d, h, w]; normalised where the class token's norm applies to them too. */
  override forwardMap(x: Tensor): Tensor {
    return scope(() => {
      const side = this.#config.image / this.#config.patch;
      const tokens = this.#tokens(x);
      const patches = this.#token ? this.#norm.forward(tokens.narrow(1, 1, side * side)) : tokens;
      return patches.transpose(1, 2).reshape([x.size(0), this.featureWidth, side, side]);
    });
  }
}

function linear(from: number, to: number, options: BackboneOptions): Linear {
  const layer = new Linear(from, to, options);
  init.truncNormal_(layer.weight, 0.02, options.generator);
  noGrad(() => layer.bias?.zero_());
  return layer;
}
