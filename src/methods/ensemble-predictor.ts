/** Several fine-tuned members answering together, by the weighted mean of their probabilities. */
import type { StoredFeatures } from "../pathway/index.ts";
import { scope, type Tensor } from "../torch/index.ts";
import type { Kept, Prediction, Predictor, Variant } from "../train/index.ts";

export class EnsemblePredictor implements Predictor {
  readonly memberNames: readonly string[];
  readonly readsImages: boolean;
  readonly parameters: number;
  readonly inferenceFlops: number;
  readonly parts: readonly Predictor[];
  /** Summing to one. */
  readonly weights: readonly number[];

  /** @param weights of the parts, summing to one; equal when left out */
  constructor(parts: readonly Predictor[], weights: readonly number[] = parts.map(() => 1 / parts.length)) {
    this.parts = parts;
    this.weights = weights;
    this.memberNames = parts.flatMap((part) => part.memberNames);
    this.readsImages = parts.some((part) => part.readsImages ?? true);
    this.parameters = parts.reduce((sum, part) => sum + part.parameters, 0);
    this.inferenceFlops = parts.reduce((sum, part) => sum + part.inferenceFlops, 0);
  }

  predict(images: Tensor, stored?: StoredFeatures): Prediction {
    const probabilities = scope(() =>
      this.parts
        .map((part, i) => part.predict(images, stored).probabilities.mul(this.weights[i] ?? 0))
        .reduce((sum, next) => sum.add(next)),
    );
    return { probabilities };
  }

  /** Without a part the others keep their proportions; an average has no k. */
  predictVariants(images: Tensor, variants: readonly Variant[], known?: StoredFeatures): (Prediction | undefined)[] {
    const tables = this.parts.map((part, i) => part.predict(images, known).probabilities.mul(this.weights[i] ?? 0));
    return variants.map(({ k, without }) => {
      const rest = tables.filter((_, i) => i !== without);
      const weight = this.weights.reduce((sum, own, i) => sum + (i === without ? 0 : own), 0);
      if (k !== undefined || rest.length === 0 || weight === 0) return undefined;
      return { probabilities: rest.reduce((sum, next) => sum.add(next)).div(weight) };
    });
  }

  keep(): Kept {
    const kept = this.parts.map((part) => {
      if (!part.keep) throw new Error("a part of the ensemble cannot be kept");
      return part.keep(new Set());
    });
    const layers = kept.flatMap((part, i) =>
      [...part.layers].map(([name, tensor]) => [`${i}.${name}`, tensor] as const),
    );
    const parts = kept.map(({ plan }) => {
      if (plan.kind === "ensemble") throw new Error("an ensemble of ensembles cannot be kept");
      return plan;
    });
    return {
      plan: { kind: "ensemble", parts, weights: [...this.weights] },
      members: kept.flatMap((part) => part.members),
      layers: new Map(layers),
    };
  }

  eval(): void {
    for (const part of this.parts) part.eval();
  }

  dispose(): void {
    for (const part of this.parts) part.dispose();
  }
}

/** Mean of probability tables [N, C], weighted where weights are given. */
export function meanProbabilities(
  tables: readonly Float32Array[],
  weights: readonly number[] = tables.map(() => 1 / tables.length),
): Float32Array {
  const mean = new Float32Array(tables[0]?.length ?? 0);
  for (const [t, table] of tables.entries()) {
    const weight = weights[t] ?? 0;
    for (let i = 0; i < mean.length; i++) mean[i] = (mean[i] ?? 0) + (table[i] ?? 0) * weight;
  }
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
