/**
 * Squeeze-and-excitation (Hu, Shen & Sun, "Squeeze-and-Excitation Networks", CVPR 2018): each channel is scaled by what
 * two 1x1 convolutions make of all channels' means. Parameter names are torchvision's.
 */
import { Conv2d, Hardsigmoid, init, Module, Sigmoid } from "../../nn/index.ts";
import { empty, noGrad, ops, scope, type Tensor } from "../../torch/index.ts";
import type { BackboneOptions } from "../backbone.ts";
import { type Activation, activationOf } from "./conv-norm.ts";

export interface SqueezeShape {
  /** Channels between the two convolutions. */
  channels: number;
  activation: Activation;
  gate: "sigmoid" | "hardsigmoid";
  /** True when biases start at zero; else within PyTorch's ±1 / √fan_in. */
  zeroBias: boolean;
  /** Names of the two convolutions; default torchvision's. */
  names?: readonly [string, string];
}

/** x scaled channel by channel: [B, C, H, W] to the same. */
export class SqueezeExcitation extends Module {
  readonly #fc1: Conv2d;
  readonly #fc2: Conv2d;
  readonly #activation: Module;
  readonly #gate: Module;

  constructor(width: number, shape: SqueezeShape, options: BackboneOptions) {
    super();
    const pointwise = (from: number, to: number): Conv2d => {
      const layer = new Conv2d(from, to, 1, options);
      init.kaimingNormalFanOut_(layer.weight, options.generator);
      if (shape.zeroBias) noGrad(() => layer.bias?.zero_());
      return layer;
    };
    const [first, second] = shape.names ?? ["fc1", "fc2"];
    this.#fc1 = this.module(first, pointwise(width, shape.channels));
    this.#fc2 = this.module(second, pointwise(shape.channels, width));
    this.#activation = activationOf(shape.activation);
    this.#gate = shape.gate === "hardsigmoid" ? new Hardsigmoid() : new Sigmoid();
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      const squeezed = this.#activation.forward(this.#fc1.forward(x.mean([2, 3], true)));
      return x.mul(this.#gate.forward(this.#fc2.forward(squeezed)));
    });
  }
}

/**
 * Efficient channel attention (Wang, Wu, Zhu, Li, Zuo & Hu, "ECA-Net: Efficient Channel Attention for Deep Convolutional
 * Neural Networks", CVPR 2020): each channel is scaled by a convolution over the means of its neighbours. timm's names.
 */
export class EfficientChannelAttention extends Module {
  readonly #weight: Tensor;

  /** The kernel grows with the logarithm of the channels, as in the paper with γ = 2 and b = 1. */
  constructor(width: number, options: BackboneOptions) {
    super();
    const reach = Math.floor(Math.abs(Math.log2(width) + 1) / 2);
    const kernel = Math.max(3, reach % 2 === 1 ? reach : reach + 1);
    this.#weight = this.parameter("conv.weight", empty([1, 1, kernel], options));
    init.uniform_(this.#weight, 1 / Math.sqrt(kernel), options.generator);
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      const means = x.mean([2, 3]).unsqueeze(1);
      const mixed = ops.conv1d(means, this.#weight, undefined, 1, (this.#weight.size(2) - 1) / 2);
      return x.mul(mixed.sigmoid().view([x.size(0), x.size(1), 1, 1]));
    });
  }
}
