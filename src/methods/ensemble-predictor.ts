/** Several fine-tuned members answering together, by the mean of their probabilities. */
import { scope, type Tensor } from "../torch/index.ts";
import type { Prediction, Predictor } from "../train/index.ts";

export class EnsemblePredictor implements Predictor {
  readonly memberNames: readonly string[];
  readonly parameters: number;
  readonly inferenceFlops: number;
  readonly #parts: readonly Predictor[];

  constructor(parts: readonly Predictor[]) {
    this.#parts = parts;
    this.memberNames = parts.flatMap((part) => part.memberNames);
    this.parameters = parts.reduce((sum, part) => sum + part.parameters, 0);
    this.inferenceFlops = parts.reduce((sum, part) => sum + part.inferenceFlops, 0);
  }

  predict(images: Tensor): Prediction {
    const probabilities = scope(() =>
      this.#parts
        .map((part) => part.predict(images).probabilities)
        .reduce((sum, next) => sum.add(next))
        .div(this.#parts.length),
    );
    return { probabilities };
  }

  eval(): void {
    for (const part of this.#parts) part.eval();
  }

  dispose(): void {
    for (const part of this.#parts) part.dispose();
  }
}

/** Mean of probability tables [N, C]. */
export function meanProbabilities(tables: readonly Float32Array[]): Float32Array {
  const mean = new Float32Array(tables[0]?.length ?? 0);
  for (const table of tables)
    for (let i = 0; i < mean.length; i++) mean[i] = (mean[i] ?? 0) + (table[i] ?? 0) / tables.length;
  return mean;
}

/** All sets of k numbers out of 0 … m - 1, in lexicographic order. */
export function combinations(m: number, k: number): number[][] {
  if (k === 0) return [[]];
  const sets: number[][] = [];
  for (let first = 0; first <= m - k; first++) {
    for (const rest of combinations(m - first - 1, k - 1)) sets.push([first, ...rest.map((i) => i + first + 1)]);
  }
  return sets;
}
