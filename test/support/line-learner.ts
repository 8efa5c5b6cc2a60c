/** A learner whose training is known in closed form: loss = slope * weight + bias. */
import { Module } from "../../src/nn/index.ts";
import { full, RandomStreams, type Tensor } from "../../src/torch/index.ts";
import type { Batch, BatchSource, Learner } from "../../src/train/index.ts";

/** The gradient of the weight; that of the bias is 1. */
export const slope = 3;

/** Loss with gradients that are the slope and 1 whatever the weights are; the weight starts at 2, the bias at 1. */
export class LineLearner implements Learner {
  readonly module = new (class extends Module {
    readonly weight = this.parameter("weight", full([1, 1], 2));
    readonly bias = this.parameter("bias", full([1], 1));
    override forward(x: Tensor): Tensor {
      return x;
    }
  })();
  readonly streams = new RandomStreams(0);
  readonly backbones: readonly Module[] = [];
  readonly memberNames = ["line"];
  readonly parameters = 2;
  readonly inferenceFlops = 1;
  steps = 0;

  features(): Tensor {
    throw new Error("a line has no backbone");
  }
  featureFlops(): number {
    return 0;
  }
  predict(): never {
    throw new Error("a line predicts nothing");
  }
  parameterGroups() {
    return { backbone: [this.module.weight], newLayers: [this.module.bias], generator: [] };
  }
  step() {
    this.steps += 1;
    const loss = this.module.weight.mul(slope).add(this.module.bias).sum();
    return { loss, logs: {} };
  }
  eval(): void {}
  dispose(): void {
    this.module.dispose();
    this.streams.dispose();
  }
}

/** Three batches of one blank image an epoch. */
export const threeSteps: BatchSource = {
  stepsPerEpoch: 3,
  async *epoch(_, startStep) {
    for (let step = startStep; step < 3; step++) {
      const images = full([1, 3, 2, 2], 0);
      const batch: Batch = { images, targets: images, labels: [0], indices: [0], dispose: () => images.dispose() };
      yield batch;
    }
  },
};

/** Nesterov's momentum of 0.9 by its definition (Sutskever et al. 2013, in PyTorch's form), a rate for each step. */
export function nesterov(start: number, gradient: (w: number) => number, rates: readonly number[]): number {
  let [w, velocity] = [start, 0];
  for (const [i, rate] of rates.entries()) {
    const g = gradient(w);
    velocity = i === 0 ? g : 0.9 * velocity + g;
    w -= rate * (g + 0.9 * velocity);
  }
  return w;
}
