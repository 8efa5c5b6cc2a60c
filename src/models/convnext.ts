/** ConvNeXt (Liu, Mao, Wu, Feichtenhofer, Darrell & Xie, "A ConvNet for the 2020s", CVPR 2022). Parameter names are torchvision's. */
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
import { full, noGrad, scope, type Tensor } from "../torch/index.ts";
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
};

const eps = 1e-6;

/** Depthwise 7x7, LayerNorm, a two-layer perceptron at each pixel, scaled and added to the input. */
class ConvNeXtBlock extends Module {
  readonly #layerScale: Tensor;
  readonly #block: Sequential;
  readonly #drop: DropPath | undefined;

  constructor(dim: number, scale: number, drop: number, options: BackboneOptions) {
    super();
    this.#layerScale = this.parameter("layer_scale", full([dim, 1, 1], scale, options));
    this.#block = this.module(
      "block",
      new Sequential([
        convolution(dim, dim, 7, 1, 3, dim, options),
        new Permute([0, 2, 3, 1]),
        new LayerNorm([dim], { ...options, eps }),
        linear(dim, 4 * dim, options),
        new GELU(),
        linear(4 * dim, dim, options),
        new Permute([0, 3, 1, 2]),
      ]),
    );
    const generator = options.dropGenerator ?? options.generator;
    if (drop > 0) this.#drop = this.module("stochastic_depth", new DropPath(drop, { generator }));
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      const y = this.#block.forward(x).mul(this.#layerScale);
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
    const { depths, dims, patch, layerScale, dropPath } = convnextConfig.parse(config);
    const first = dims[0] ?? 0;
    const norm = (dim: number): LayerNorm2d => new LayerNorm2d(dim, { ...options, eps });
    const stages: Module[] = [new Sequential([convolution(3, first, patch, patch, 0, 1, options), norm(first)])];
    const total = depths.reduce((sum, depth) => sum + depth, 0);
    let index = 0;
    for (const [stage, dim] of dims.entries()) {
      const previous = dims[stage - 1];
      if (previous) stages.push(new Sequential([norm(previous), convolution(previous, dim, 2, 2, 0, 1, options)]));
      const blocks: Module[] = [];
      for (let i = 0; i < (depths[stage] ?? 0); i++, index++) {
        blocks.push(new ConvNeXtBlock(dim, layerScale, (dropPath * index) / Math.max(1, total - 1), options));
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
