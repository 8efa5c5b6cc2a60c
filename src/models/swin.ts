/**
 * Swin Transformer (Liu, Lin, Cao, Hu, Wei, Zhang, Lin & Guo, "Swin Transformer: Hierarchical Vision Transformer using
 * Shifted Windows", ICCV 2021), and version 2 (Liu, Hu, Lin, Yao, Xie, Wei, Ning, Cao, Zhang, Dong, Wei & Guo, "Swin
 * Transformer V2: Scaling Up Capacity and Resolution", CVPR 2022), whose norms follow the branches, whose attention goes by cosines,
 * and whose biases are a function of offsets. Parameter names and the treatment of sides that the windows do not divide are
 * torchvision's. n images, h x w pixels of a map, c channels, s side of a window.
 */
import { z } from "zod";
import {
  Conv2d,
  DropPath,
  GELU,
  Identity,
  init,
  LayerNorm,
  Linear,
  Module,
  Permute,
  ReLU,
  Sequential,
} from "../nn/index.ts";
import { cat, empty, full, noGrad, ops, scope, type Tensor, tensor, zeros } from "../torch/index.ts";
import { Backbone, type BackboneOptions } from "./backbone.ts";
import {
  biasesOf,
  joinWindows,
  maximumWindow,
  mixed,
  relativePositions,
  splitHeads,
  windows,
} from "./blocks/windows.ts";
import { imagenetInput, type Preset } from "./preset.ts";

const windowSide = z.int().min(2).max(maximumWindow);

export const swinConfig = z
  .strictObject({
    version: z.union([z.literal(1), z.literal(2)]).default(1),
    /** Side of the patches. */
    patch: z.int().positive().default(4),
    /** Channels of the first stage; each further stage doubles them and halves the sides. */
    dim: z.int().positive().default(96),
    /** Blocks in each stage. */
    depths: z.array(z.int().positive()).min(1).max(6).default([2, 2, 6, 2]),
    /** Heads of the attention in each stage. */
    heads: z.array(z.int().positive()).min(1).max(6).default([3, 6, 12, 24]),
    /** Side of the windows in patches, or those of each stage. */
    window: z.union([windowSide, z.array(windowSide)]).default(7),
    /** The same in pre-training, where it was another: version 2 sees offsets in proportion to it. */
    pretrainedWindow: z.union([windowSide, z.array(windowSide)]).optional(),
    /** Width of the perceptrons over that of the tokens. */
    mlpRatio: z.number().positive().default(4),
    /** Probability of dropping the last block's branches in training; it rises linearly over the blocks. */
    dropPath: z.number().min(0).max(0.9).default(0),
  })
  .refine((config) => config.depths.length === config.heads.length, "depths and heads need the same length")
  .refine(
    ({ depths, window, pretrainedWindow }) =>
      [window, pretrainedWindow].every((sides) => !Array.isArray(sides) || sides.length === depths.length),
    "windows are one number, or one for each stage",
  )
  .refine(
    ({ version, pretrainedWindow }) => version === 2 || pretrainedWindow === undefined,
    "pretrainedWindow is of version 2",
  )
  .refine(
    ({ dim, heads }) => heads.every((count, stage) => (dim * 2 ** stage) % count === 0),
    "each stage's channels must be a multiple of its heads",
  );

export type SwinConfig = z.input<typeof swinConfig>;

const preset = (config: SwinConfig): Preset => ({
  architecture: "swin",
  config,
  input: { ...imagenetInput, interpolation: "bicubic", size: config.version === 2 ? 256 : 224 },
  classifier: "head",
  library: "torchvision",
});

export const swinPresets: Readonly<Record<string, Preset>> = {
  swin_t: preset({ dim: 96, depths: [2, 2, 6, 2], heads: [3, 6, 12, 24] }),
  swin_s: preset({ dim: 96, depths: [2, 2, 18, 2], heads: [3, 6, 12, 24] }),
  swin_b: preset({ dim: 128, depths: [2, 2, 18, 2], heads: [4, 8, 16, 32] }),
  swin_v2_t: preset({ version: 2, dim: 96, depths: [2, 2, 6, 2], heads: [3, 6, 12, 24], window: 8 }),
  swin_v2_s: preset({ version: 2, dim: 96, depths: [2, 2, 18, 2], heads: [3, 6, 12, 24], window: 8 }),
  swin_v2_b: preset({ version: 2, dim: 128, depths: [2, 2, 18, 2], heads: [4, 8, 16, 32], window: 8 }),
};

