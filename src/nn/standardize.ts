/** Constant centring and scaling of features. n rows, d features. */
import { noGrad, ones, type Tensor, zeros } from "../torch/index.ts";
import type { ModuleOptions } from "./init.ts";
import { Module } from "./module.ts";

/**
 * [n, d] to [n, d]: less a mean [d], over one scale for all features, [1]. Both are measured once and stay as they are; until then
 * features pass through.
 */
export class Standardize extends Module {
  readonly mean: Tensor;
  readonly scale: Tensor;

  constructor(width: number, options: ModuleOptions = {}) {
    super();
    this.mean = this.buffer("mean", zeros([width], options));
    this.scale = this.buffer("scale", ones([1], options));
  }

  override forward(features: Tensor): Tensor {
    return features.sub(this.mean).div(this.scale);
  }

  /** @param mean [d] @param scale above 0 */
  set(mean: Tensor, scale: number): void {
    noGrad(() => {
      this.mean.copy_(mean);
      this.scale.fill_(scale);
    });
  }
}
