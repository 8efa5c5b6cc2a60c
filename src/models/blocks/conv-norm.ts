/**
 * Shared parts of convolutional families: a convolution with its BatchNorm and activation, and the rounding of
 * channels.
 */
import { z } from "zod";
import {
  BatchNorm2d,
  Conv2d,
  GELU,
  GroupNorm,
  Hardswish,
  init,
  type Module,
  ReLU,
  ReLU6,
  Sequential,
  SiLU,
} from "../../nn/index.ts";
import { ops, scope, type Tensor } from "../../torch/index.ts";
import type { BackboneOptions } from "../backbone.ts";

/** Side of a kernel that leaves the image's size alone when padded by half of it. */
export const oddKernel = z
  .int()
  .positive()
  .refine((kernel) => kernel % 2 === 1, "kernels are odd");

/** BatchNorm, or GroupNorm with 32 groups. */
export const normOf = (kind: "batch" | "group", channels: number, options: BackboneOptions): Module =>
  kind === "group" ? new GroupNorm(channels, 32, options) : new BatchNorm2d(channels, options);

/** Rows of expansion, kernel, stride, channels, blocks: one for each stage. */
export const stageRows = z
  .array(z.tuple([z.int().positive(), oddKernel, z.int().min(1).max(2), z.int().positive(), z.int().positive()]))
  .min(1);

/** A convolution with a square odd kernel, padded by half of it; without bias, because a BatchNorm follows. */
export interface ConvShape {
  from: number;
  to: number;
  kernel: number;
  stride?: number;
  groups?: number;
}

export interface NormShape {
  eps?: number | undefined;
  momentum?: number | undefined;
}

/** Activations of networks by name. */
export const activations = {
  relu: () => new ReLU({ inPlace: true }),
  relu6: () => new ReLU6({ inPlace: true }),
  hardswish: () => new Hardswish(),
  silu: () => new SiLU(),
  gelu: () => new GELU(),
} as const satisfies Record<string, () => Module>;

export type Activation = keyof typeof activations;

/** An activation by name. */
export function activationOf(name: Activation): Module {
  return activations[name]();
}

/** A convolution that pads as TensorFlow does: the output has ⌈side / stride⌉ pixels a side. */
export class SameConv2d extends Conv2d {
  override convolve(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
    return scope(() => {
      const [y0, y1] = this.#missing(x.size(2));
      const [x0, x1] = this.#missing(x.size(3));
      const padded = y0 + y1 + x0 + x1 === 0 ? x : ops.constant_pad_nd(x, [x0, x1, y0, y1]);
      return super.convolve(padded, weight, bias);
    });
  }

  #missing(side: number): [number, number] {
    const total = Math.max(0, (Math.ceil(side / this.stride) - 1) * this.stride + this.weight.size(2) - side);
    return [Math.floor(total / 2), Math.ceil(total / 2)];
  }
}

/** A convolution with He et al.'s initialisation in fan-out mode, as torchvision's. */
export function convolution(shape: ConvShape, options: BackboneOptions): Conv2d {
  const { from, to, kernel, stride, groups } = shape;
  const layer = new Conv2d(from, to, kernel, { ...options, stride, groups, padding: (kernel - 1) / 2, bias: false });
  init.kaimingNormalFanOut_(layer.weight, options.generator);
  return layer;
}

/** Convolution, BatchNorm and, unless left out, an activation. */
export function convNormSteps(
  shape: ConvShape & { activation?: Activation | undefined; norm?: NormShape | undefined },
  options: BackboneOptions,
): Module[] {
  const { activation, norm } = shape;
  const steps: Module[] = [convolution(shape, options), new BatchNorm2d(shape.to, { ...options, ...norm })];
  if (activation) steps.push(activationOf(activation));
  return steps;
}

/** The same as one module. */
export function convNorm(...args: Parameters<typeof convNormSteps>): Sequential {
  return new Sequential(convNormSteps(...args));
}

/** The nearest multiple that loses at most a tenth (the rule of the MobileNets' authors and torchvision). */
export function divisible(channels: number, divisor = 8): number {
  const rounded = Math.max(divisor, Math.floor((channels + divisor / 2) / divisor) * divisor);
  return rounded < 0.9 * channels ? rounded + divisor : rounded;
}

/** Number of stages before the second that halves the side: the candidates for a shared first stage. */
export function earlyStages(strides: readonly number[]): number {
  const first = strides.findIndex((stride) => stride > 1);
  const second = first < 0 ? -1 : strides.findIndex((stride, i) => i > first && stride > 1);
  return second < 0 ? strides.length : second;
}
