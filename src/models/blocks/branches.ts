/** Parts of GoogLeNet and Inception: branches over one map whose outputs lie side by side in the channels. */
import { BatchNorm2d, Conv2d, foldedForward, init, Module, reluAfter } from "../../nn/index.ts";
import { cat, ops, scope, type Tensor } from "../../torch/index.ts";
import { Backbone, type BackboneOptions } from "../backbone.ts";

/** A convolution of a branch. */
interface Filter {
  name: string;
  out: number;
  /** Height and width of the kernel. */
  kernel: readonly [number, number];
  stride?: number;
  /** Without padding; else half the kernel on each side. */
  valid?: boolean;
}

/** One step of a branch: a convolution under its name, a pooling, or two convolutions side by side. */
export type Step =
  | Filter
  | { pool: "max" | "average"; kernel: number; stride: number; padding: number; ceil?: boolean }
  | { fork: readonly (readonly Step[])[] };

/** A convolution step with a square or an oblong kernel. */
export const conv = (name: string, out: number, kernel: number | readonly [number, number] = 1): Step => {
  return { name, out, kernel: typeof kernel === "number" ? [kernel, kernel] : kernel };
};

/** The same of stride 2 without padding. */
export const down = (name: string, out: number): Step => {
  return { name, out, kernel: [3, 3], stride: 2, valid: true };
};

export const averagePool: Step = { pool: "average", kernel: 3, stride: 1, padding: 1 };
export const maxPool: Step = { pool: "max", kernel: 3, stride: 2, padding: 0 };

/** Convolution without bias, BatchNorm with eps 1e-3, ReLU: [B, C, H, W] to [B, out, H', W']. */
class ConvStep extends Module {
  readonly #conv: Conv2d;
  readonly #norm: BatchNorm2d;

  constructor(from: number, step: Filter, options: BackboneOptions) {
    super();
    const { out, kernel, stride = 1, valid = false } = step;
    const [height, width] = kernel;
    const padding = valid ? 0 : ([(height - 1) / 2, (width - 1) / 2] as const);
    this.#conv = this.module("conv", new Conv2d(from, out, kernel, { ...options, stride, padding, bias: false }));
    init.truncNormal_(this.#conv.weight, 0.1, options.generator);
    this.#norm = this.module("bn", new BatchNorm2d(out, { ...options, eps: 1e-3 }));
  }

  override forward(x: Tensor): Tensor {
    return scope(() => {
      const folded = foldedForward(x, this.#conv, this.#norm, { activation: reluAfter });
      return folded ?? ops.relu_(this.#norm.forward(this.#conv.forward(x)));
    });
  }
}

/** Branches in their order, each a row of steps: [B, from, H, W] to [B, width, H', W']. */
export class Branches extends Module {
  /** Channels of the output. */
  readonly width: number;
  readonly #run: (x: Tensor) => Tensor;

  constructor(from: number, branches: readonly (readonly Step[])[], options: BackboneOptions) {
    super();
    const made = this.#fork(from, branches, options);
    this.width = made.width;
    this.#run = made.run;
  }

  #fork(from: number, branches: readonly (readonly Step[])[], options: BackboneOptions): Made {
    const made = branches.map((steps) => this.#row(from, steps, options));
    const width = made.reduce((sum, branch) => sum + branch.width, 0);
    const [only] = made;
    if (only && made.length === 1) return only;
    const outputs = (x: Tensor): Tensor[] => made.map(({ run }) => run(x));
    return { width, run: (x) => cat(outputs(x), 1) };
  }

  #row(from: number, steps: readonly Step[], options: BackboneOptions): Made {
    let width = from;
    const runs: ((x: Tensor) => Tensor)[] = [];
    for (const step of steps) {
      if ("pool" in step) {
        const { kernel, stride, padding, ceil = false } = step;
        runs.push((x) =>
          step.pool === "max"
            ? ops.max_pool2d(x, kernel, stride, padding, 1, ceil)
            : ops.avg_pool2d(x, kernel, stride, padding, ceil),
        );
        continue;
      }
      if ("fork" in step) {
        const forked = this.#fork(width, step.fork, options);
        runs.push(forked.run);
        width = forked.width;
        continue;
      }
      const layer = this.module(step.name, new ConvStep(width, step, options));
      runs.push((x) => layer.forward(x));
      width = step.out;
    }
    return { width, run: (x) => runs.reduce((y, run) => run(y), x) };
  }

  override forward(x: Tensor): Tensor {
    return scope(() => this.#run(x));
  }
}

interface Made {
  width: number;
  run: (x: Tensor) => Tensor;
}

/** One part of a network of branches: its name, or "" where its convolutions stand in the network itself. */
export type Part = readonly [name: string, branches: readonly (readonly Step[])[]];

/** Parts in a row; [B, 3, H, W] to [B, d]. */
export class BranchNetwork extends Backbone {
  readonly featureWidth: number;
  readonly #parts: Branches[] = [];

  constructor(parts: readonly Part[], options: BackboneOptions) {
    super();
    let channels = 3;
    for (const [name, branches] of parts) {
      const part = new Branches(channels, branches, options);
      if (name !== "") this.module(name, part);
      else for (const [own, child] of part.children()) this.module(own, child);
      this.#parts.push(part);
      channels = part.width;
    }
    this.featureWidth = channels;
  }

  override forwardMap(x: Tensor): Tensor {
    return scope(() => this.#parts.reduce((y, part) => part.forward(y), x));
  }
}
