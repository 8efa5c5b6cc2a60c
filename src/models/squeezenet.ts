/**
 * SqueezeNet 1.0 and 1.1 (Iandola, Han, Moskewicz, Ashraf, Dally & Keutzer, "SqueezeNet: AlexNet-Level Accuracy with 50x Fewer
 * Parameters", 2016). Parameter names are torchvision's. The classifier is a convolution and ReLU before pooling, so that no
 * linear layer over the features stands for it.
 */
import { z } from "zod";
import { Conv2d, init, Module, ReLU, Sequential } from "../nn/index.ts";
import { cat, noGrad, ops, scope, type Tensor } from "../torch/index.ts";
import { Backbone, type BackboneOptions } from "./backbone.ts";
import type { Family } from "./family.ts";
import { imagenetInput, type Preset } from "./preset.ts";

export const squeezenetConfig = z.strictObject({
  version: z.enum(["1.0", "1.1"]).default("1.1"),
});

export type SqueezeNetConfig = z.input<typeof squeezenetConfig>;

const preset = (version: "1.0" | "1.1"): Preset => {
  return {
    architecture: "squeezenet",
    config: { version },
    input: imagenetInput,
    classifier: "classifier.1",
    library: "torchvision",
  };
};

export const squeezenetPresets: Readonly<Record<string, Preset>> = {
  squeezenet1_0: preset("1.0"),
  squeezenet1_1: preset("1.1"),
};

/** Side and channels of the first convolution; then channels that each fire module squeezes to, or a pooling. */
const versions = {
  "1.0": { stem: [7, 96], steps: ["pool", 16, 16, 32, "pool", 32, 48, 48, 64, "pool", 64] },
  "1.1": { stem: [3, 64], steps: ["pool", 16, 16, "pool", 32, 32, "pool", 48, 48, 64, 64] },
} as const;

/** Largest of 3 x 3 pixels at every second one, windows beyond the border included. */
class Pool extends Module {
  override forward(x: Tensor): Tensor {
    return ops.max_pool2d(x, 3, 2, 0, 1, true);
  }
}

/** Squeezes to few channels, expands by 1x1 and 3x3 side by side: [B, from, H, W] to [B, 8 squeezed, H, W]. */
class Fire extends Module {
  readonly #squeeze: Conv2d;
  readonly #expand: readonly Conv2d[];

  constructor(from: number, squeezed: number, options: BackboneOptions) {
    super();
    const layer = (name: string, input: number, to: number, kernel: number): Conv2d =>
      this.module(name, convolution(input, to, kernel, 1, options));
    this.#squeeze = layer("squeeze", from, squeezed, 1);
    this.#expand = [layer("expand1x1", squeezed, 4 * squeezed, 1), layer("expand3x3", squeezed, 4 * squeezed, 3)];
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      const squeezed = ops.relu_(this.#squeeze.forward(x));
      return ops.relu_(
        cat(
          this.#expand.map((layer) => layer.forward(squeezed)),
          1,
        ),
      );
    });
  }
}

/** SqueezeNet; [B, 3, H, W] to [B, 512]. */
export class SqueezeNet extends Backbone {
  readonly featureWidth: number;
  readonly #features: Sequential;

  constructor(config: SqueezeNetConfig, options: BackboneOptions) {
    super();
    const { stem, steps } = versions[squeezenetConfig.parse(config).version];
    const [kernel, first] = stem;
    const features: Module[] = [convolution(3, first, kernel, 2, options), new ReLU({ inPlace: true })];
    let channels: number = first;
    for (const step of steps) {
      features.push(step === "pool" ? new Pool() : new Fire(channels, step, options));
      if (step !== "pool") channels = 8 * step;
    }
    this.#features = this.module("features", new Sequential(features));
    this.featureWidth = channels;
  }

  override forwardMap(x: Tensor): Tensor {
    return scope(() => this.#features.forward(x));
  }
}

/** As in the authors' code, only the inner convolutions are padded. */
function convolution(from: number, to: number, kernel: number, stride: number, options: BackboneOptions): Conv2d {
  const padding = stride === 1 ? (kernel - 1) / 2 : 0;
  const layer = new Conv2d(from, to, kernel, { ...options, stride, padding });
  init.kaimingUniform_(layer.weight, options.generator);
  noGrad(() => layer.bias?.zero_());
  return layer;
}

/** Recognition of SqueezeNet's weights. */
export const squeezenetFamily: Family = {
  architecture: "squeezenet",
  anchor: "features.3.squeeze.weight",
  infer: () => [{ version: "1.0" }, { version: "1.1" }],
  foreign: /^features/,
  hasLinearClassifier: () => false,
  input: () => imagenetInput,
};
