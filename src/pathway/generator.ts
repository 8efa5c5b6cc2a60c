/**
 * The pathway generator: scores for every model of the hub from a small view of the input.
 * B batch, m models, H features of the generator.
 */
import { BatchNorm2d, Conv2d, Linear, Module } from "../nn/index.ts";
import { autocast, full, type Generator, noGrad, ops, scope, type Tensor } from "../torch/index.ts";

export interface Scores {
  /** u, [B, m]: the scores without noise. */
  scores: Tensor;
  /** s, [B, m]: the learned scale of the noise, when the generator has one. */
  noiseScale: Tensor | undefined;
}

export interface GeneratorOptions {
  /** Models in the hub. */
  m: number;
  channels?: number | undefined; // of the input; default 3, of images
  width: number;
  /** Largest side of the view, pixels. */
  size: number;
  learnedNoise: boolean;
  generator: Generator;
  device?: string | undefined;
}

/** First stages that the generator does not train: images [B, 3, H, W] in [0, 1] to a feature map [B, width, h, w]. */
export interface Stem {
  width: number;
  network: Module;
}

/** Smaller views (grids of objects, vectors of one pixel) are seen whole by the hidden layer, without convolutions. */
const smallest = 16;
/** Never below this, so that exploration cannot die out under learned noise. */
const minimumNoise = 0.01;

/**
 * A light convolutional network over the input (this project's choice). It computes in float32
 * even under autocast, because a score decides by comparison. The score layer starts at zero: uniform pathways.
 */
export class PathwayGenerator extends Module {
  readonly size: number;
  readonly #stages: { conv: Conv2d; norm: BatchNorm2d }[] = [];
  readonly #stem: Module | undefined;
  readonly #hidden: Linear;
  readonly #score: Linear;
  readonly #noise: Linear | undefined;

  /** @param options.stem first stages instead of own ones, which become part of this module */
  constructor(options: GeneratorOptions & { stem?: Stem | undefined }) {
    super();
    this.size = options.size;
    this.#stem = options.stem && this.module("stem", options.stem.network);
    const { width, generator, device } = options;
    const common = { generator, ...(device ? { device } : {}) };
    let channels = options.channels ?? 3;
    const isWhole = options.stem || options.size < smallest;
    const widths = isWhole ? [] : [width, 2 * width, 4 * width, 4 * width];
    for (const [i, next] of widths.entries()) {
      const conv = this.module(`stages.${i}.conv`, new Conv2d(channels, next, 3, { stride: 2, padding: 1, ...common }));
      const norm = this.module(`stages.${i}.norm`, new BatchNorm2d(next, common));
      this.#stages.push({ conv, norm });
      channels = next;
    }
    const inputs = options.stem?.width ?? (isWhole ? channels * options.size ** 2 : channels);
    const hidden = 8 * width;
    this.#hidden = this.module("hidden", new Linear(inputs, hidden, common));
    this.#score = this.module("score", new Linear(hidden, options.m, common));
    this.#noise = options.learnedNoise ? this.module("noise", new Linear(hidden, options.m, common)) : undefined;
    noGrad(() => {
      for (const layer of [this.#score, this.#noise])
        for (const parameter of layer?.parameters() ?? []) parameter.zero_();
    });
  }

  /** Scores [B, m] of images [B, 3, H, W] in [0, 1]. */
  override forward(images: Tensor): Tensor {
    return this.score(images).scores;
  }

  /** Scores, and the learned noise scale when there is one. */
  score(images: Tensor): Scores {
    return scope(() =>
      autocast({ device: images.device, enabled: false }, () => {
        const h = this.#hidden.forward(this.#embed(images)).relu();
        const noiseScale = this.#noise?.forward(h).softplus().add(minimumNoise);
        return { scores: this.#score.forward(h), noiseScale };
      }),
    );
  }

  /** What it sees of images: at most `size` pixels a side. */
  view(images: Tensor): Tensor {
    return shrink(images, this.size);
  }

  #still(images: Tensor): Tensor {
    return noGrad(() => (this.#stem ? this.#stem.forward(images) : images));
  }

  #embed(images: Tensor): Tensor {
    if (this.#stem) return this.#still(images).mean([2, 3]);
    let x = this.view(images).sub(0.5).mul(2);
    if (this.size < smallest) return x.flatten(1);
    for (const { conv, norm } of this.#stages) x = norm.forward(conv.forward(x)).relu();
    return x.mean([2, 3]);
  }
}

/** Mean of relu(z), z ~ N(0, 1): what a normalised channel shows of an average image. */
const averageFeature = 1 / Math.sqrt(2 * Math.PI);

/**
 * First stages that see nothing: the scores become the same for every input, what routes are worth without the data (a
 * control). The layers behind stay the generator's: scores that are parameters by themselves would move by one rate a
 * step, too slowly to commit to any route within a training.
 */
export class BlindStem extends Module implements Stem {
  readonly width: number;
  readonly network = this;

  constructor(width: number) {
    super();
    this.width = width;
  }

  override forward(x: Tensor): Tensor {
    return full([x.size(0), this.width, 1, 1], averageFeature, { dtype: x.dtype, device: x.device });
  }
}

function shrink(images: Tensor, size: number): Tensor {
  const side = (own: number) => (size < smallest ? size : Math.min(size, own));
  const [height, width] = [side(images.size(2)), side(images.size(3))];
  if (images.size(2) === height && images.size(3) === width) return images;
  return ops.adaptive_avg_pool2d(images, [height, width]);
}
