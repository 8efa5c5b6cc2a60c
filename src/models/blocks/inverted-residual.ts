/** Inverted residual blocks of MobileNet, MNASNet and EfficientNet, with torchvision's parameter names. */
import { DropPath, Module, Sequential } from "../../nn/index.ts";
import { scope, type Tensor } from "../../torch/index.ts";
import type { BackboneOptions } from "../backbone.ts";
import { type Activation, convNorm, type NormShape } from "./conv-norm.ts";
import { SqueezeExcitation, type SqueezeShape } from "./squeeze-excitation.ts";

export interface InvertedResidualShape {
  from: number;
  /** Channels of the depthwise convolution; there is no convolution before it where they equal `from`. */
  expanded: number;
  to: number;
  kernel: number;
  stride: number;
  activation: Activation;
  squeeze?: SqueezeShape | undefined;
  norm?: NormShape | undefined;
  /** True when one full convolution stands for the expansion and the depthwise convolution (EfficientNetV2). */
  fused?: boolean | undefined;
  /** Probability of dropping the block in training where it has a shortcut; default 0. */
  drop?: number | undefined;
}

/** Steps in a row, whose result the input is added to where shapes allow. */
export class Residual extends Module {
  readonly #steps: Sequential;
  readonly #adds: boolean;
  readonly #drop: DropPath | undefined;

  /** @param name name of the steps among the block's parameters */
  constructor(
    name: string,
    steps: readonly Module[],
    { from, to, stride, drop = 0 }: Pick<InvertedResidualShape, "from" | "to" | "stride" | "drop">,
    options: BackboneOptions,
  ) {
    super();
    this.#steps = this.module(name, new Sequential(steps));
    this.#adds = stride === 1 && from === to;
    const generator = options.dropGenerator ?? options.generator;
    if (this.#adds && drop > 0) this.#drop = this.module("stochastic_depth", new DropPath(drop, { generator }));
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      const y = this.#steps.forward(x);
      return this.#adds ? (this.#drop?.forward(y) ?? y).add_(x) : y;
    });
  }
}

/** Expands, filters each channel, squeezes, projects without activation. */
export function invertedResidual(shape: InvertedResidualShape, options: BackboneOptions): Residual {
  const steps = shape.fused ? fusedSteps(shape, options) : separableSteps(shape, options);
  return new Residual("block", steps, shape, options);
}

function separableSteps(shape: InvertedResidualShape, options: BackboneOptions): Module[] {
  const { from, expanded, to, kernel, stride, activation, squeeze, norm } = shape;
  const steps: Module[] = [];
  if (expanded !== from) steps.push(convNorm({ from, to: expanded, kernel: 1, activation, norm }, options));
  const depthwise = { from: expanded, to: expanded, kernel, stride, groups: expanded, activation, norm };
  steps.push(convNorm(depthwise, options));
  if (squeeze) steps.push(new SqueezeExcitation(expanded, squeeze, options));
  return [...steps, convNorm({ from: expanded, to, kernel: 1, norm }, options)];
}

function fusedSteps(shape: InvertedResidualShape, options: BackboneOptions): Module[] {
  const { from, expanded, to, kernel, stride, activation, norm } = shape;
  if (expanded === from) return [convNorm({ from, to, kernel, stride, activation, norm }, options)];
  return [
    convNorm({ from, to: expanded, kernel, stride, activation, norm }, options),
    convNorm({ from: expanded, to, kernel: 1, norm }, options),
  ];
}