const eps = 1e-5;

/**
 * Offsets of two pixels of a window in rows and columns, for each row of its table, with the sign and the logarithm of their size
 * as version 2 sees them; [(2 s - 1)² · 2].
 * @param pretrained side of the windows in pre-training, whose offsets lie between -1 and 1
 */
export function relativeOffsets(window: number, pretrained = window): number[] {
  const side = Array.from({ length: 2 * window - 1 }, (_, i) => {
    const offset = (8 * (i - window + 1)) / (pretrained - 1);
    return (Math.sign(offset) * Math.log2(Math.abs(offset) + 1)) / 3;
  });
  return side.flatMap((y) => side.flatMap((x) => [y, x]));
}

/** Hidden channels of the perceptron that makes version 2's biases, their largest size, and that of a cosine's factor. */
const continuous = { hidden: 512, bias: 16, scale: Math.log(100) };

interface BlockShape {
  version: 1 | 2;
  dim: number;
  heads: number;
  window: number;
  pretrained: number;
  shift: number;
  hidden: number;
  drop: number;
}

/** Query, key and value of version 2: keys have no bias, whatever the file has in its place. [.., c] to [.., 3 c]. */
class KeylessLinear extends Linear {
  readonly #bias: Tensor;

  constructor(dim: number, options: BackboneOptions) {
    super(dim, 3 * dim, { ...options, bias: false });
    init.truncNormal_(this.weight, 0.02, options.generator);
    // Not the layer's own `bias`, which adapters would write shifts of keys into.
    this.#bias = this.parameter("bias", zeros([3 * dim], options));
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      const [query, key, value] = ops.chunk(this.#bias, 3) as [Tensor, Tensor, Tensor];
      return ops.linear(x, this.weight, cat([query, key.detach().mul(0), value]));
    });
  }
}

/** Attention inside windows, which are shifted against the grid in every second block: [n, h, w, c] to the same. */
class WindowAttention extends Module {
  readonly #qkv: Linear;
  readonly #proj: Linear;
  /** Biases of each offset, [(2 s - 1)², heads]. */
  readonly #table: () => Tensor;
  readonly #index: Tensor;
  /** Logarithms of the factors of cosines [heads, 1, 1], in version 2. */
  readonly #scale: Tensor | undefined;
  readonly #heads: number;
  readonly #window: number;
  readonly #shift: number;

  constructor({ version, dim, heads, window, pretrained, shift }: BlockShape, options: BackboneOptions) {
    super();
    this.#heads = heads;
    this.#window = window;
    this.#shift = shift;
    const { device } = options;
    if (version === 2) this.#scale = this.parameter("logit_scale", full([heads, 1, 1], Math.log(10), options));
    this.#table = version === 2 ? this.#continuous(pretrained, options) : this.#learned(options);
    const index = tensor(relativePositions(window), { dtype: "int64", device });
    this.#index = this.buffer("relative_position_index", index);
    this.#qkv = this.module("qkv", version === 2 ? new KeylessLinear(dim, options) : linear(dim, 3 * dim, options));
    this.#proj = this.module("proj", linear(dim, dim, options));
  }

