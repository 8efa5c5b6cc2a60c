/** A linear classifier on fixed features, trained to convergence. n rows, d features, C classes. */
import { crossEntropy, Linear } from "../../nn/index.ts";
import { AdamW } from "../../optim/index.ts";
import { Generator, inferenceMode, int64, ops, scope, type Tensor } from "../../torch/index.ts";

/** Steps over all rows at once, after which training accuracy hardly moves. */
const steps = 600;
const [rate, decay, labelSmoothing] = [5e-3, 1e-2, 0.1];

/** A head with the standardisation of its features, [1, d] each. */
export interface FixedHead {
  center: Tensor;
  scale: Tensor;
  weight: Tensor;
  bias: Tensor;
}

/** Cross-entropy with label smoothing 0.1, AdamW, the rate falling linearly to zero. @param features [n, d] */
export function convergedHead(features: Tensor, labels: readonly number[], classes: number, seed: number): FixedHead {
  return scope(() => {
    using generator = new Generator(seed);
    const center = features.mean([0], true);
    const scale = features.sub(center).square().mean([0], true).sqrt().add(1e-5);
    const inputs = features.sub(center).div(scale);
    const targets = int64(labels);
    using head = new Linear(features.size(1), classes, { generator });
    using optimizer = new AdamW([{ params: head.parameters(), lr: rate, weight_decay: decay }]);
    for (let step = 0; step < steps; step++) {
      for (const group of optimizer.groups) group.lr = rate * (1 - step / steps);
      using loss = scope(() => crossEntropy(head.forward(inputs), targets, { labelSmoothing }));
      loss.backward();
      optimizer.step();
      optimizer.zeroGrad();
    }
    return { center, scale, weight: head.weight.detach(), bias: (head.bias as Tensor).detach() };
  });
}

/** Logits [n, C] of features [n, d]. */
export function headLogits({ center, scale, weight, bias }: FixedHead, features: Tensor): Tensor {
  return scope(() => ops.linear(features.sub(center).div(scale), weight, bias));
}

/** Probabilities [n, C] of features [n, d]. */
export function headProbabilities(head: FixedHead, features: Tensor): Float32Array {
  return scope(() => inferenceMode(() => headLogits(head, features).softmax(1).toTypedArray() as Float32Array));
}
