/**
 * Squeeze-and-excitation (Hu, Shen & Sun, "Squeeze-and-Excitation Networks", CVPR 2018): each channel is scaled by what
 * two 1x1 convolutions make of all channels' means. Parameter names are torchvision's.
 */
import { Conv2d, Hardsigmoid, init, Module, ReLU, Sigmoid, SiLU } from "../nn/index.ts";
import { noGrad, scope, type Tensor } from "../torch/index.ts";
import type { BackboneOptions } from "./backbone.ts";

export interface SqueezeShape {
  /** Channels between the two convolutions. */
  channels: number;
  activation: "relu" | "silu";
  gate: "sigmoid" | "hardsigmoid";
  /** Whether biases start at zero; else within PyTorch's ±1 / √fan_in. */
  zeroBias: boolean;
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
    this.#fc1 = this.module("fc1", pointwise(width, shape.channels));
    this.#fc2 = this.module("fc2", pointwise(shape.channels, width));
    this.#activation = shape.activation === "silu" ? new SiLU() : new ReLU({ inPlace: true });
    this.#gate = shape.gate === "hardsigmoid" ? new Hardsigmoid() : new Sigmoid();
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      const squeezed = this.#activation.forward(this.#fc1.forward(x.mean([2, 3], true)));
      return x.mul(this.#gate.forward(this.#fc2.forward(squeezed)));
    });
  }
}