  #learned(options: BackboneOptions): () => Tensor {
    const rows = (2 * this.#window - 1) ** 2;
    const table = this.parameter("relative_position_bias_table", empty([rows, this.#heads], options));
    init.truncNormal_(table, 0.02, options.generator);
    return () => table;
  }

  /** Biases as a function of offsets. */
  #continuous(pretrained: number, options: BackboneOptions): () => Tensor {
    const { device, dtype } = options;
    const heads = this.#heads;
    const side = 2 * this.#window - 1;
    const offsets = tensor(relativeOffsets(this.#window, pretrained), { shape: [1, side, side, 2], device, dtype });
    const table = this.buffer("relative_coords_table", offsets);
    const { hidden, bias } = continuous;
    const steps = [linear(2, hidden, options), new ReLU({ inPlace: true }), linear(hidden, heads, options, false)];
    const perceptron = this.module("cpb_mlp", new Sequential(steps));
    return () => perceptron.forward(table).view([-1, heads]).sigmoid().mul(bias);
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      const [height, width] = [x.size(1), x.size(2)];
      const window = this.#window;
      const missing = (side: number): number => (window - (side % window)) % window;
      const padded = pad(x, missing(height), missing(width));
      // One window that covers a side sees all of it: there is nothing to shift.
      const shifts = [padded.size(1), padded.size(2)].map((side) => (window >= side ? 0 : this.#shift));
      const shifted = shifts.some((shift) => shift > 0);
      const rolled = shifted
        ? roll(
            padded,
            shifts.map((shift) => -shift),
          )
        : padded;
      const attended = this.#attend(windows(rolled, window), shifted ? this.#mask(padded, shifts) : undefined);
      const joined = joinWindows(attended, window, padded.shape);
      const back = shifted ? roll(joined, shifts) : joined;
      return back.narrow(1, 0, height).narrow(2, 0, width).contiguous();
    });
  }

  /** [n · windows, s², c], with a mask [windows, 1, s², s²] of what lies apart on the unshifted map. */
  #attend(x: Tensor, mask: Tensor | undefined): Tensor {
    const [query, key, value] = splitHeads(this.#qkv.forward(x), this.#heads);
    let biased = this.#scores(query, key).add(biasesOf(this.#table(), this.#index));
    if (mask) {
      const { shape } = biased;
      const [rows = 0, ...others] = shape;
      const count = mask.size(0);
      biased = biased
        .view([rows / count, count, ...others])
        .add(mask)
        .view(shape);
    }
    return this.#proj.forward(mixed(biased, value));
  }

  /** Products of [.., s², c / heads]: by their root in version 1, of unit vectors with a learned factor in version 2. */
  #scores(query: Tensor, key: Tensor): Tensor {
    const scale = this.#scale;
    if (!scale) return query.mul(query.size(-1) ** -0.5).matmul(key.transpose(-2, -1));
    const unit = (x: Tensor): Tensor => x.div(ops.clamp(ops.norm(x, 2, [-1], true), 1e-12));
    const factor = ops.clamp(scale, undefined, continuous.scale).exp();
    return unit(query).matmul(unit(key).transpose(-2, -1)).mul(factor);
  }

  /** -100 where two pixels of a shifted window are no neighbours on the map [n, h, w, c], else 0. */
  #mask(map: Tensor, shifts: readonly number[]): Tensor {
    const [, height = 0, width = 0] = map.shape;
    const region = (side: number, axis: number): number[] => {
      const shift = shifts[axis] ?? 0;
      return Array.from({ length: side }, (_, i) =>
        shift > 0 && i >= side - this.#window ? (i >= side - shift ? 2 : 1) : 0,
      );
    };
    const columns = region(width, 1);
    const labels = region(height, 0).flatMap((row) => columns.map((column) => 3 * row + column));
    const grid = tensor(labels, { shape: [1, height, width, 1], dtype: "float32", device: map.device });
    const cells = windows(grid, this.#window).squeeze(-1);
    const apart = cells.unsqueeze(1).ne(cells.unsqueeze(2)).unsqueeze(1);
    return apart.to({ dtype: map.dtype }).mul(-100);
  }
}

/** Attention and perceptron, each behind a norm (before one in version 2) and added to its input: [n, h, w, c] to the same. */
class SwinBlock extends Module {
  readonly #normsFirst: boolean;
  readonly #norm1: LayerNorm;
  readonly #attention: WindowAttention;
  readonly #norm2: LayerNorm;
  readonly #mlp: Sequential;
  readonly #drop: DropPath | undefined;

  constructor(shape: BlockShape, options: BackboneOptions) {
    super();
    const { dim, hidden, drop, version } = shape;
    this.#normsFirst = version === 1;
    this.#norm1 = this.module("norm1", new LayerNorm([dim], { ...options, eps }));
    this.#attention = this.module("attn", new WindowAttention(shape, options));
    this.#norm2 = this.module("norm2", new LayerNorm([dim], { ...options, eps }));
    // torchvision has a dropout between them, which its published networks do not use.
    const steps = [linear(dim, hidden, options), new GELU(), new Identity(), linear(hidden, dim, options)];
    this.#mlp = this.module("mlp", new Sequential(steps));
    const generator = options.dropGenerator ?? options.generator;
    if (drop > 0) this.#drop = this.module("stochastic_depth", new DropPath(drop, { generator }));
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      const attended = this.#added(x, this.#attention, this.#norm1);
      return this.#added(attended, this.#mlp, this.#norm2);
    });
  }

  #added(x: Tensor, branch: Module, norm: LayerNorm): Tensor {
    const y = this.#normsFirst ? branch.forward(norm.forward(x)) : norm.forward(branch.forward(x));
    return (this.#drop?.forward(y) ?? y).add(x);
  }
}

/** Joins each 2 x 2 pixels to one of twice the channels: [n, h, w, c] to [n, ⌈h/2⌉, ⌈w/2⌉, 2c]. Version 2 norms the result. */
class PatchMerging extends Module {
  readonly #reduction: Linear;
  readonly #norm: LayerNorm;
  readonly #normsFirst: boolean;

