/** Normalisations: BatchNorm2d with a choice of statistics, and LayerNorm, also over the channels of images. */
import { cat, noGrad, ones, ops, type ProcessGroup, scope, type Tensor, tensor, zeros } from "../torch/index.ts";
import type { ModuleOptions } from "./init.ts";
import { Module } from "./module.ts";
import { isRecomputing } from "./recomputation.ts";

/**
 * Statistics that BatchNorm uses while training: those of the batch, or the running ones, which then stay as they are.
 * The scale and shift are trained under both.
 */
export type BatchNormPolicy = "batch" | "running";

export interface BatchNormOptions extends ModuleOptions {
  eps?: number | undefined;
  momentum?: number | undefined;
  policy?: BatchNormPolicy | undefined;
  minimumRows?: number | undefined;
}

/**
 * Batch normalisation of [B, C, H, W] (Ioffe & Szegedy 2015). In a training step with fewer than `minimumRows` images
 * the running statistics are used and not updated: a routed sub-batch of one or two images has no usable statistics
 * (this project's choice).
 */
export class BatchNorm2d extends Module {
  policy: BatchNormPolicy;
  minimumRows: number;
  readonly eps: number;
  momentum: number;
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly running_mean: Tensor;
  readonly running_var: Tensor;
  readonly num_batches_tracked: Tensor;
  /** Ranks whose rows have statistics together; all of them run this layer, some on no rows. */
  group: ProcessGroup | undefined;

  constructor(channels: number, options: BatchNormOptions = {}) {
    super();
    this.policy = options.policy ?? "batch";
    this.minimumRows = options.minimumRows ?? 8;
    this.eps = options.eps ?? 1e-5;
    this.momentum = options.momentum ?? 0.1;
    this.weight = this.parameter("weight", ones([channels], options));
    this.bias = this.parameter("bias", zeros([channels], options));
    this.running_mean = this.buffer("running_mean", zeros([channels], options));
    this.running_var = this.buffer("running_var", ones([channels], options));
    this.num_batches_tracked = this.buffer(
      "num_batches_tracked",
      zeros([], { dtype: "int64", device: options.device }),
    );
  }

  override forward(x: Tensor): Tensor {
    if (this.group && this.training && this.policy === "batch") return this.#forwardTogether(x, this.group);
    const batch = this.training && this.policy === "batch" && x.size(0) >= this.minimumRows;
    if (!batch) return this.#byRunning(x);
    // Seen in the first pass.
    const again = isRecomputing();
    if (!again) this.num_batches_tracked.add_(1);
    const { weight, bias, running_mean, running_var, momentum, eps } = this;
    return ops.batch_norm(x, weight, bias, running_mean, running_var, true, again ? 0 : momentum, eps, true);
  }

  /** Another pass of the same step may change the statistics before this one's gradient is computed from them. */
  #byRunning(x: Tensor): Tensor {
    const { weight, bias, running_mean, running_var, momentum, eps } = this;
    const mayChange = this.training && this.policy === "batch";
    const [mean, variance] = mayChange ? [running_mean.clone(), running_var.clone()] : [running_mean, running_var];
    return ops.batch_norm(x, weight, bias, mean, variance, false, momentum, eps, true);
  }

  /**
   * Means and sums of squares of each rank are joined by the formula of Chan, Golub and LeVeque (1979), so that no digits are
   * lost where the mean is large.
   */
  #forwardTogether(given: Tensor, group: ProcessGroup): Tensor {
    const x = given.dtype === "float64" ? given : given.to({ dtype: "float32" });
    const channels = x.size(1);
    const place = { dtype: x.dtype, device: x.device };
    const own = x.numel() / channels;
    const shape = [1, channels, 1, 1];
    const mean = x.sum([0, 2, 3]).div(Math.max(own, 1));
    const squares = x.sub(mean.reshape(shape)).square().sum([0, 2, 3]);
    const counts = tensor([own, x.size(0)]).to(place);
    const all = group.allGather(cat([mean, squares, counts]).unsqueeze(0));
    const [means, sums] = [all.narrow(1, 0, channels), all.narrow(1, channels, channels)];
    const weights = all.narrow(1, 2 * channels, 1).detach();
    const [total, rows] = [
      weights.sum().item(),
      all
        .select(1, 2 * channels + 1)
        .sum()
        .item(),
    ];
    const { weight, bias, running_mean, running_var, momentum, eps } = this;
    if (rows < this.minimumRows) return this.#byRunning(x);
    const joint = means.mul(weights).sum(0).div(total);
    const variance = sums.sum(0).add(means.sub(joint).square().mul(weights).sum(0)).div(total);
    noGrad(() => {
      this.num_batches_tracked.add_(1);
      running_mean.mul_(1 - momentum).add_(joint.detach().mul(momentum));
      running_var.mul_(1 - momentum).add_(variance.detach().mul((momentum * total) / (total - 1)));
    });
    const scale = variance.add(eps).rsqrt().mul(weight);
    const shift = bias.sub(joint.mul(scale));
    // One pass over the rows, as in PyTorch's own BatchNorm.
    return ops.addcmul(shift.reshape(shape), x, scale.reshape(shape)).to({ dtype: given.dtype });
  }
}

