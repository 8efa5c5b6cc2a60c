/**
 * ConvNeXt (Liu, Mao, Wu, Feichtenhofer, Darrell & Xie, "A ConvNet for the 2020s", CVPR 2022), and version 2 (Woo, Debnath,
 * Hu, Chen, Liu, Kweon & Xie, "ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders", CVPR 2023), which has
 * response normalisation instead of scaled branches. Parameter names are torchvision's.
 */
import { z } from "zod";
import {
  Conv2d,
  DropPath,
  GELU,
  init,
  LayerNorm,
  LayerNorm2d,
  Linear,
  Module,
  Permute,
  Sequential,
} from "../nn/index.ts";
import { full, noGrad, ops, scope, type Tensor, zeros } from "../torch/index.ts";
import { Backbone, type BackboneOptions } from "./backbone.ts";
import { imagenetInput, type Preset } from "./preset.ts";

export const convnextConfig = z
  .strictObject({
    /** Blocks in each stage. */
    depths: z.array(z.int().positive()).min(1).default([3, 3, 9, 3]),
    /** Channels of each stage. */
    dims: z.array(z.int().positive()).min(1).default([96, 192, 384, 768]),
    /** Side of the stem's patches. */
    patch: z.int().positive().default(4),
    /** "patch": one convolution over patches; "overlap": two overlapping 3x3 of stride 2, the first with half the channels. */
    stem: z.enum(["patch", "overlap"]).default("patch"),
    /** Channels of the first convolution of the "overlap" stem; half of the first stage's when left out. */
    overlapWidth: z.int().positive().optional(),
    /** True when blocks normalise responses over the image instead of scaling their output: ConvNeXt V2. */
    responseNorm: z.boolean().default(false),
    /** First value of the residual branches' scale. */
    layerScale: z.number().positive().default(1e-6),
    /** Probability of dropping the last block in training; it rises linearly over the blocks. */
    dropPath: z.number().min(0).max(0.9).default(0),
  })
  .refine((config) => config.depths.length === config.dims.length, "depths and dims need the same length");

export type ConvNeXtConfig = z.input<typeof convnextConfig>;

const preset = (depths: number[], dims: number[]): Preset => {
  const config = { depths, dims } satisfies ConvNeXtConfig;
  return { architecture: "convnext", config, input: imagenetInput, classifier: "classifier.2", library: "torchvision" };
};

export const convnextPresets: Readonly<Record<string, Preset>> = {
  convnext_tiny: preset([3, 3, 9, 3], [96, 192, 384, 768]),
  convnext_small: preset([3, 3, 27, 3], [96, 192, 384, 768]),
  convnext_base: preset([3, 3, 27, 3], [128, 256, 512, 1024]),
  convnext_large: preset([3, 3, 27, 3], [192, 384, 768, 1536]),
};

const eps = 1e-6;

/** GELU, then each channel scaled by its norm over the image, relative to all channels' mean norm, and added: [B, H, W, C]. */
class ResponseNorm extends Module {
  readonly #weight: Tensor;
  readonly #bias: Tensor;

  constructor(dim: number, options: BackboneOptions) {
    super();
    this.#weight = this.parameter("weight", zeros([dim], options));
    this.#bias = this.parameter("bias", zeros([dim], options));
  }