  constructor(version: 1 | 2, dim: number, options: BackboneOptions) {
    super();
    this.#normsFirst = version === 1;
    this.#reduction = this.module("reduction", linear(4 * dim, 2 * dim, options, false));
    this.#norm = this.module("norm", new LayerNorm([(this.#normsFirst ? 4 : 2) * dim], { ...options, eps }));
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      const even = pad(x, x.size(1) % 2, x.size(2) % 2);
      const every = (row: number, column: number): Tensor =>
        ops.slice(ops.slice(even, 1, row, undefined, 2), 2, column, undefined, 2);
      const joined = cat([every(0, 0), every(1, 0), every(0, 1), every(1, 1)], -1);
      return this.#normsFirst
        ? this.#reduction.forward(this.#norm.forward(joined))
        : this.#norm.forward(this.#reduction.forward(joined));
    });
  }
}

/** Swin Transformer in any size; [n, 3, H, W] of any sides from one patch on to [n, d]. */
export class Swin extends Backbone {
  readonly featureWidth: number;
  readonly #features: Sequential;
  readonly #norm: LayerNorm;

  constructor(config: SwinConfig, options: BackboneOptions) {
    super();
    const network = swinConfig.parse(config);
    const { version, patch, dim: first, depths, heads, mlpRatio, dropPath } = network;
    const embed = new Conv2d(3, first, patch, { ...options, stride: patch });
    const stages: Module[] = [
      new Sequential([embed, new Permute([0, 2, 3, 1]), new LayerNorm([first], { ...options, eps })]),
    ];
    const total = depths.reduce((sum, depth) => sum + depth, 0);
    let index = 0;
    for (const [stage, depth] of depths.entries()) {
      const dim = first * 2 ** stage;
      if (stage > 0) stages.push(new PatchMerging(version, dim / 2, options));
      const window = ofStage(network.window, stage);
      const pretrained = ofStage(network.pretrainedWindow ?? window, stage);
      const blocks: Module[] = [];
      for (let i = 0; i < depth; i++, index++) {
        const shape = { version, dim, heads: heads[stage] ?? 1, window, pretrained };
        const shift = i % 2 === 0 ? 0 : Math.floor(window / 2);
        const drop = (dropPath * index) / Math.max(1, total - 1);
        blocks.push(new SwinBlock({ ...shape, hidden: Math.floor(dim * mlpRatio), shift, drop }, options));
      }
      stages.push(new Sequential(blocks));
    }
    this.#features = this.module("features", new Sequential(stages));
    this.featureWidth = first * 2 ** (depths.length - 1);
    this.#norm = this.module("norm", new LayerNorm([this.featureWidth], { ...options, eps }));
  }

  override forwardMap(x: Tensor): Tensor {
    return scope(() => this.#norm.forward(this.#features.forward(x)).permute([0, 3, 1, 2]));
  }
}

function ofStage(sides: number | readonly number[], stage: number): number {
  return typeof sides === "number" ? sides : (sides[stage] ?? sides[0] ?? 0);
}

/** Zeros below and to the right of [n, h, w, c]. */
function pad(x: Tensor, below: number, right: number): Tensor {
  return below + right === 0 ? x : ops.constant_pad_nd(x, [0, 0, 0, right, 0, below]);
}

function roll(x: Tensor, shifts: readonly number[]): Tensor {
  return ops.roll(x, shifts, [1, 2]);
}

function linear(from: number, to: number, options: BackboneOptions, bias = true): Linear {
  const layer = new Linear(from, to, { ...options, bias });
  init.truncNormal_(layer.weight, 0.02, options.generator);
  noGrad(() => layer.bias?.zero_());
  return layer;
}