/** Sets the policy of every BatchNorm under a module. */
export function setBatchNormPolicy(module: Module, policy: BatchNormPolicy, minimumRows?: number): void {
  for (const part of module.modules()) {
    if (!(part instanceof BatchNorm2d)) continue;
    part.policy = policy;
    if (minimumRows !== undefined) part.minimumRows = minimumRows;
  }
}

/** Lets every BatchNorm under a module take the statistics of all ranks' rows together; alone again without a group. */
export function synchronizeBatchNorm(module: Module, group: ProcessGroup | undefined): void {
  for (const part of module.modules()) if (part instanceof BatchNorm2d) part.group = group;
}

/**
 * Estimates the running statistics of every BatchNorm under a module anew, each batch with the same weight; everything
 * else behaves as in evaluation. Between construction and `finish`, run forward passes inside `observe`.
 */
export class BatchNormRecalibration {
  readonly #module: Module;
  readonly #parts: { layer: BatchNorm2d; before: Pick<BatchNorm2d, "policy" | "minimumRows" | "momentum"> }[];
  readonly #modes: { part: Module; training: boolean }[];
  #batches = 0;

  constructor(module: Module) {
    this.#module = module;
    const parts = module.modules();
    this.#modes = parts.map((part) => ({ part, training: part.training }));
    const layers = parts.filter((part) => part instanceof BatchNorm2d);
    this.#parts = layers.map((layer) => {
      const { policy, minimumRows, momentum } = layer;
      return { layer, before: { policy, minimumRows, momentum } };
    });
  }

  /** Runs one forward pass (or the passes of one batch's parts) whose result is dropped. */
  observe(forward: () => unknown): void {
    this.#batches += 1;
    this.#module.eval();
    for (const { layer } of this.#parts) {
      // The n-th batch has weight 1 / n of the mean so far; the first replaces what was there.
      Object.assign(layer.train(), { policy: "batch", minimumRows: 2, momentum: 1 / this.#batches });
    }
    scope(() => {
      noGrad(forward);
    });
  }

  /** Gives modes, policies and momenta back. */
  finish(): void {
    for (const { layer, before } of this.#parts) Object.assign(layer, before);
    // Parents come first, and `train` reaches their children, which are then set to their own.
    for (const { part, training } of this.#modes) part.train(training);
  }
}

/** Group normalisation of [B, C, H, W]: each image's statistics over groups of channels (Wu & He 2018). */
export class GroupNorm extends Module {
  readonly groups: number;
  readonly eps: number;
  readonly weight: Tensor;
  readonly bias: Tensor;

  /** @throws RangeError when the channels are not divisible by the groups */
  constructor(channels: number, groups: number, options: NormOptions = {}) {
    super();
    if (channels % groups !== 0) throw new RangeError(`${channels} channels are not divisible by ${groups} groups`);
    this.groups = groups;
    this.eps = options.eps ?? 1e-5;
    this.weight = this.parameter("weight", ones([channels], options));
    this.bias = this.parameter("bias", zeros([channels], options));
  }

  override forward(x: Tensor): Tensor {
    return ops.group_norm(x, this.groups, this.weight, this.bias, this.eps);
  }
}

export interface NormOptions extends ModuleOptions {
  eps?: number | undefined;
}

/** Layer normalisation over the last dimensions, of the given sizes (Ba et al. 2016). */
export class LayerNorm extends Module {
  readonly shape: readonly number[];
  readonly eps: number;
  readonly weight: Tensor;
  readonly bias: Tensor;

  constructor(shape: readonly number[], options: NormOptions = {}) {
    super();
    this.shape = shape;
    this.eps = options.eps ?? 1e-5;
    this.weight = this.parameter("weight", ones(shape, options));
    this.bias = this.parameter("bias", zeros(shape, options));
  }

  override forward(x: Tensor): Tensor {
    return ops.layer_norm(x, this.shape, this.weight, this.bias, this.eps);
  }
}

/** Layer normalisation over the channels of each pixel of [B, C, H, W]; a view and no copy for channels-last inputs. */
export class LayerNorm2d extends LayerNorm {
  constructor(channels: number, options: NormOptions = {}) {
    super([channels], options);
  }

  override forward(x: Tensor): Tensor {
    return super.forward(x.permute([0, 2, 3, 1])).permute([0, 3, 1, 2]);
  }
}