  override forward(input: Tensor): Tensor {
    return scope(() => {
      const x = ops.gelu(input);
      const norms = ops.norm(x, 2, [1, 2], true);
      const relative = norms.div(norms.mean([-1], true).add(eps));
      return x.add(x.mul(relative).mul(this.#weight)).add(this.#bias);
    });
  }
}

/** Options of one block. */
interface BlockShape {
  dim: number;
  /** First value of the branch's scale; undefined for a block that normalises responses. */
  scale: number | undefined;
  drop: number;
}

/** Depthwise 7x7, LayerNorm, a two-layer perceptron at each pixel, scaled and added to the input. */
class ConvNeXtBlock extends Module {
  readonly #layerScale: Tensor | undefined;
  readonly #block: Sequential;
  readonly #drop: DropPath | undefined;

  constructor({ dim, scale, drop }: BlockShape, options: BackboneOptions) {
    super();
    if (scale !== undefined) this.#layerScale = this.parameter("layer_scale", full([dim, 1, 1], scale, options));
    this.#block = this.module(
      "block",
      new Sequential([
        convolution(dim, dim, 7, 1, 3, dim, options),
        new Permute([0, 2, 3, 1]),
        new LayerNorm([dim], { ...options, eps }),
        linear(dim, 4 * dim, options),
        scale === undefined ? new ResponseNorm(4 * dim, options) : new GELU(),
        linear(4 * dim, dim, options),
        new Permute([0, 3, 1, 2]),
      ]),
    );
    const generator = options.dropGenerator ?? options.generator;
    if (drop > 0) this.#drop = this.module("stochastic_depth", new DropPath(drop, { generator }));
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      const branch = this.#block.forward(x);
      const y = this.#layerScale ? branch.mul(this.#layerScale) : branch;
      return (this.#drop?.forward(y) ?? y).add_(x);
    });
  }
}

/** ConvNeXt in any size; [B, 3, H, W] to [B, d]. The norm after pooling keeps torchvision's name, classifier.0. */
export class ConvNeXt extends Backbone {
  readonly featureWidth: number;
  readonly #features: Sequential;
  readonly #norm: LayerNorm;

  constructor(config: ConvNeXtConfig, options: BackboneOptions) {
    super();
    const parsed = convnextConfig.parse(config);
    const { depths, dims, layerScale, responseNorm, dropPath } = parsed;
    const norm = (dim: number): LayerNorm2d => new LayerNorm2d(dim, { ...options, eps });
    const stages: Module[] = [new Sequential([...stemOf(parsed, options), norm(dims[0] ?? 0)])];
    const scale = responseNorm ? undefined : layerScale;
    const total = depths.reduce((sum, depth) => sum + depth, 0);
    let index = 0;
    for (const [stage, dim] of dims.entries()) {
      const previous = dims[stage - 1];
      if (previous) stages.push(new Sequential([norm(previous), convolution(previous, dim, 2, 2, 0, 1, options)]));
      const blocks: Module[] = [];
      for (let i = 0; i < (depths[stage] ?? 0); i++, index++) {
        const drop = (dropPath * index) / Math.max(1, total - 1);
        blocks.push(new ConvNeXtBlock({ dim, scale, drop }, options));
      }
      stages.push(new Sequential(blocks));
    }
    this.#features = this.module("features", new Sequential(stages));
    this.featureWidth = dims.at(-1) ?? 0;
    this.#norm = this.module("classifier.0", new LayerNorm([this.featureWidth], { ...options, eps }));
  }

  override forwardMap(x: Tensor): Tensor {
    return scope(() => this.#features.forward(x));
  }

  override forward(x: Tensor): Tensor {
    return scope(() => this.#norm.forward(this.forwardMap(x).mean([2, 3])));
  }
}

function stemOf(config: z.output<typeof convnextConfig>, options: BackboneOptions): Module[] {
  const { stem, dims, patch } = config;
  const first = dims[0] ?? 0;
  if (stem === "patch") return [convolution(3, first, patch, patch, 0, 1, options)];
  const half = config.overlapWidth ?? Math.floor(first / 2);
  return [convolution(3, half, 3, 2, 1, 1, options), convolution(half, first, 3, 2, 1, 1, options)];
}

function convolution(
  from: number,
  to: number,
  kernel: number,
  stride: number,
  padding: number,
  groups: number,
  options: BackboneOptions,
): Conv2d {
  return initialised(new Conv2d(from, to, kernel, { ...options, stride, padding, groups }), options);
}

function linear(from: number, to: number, options: BackboneOptions): Linear {
  return initialised(new Linear(from, to, options), options);
}

function initialised<L extends Conv2d | Linear>(layer: L, options: BackboneOptions): L {
  init.truncNormal_(layer.weight, 0.02, options.generator);
  noGrad(() => layer.bias?.zero_());
  return layer;
}
