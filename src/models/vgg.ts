/**
 * VGG (Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015), with or without
 * BatchNorm, and AlexNet (Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014). Parameter
 * names are torchvision's; the features are those of the last hidden layer.
 */
import { z } from "zod";
import { BatchNorm2d, Conv2d, init, Linear, MaxPool2d, type Module, ReLU, Sequential } from "../nn/index.ts";
import { noGrad, ops, scope, type Tensor } from "../torch/index.ts";
import { Backbone, type BackboneOptions } from "./backbone.ts";
import { count, type Family, type Shapes } from "./family.ts";
import { imagenetInput, type Preset } from "./preset.ts";

const convolution = z.strictObject({
  out: z.int().positive(),
  kernel: z.int().positive().default(3),
  stride: z.int().positive().default(1),
  padding: z.int().min(0).default(1),
});

export const vggConfig = z.strictObject({
  /** Convolutions between the poolings: their channels, or their whole shape. */
  stages: z.array(z.array(z.union([z.int().positive(), convolution])).min(1)).min(1),
  /** True when a BatchNorm follows each convolution. */
  norm: z.boolean().default(false),
  /** Side and stride of the pooling after each stage. */
  pool: z.tuple([z.int().positive(), z.int().positive()]).default([2, 2]),
  /** Side of the map that the hidden layers take. */
  grid: z.int().positive().default(7),
  /** Width of both hidden layers. */
  hidden: z.int().positive().default(4096),
  /** Position of the first hidden layer in the classifier; the second follows three later. */
  offset: z.int().min(0).max(1).default(0),
});

export type VGGConfig = z.input<typeof vggConfig>;

const preset = (config: VGGConfig, classifier = "classifier.6"): Preset => {
  return { architecture: "vgg", config, input: imagenetInput, classifier, library: "torchvision" };
};

const stagesOf = (...depths: number[]): number[][] =>
  depths.map((depth, stage) => new Array<number>(depth).fill(Math.min(512, 64 * 2 ** stage)));

const depths: Readonly<Record<string, number[]>> = {
  vgg11: [1, 1, 2, 2, 2],
  vgg13: [2, 2, 2, 2, 2],
  vgg16: [2, 2, 3, 3, 3],
  vgg19: [2, 2, 4, 4, 4],
};

const alexnet: VGGConfig = {
  stages: [[{ out: 64, kernel: 11, stride: 4, padding: 2 }], [{ out: 192, kernel: 5, padding: 2 }], [384, 256, 256]],
  pool: [3, 2],
  grid: 6,
  offset: 1,
};

export const vggPresets: Readonly<Record<string, Preset>> = {
  alexnet: preset(alexnet),
  ...Object.fromEntries(
    Object.entries(depths).flatMap(([name, own]) => [
      [name, preset({ stages: stagesOf(...own) })],
      [`${name}_bn`, preset({ stages: stagesOf(...own), norm: true })],
    ]),
  ),
};

/** VGG and AlexNet in any size; [B, 3, H, W] to [B, hidden]. */
export class VGG extends Backbone {
  readonly featureWidth: number;
  readonly #mapWidth: number;
  readonly #features: Sequential;
  readonly #hidden: readonly Linear[];
  readonly #grid: number;

  constructor(config: VGGConfig, options: BackboneOptions) {
    super();
    const { stages, norm, pool, grid, hidden, offset } = vggConfig.parse(config);
    const steps: Module[] = [];
    let channels = 3;
    for (const stage of stages) {
      for (const given of stage) {
        const { out, kernel, ...shape } = typeof given === "number" ? convolution.parse({ out: given }) : given;
        const layer = new Conv2d(channels, out, kernel, { ...options, ...shape });
        init.kaimingNormalFanOut_(layer.weight, options.generator);
        noGrad(() => layer.bias?.zero_());
        steps.push(layer, ...(norm ? [new BatchNorm2d(out, options)] : []), new ReLU({ inPlace: true }));
        channels = out;
      }
      steps.push(new MaxPool2d(pool[0], { stride: pool[1] }));
    }
    this.#features = this.module("features", new Sequential(steps));
    this.#mapWidth = channels;
    this.#grid = grid;
    this.featureWidth = hidden;
    const layer = (from: number, at: number): Linear => {
      const made = new Linear(from, hidden, options);
      init.normal_(made.weight, 0.01, options.generator);
      noGrad(() => made.bias?.zero_());
      return this.module(`classifier.${at}`, made);
    };
    this.#hidden = [layer(channels * grid * grid, offset), layer(hidden, offset + 3)];
  }

  override get mapWidth(): number {
    return this.#mapWidth;
  }

  override forwardMap(x: Tensor): Tensor {
    return scope(() => this.#features.forward(x));
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      const map = ops.adaptive_avg_pool2d(this.forwardMap(x), [this.#grid, this.#grid]);
      return this.#hidden.reduce((y, layer) => ops.relu_(layer.forward(y)), map.flatten(1));
    });
  }
}

/** Stages from the positions of convolutions: a pooling leaves a gap. */
function infer(shapes: Shapes): VGGConfig[] {
  if (shapes.get("features.0.weight")?.[2] === 11) return [alexnet];
  const norm = shapes.has("features.1.running_mean");
  const gap = norm ? 3 : 2;
  const stages: number[][] = [];
  const [hidden = 0, flat = 0] = shapes.get("classifier.0.weight") ?? [];
  let at = 0;
  for (;;) {
    const found = count(shapes, (i) => `features.${at + i * gap}.weight`);
    if (found === 0) break;
    stages.push(Array.from({ length: found }, (_, i) => shapes.get(`features.${at + i * gap}.weight`)?.[0] ?? 0));
    at += found * gap + 1;
  }
  const grid = Math.sqrt(flat / (stages.at(-1)?.at(-1) ?? 0));
  if (stages.length === 0) return [];
  const isSame = grid === 7;
  const own = {
    stages,
    ...(norm ? { norm } : {}),
    ...(isSame ? {} : { grid }),
    ...(hidden === 4096 ? {} : { hidden }),
  };
  return [own];
}

/** Recognition of these networks' weights. */
export const vggFamily: Family = {
  architecture: "vgg",
  anchor: "features.0.weight",
  infer,
  foreign: /^(features|pre_logits)/,
  nested: /^classifier\.6\./,
  input: () => imagenetInput,
};
