/** Convolution and pooling over images [B, C, H, W]; channels-last inputs and weights stay channels-last. */
import { conv2d, empty, ops, type Tensor } from "../torch/index.ts";
import { fans, type InitOptions, kaimingUniform_, uniform_ } from "./init.ts";
import { Module } from "./module.ts";

/** One number for both sides, or height and width. */
type Pair = number | readonly [number, number];

export interface Conv2dOptions extends InitOptions {
  stride?: number | undefined;
  /** Pixels on each side, or "same" for an output as large as the input (stride 1 only). */
  padding?: Pair | "same" | undefined;
  dilation?: number | undefined;
  groups?: number | undefined;
  /** Default true. */
  bias?: boolean | undefined;
}

/** 2-D convolution: [B, in, H, W] to [B, out, H', W']. PyTorch's initialisation: ±1 / √fan_in. */
export class Conv2d extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor | undefined;
  readonly stride: number;
  readonly padding: Pair | "same";
  readonly dilation: number;
  readonly groups: number;

  /** @throws RangeError when the channels are not divisible by the groups, or "same" is asked for with a stride */
  constructor(inChannels: number, outChannels: number, kernelSize: Pair, options: Conv2dOptions) {
    super();
    const [height, width] = typeof kernelSize === "number" ? [kernelSize, kernelSize] : kernelSize;
    const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
    if (inChannels % groups !== 0 || outChannels % groups !== 0) {
      throw new RangeError(`${inChannels} -> ${outChannels} channels are not divisible by ${groups} groups`);
    }
    if (padding === "same" && stride !== 1) throw new RangeError('padding "same" needs stride 1');
    this.stride = stride;
    // An even kernel pads one side more than the other, which only the operator with a named padding can do.
    const [above, before] = [height, width].map((side) => (dilation * (side - 1)) / 2) as [number, number];
    const isEven = Number.isInteger(above) && Number.isInteger(before);
    this.padding = padding === "same" && isEven ? [above, before] : padding;
    this.dilation = dilation;
    this.groups = groups;
    this.weight = this.parameter("weight", empty([outChannels, inChannels / groups, height, width], options));
    kaimingUniform_(this.weight, options.generator);
    if (options.bias === false) return;
    this.bias = this.parameter("bias", empty([outChannels], options));
    uniform_(this.bias, 1 / Math.sqrt(fans(this.weight).fanIn), options.generator);
  }

  override forward(x: Tensor): Tensor {
    return this.convolve(x, this.weight, this.bias);
  }

  /** The same convolution by other filters. */
  convolve(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
    const { stride, padding, dilation, groups } = this;
    if (padding === "same") return ops.conv2dPadding(x, weight, bias, stride, "same", dilation, groups);
    return conv2d(x, weight, bias, stride, padding, dilation, groups);
  }
}

/**
 * Convolution without bias whose filters have mean 0 and variance 1 (Qiao, Wang, Liu, Shen & Yuille, "Micro-Batch Training with
 * Batch-Channel Normalization and Weight Standardization", 2019): [B, in, H, W] to [B, out, H', W'].
 */
export class StandardizedConv2d extends Module {
  readonly weight: Tensor;
  readonly #stride: number;
  readonly #eps: number;

  constructor(inChannels: number, outChannels: number, kernelSize: number, options: StandardizedOptions) {
    super();
    this.#stride = options.stride ?? 1;
    this.#eps = options.eps;
    this.weight = this.parameter("weight", empty([outChannels, inChannels, kernelSize, kernelSize], options));
    kaimingUniform_(this.weight, options.generator);
  }

  override forward(x: Tensor): Tensor {
    const { weight } = this;
    const rows = weight.reshape([1, weight.size(0), -1]);
    const standard = ops.batch_norm(rows, null, null, null, null, true, 0, this.#eps, true).reshape(weight.shape);
    return conv2d(x, standard, undefined, this.#stride, (weight.size(2) - 1) / 2);
  }
}

export interface StandardizedOptions extends InitOptions {
  stride?: number | undefined;
  /** Added to the variance of filters. */
  eps: number;
}

/** Largest value of each window: [B, C, H, W] to [B, C, H', W']. */
export class MaxPool2d extends Module {
  readonly kernelSize: number;
  readonly stride: number;
  readonly padding: number;

  constructor(kernelSize: number, options: { stride?: number | undefined; padding?: number | undefined } = {}) {
    super();
    this.kernelSize = kernelSize;
    this.stride = options.stride ?? kernelSize;
    this.padding = options.padding ?? 0;
  }

  override forward(x: Tensor): Tensor {
    return ops.max_pool2d(x, this.kernelSize, this.stride, this.padding);
  }
}
