/**
 * Statistics of the routes of many inputs: use, overlap, entropy and information. Logarithms are natural. N inputs, m models;
 * weights and scores are row-major [N, m], and a model is active where its weight is above zero.
 */
import { keyedRandom, shuffled } from "../torch/index.ts";

/** The inputs that take one route. */
export interface Path {
  /** Activated models, ascending. */
  models: number[];
  /** Inputs, ascending. */
  items: number[];
}

/** Activated models of one input, ascending. */
export function activeModels(weights: Float32Array, m: number, item: number): number[] {
  const active: number[] = [];
  for (let j = 0; j < m; j++) if ((weights[item * m + j] ?? 0) > 0) active.push(j);
  return active;
}

/** All routes with the inputs that take them, the most frequent first. */
export function pathsOf(weights: Float32Array, m: number): Path[] {
  const paths = new Map<string, Path>();
  for (let item = 0; item < weights.length / m; item++) {
    const models = activeModels(weights, m, item);
    const key = models.join(",");
    const path = paths.get(key);
    if (path) path.items.push(item);
    else paths.set(key, { models, items: [item] });
  }
  return [...paths.values()].sort((a, b) => b.items.length - a.items.length || (a.items[0] ?? 0) - (b.items[0] ?? 0));
}

/** Share of the given inputs that activate each model, [m]. */
export function useOf(weights: Float32Array, m: number, items: readonly number[]): number[] {
  const counts = new Array<number>(m).fill(0);
  for (const item of items) for (const j of activeModels(weights, m, item)) counts[j] = (counts[j] ?? 0) + 1;
  return counts.map((count) => count / Math.max(1, items.length));
}

/**
 * Part of the inputs that activate both of two models among those that activate one or both (Jaccard), [m][m]; 0 for two models
 * that no input activates.
 */
export function overlapMatrix(weights: Float32Array, m: number): number[][] {
  const both = Array.from({ length: m }, () => new Array<number>(m).fill(0));
  for (let item = 0; item < weights.length / m; item++) {
    const active = activeModels(weights, m, item);
    for (const a of active) for (const b of active) (both[a] as number[])[b] = (both[a]?.[b] ?? 0) + 1;
  }
  const count = (a: number, b: number) => both[a]?.[b] ?? 0;
  return both.map((row, a) => row.map((n, b) => (n === 0 ? 0 : n / (count(a, a) + count(b, b) - n))));
}

/** -Σ p log p of non-negative values after scaling them to sum to one; 0 when all are zero. */
export function entropy(values: readonly number[]): number {
  const total = values.reduce((sum, value) => sum + value, 0);
  if (total === 0) return 0;
  return values.reduce((sum, value) => sum - (value > 0 ? (value / total) * Math.log(value / total) : 0), 0);
}

/** Mean over the inputs of the entropy of their weights. */
export function meanWeightEntropy(weights: Float32Array, m: number): number {
  return meanOverRows(weights, m, entropy);
}

/** Mean over the inputs of the entropy of softmax(scores). */
export function meanScoreEntropy(scores: Float32Array, m: number): number {
  return meanOverRows(scores, m, (row) => entropy(softmax(row)));
}

/** Probabilities of scores. */
export function softmax(scores: readonly number[]): number[] {
  const largest = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - largest));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}

/** Mutual information of two labels of the same inputs, from their counts. */
export function mutualInformation(a: readonly number[], b: readonly number[]): number {
  return Math.max(0, labelEntropy(a) + labelEntropy(b) - labelEntropy(a.map((label, i) => `${label},${b[i]}`)));
}

/** Entropy of the frequencies of labels. */
export function labelEntropy(labels: readonly (number | string)[]): number {
  const counts = new Map<number | string, number>();
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  return entropy([...counts.values()]);
}

const shuffles = 50;

/** Mean mutual information after shuffling one of the labels: what few inputs show even where there is nothing. */
export function chanceInformation(a: readonly number[], b: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < shuffles; i++) sum += mutualInformation(a, shuffled(b, keyedRandom(i, 0xc4a5ce)));
  return sum / shuffles;
}

/** Half the sum of the differences of two distributions, 0 … 1. */
export function totalVariation(p: readonly number[], q: readonly number[]): number {
  return p.reduce((sum, value, i) => sum + Math.abs(value - (q[i] ?? 0)), 0) / 2;
}

function meanOverRows(values: Float32Array, m: number, measure: (row: number[]) => number): number {
  const rows = values.length / m;
  let sum = 0;
  for (let row = 0; row < rows; row++) sum += measure([...values.subarray(row * m, (row + 1) * m)]);
  return rows === 0 ? 0 : sum / rows;
}
