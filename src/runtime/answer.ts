/** How a bundle answers, in plain TypeScript: routes, weights, and the weighted sum of the activated models' logits. */
import { type Bundle, placesOf } from "./manifest.ts";

/** Runs a file of the bundle on images [n, 3, S, S] and gives its one result, row by row. */
export type RunFile = (file: string, images: Float32Array, rows: number) => Promise<Float32Array>;

/** Which models are activated, and how much each counts. */
export interface Rule extends Pick<Bundle, "k" | "weights" | "shares"> {
  /** Those that may be activated, by their places among the scores. */
  readonly members: readonly { readonly index: number }[];
}

/** n images, m models, C classes. */
export interface Answers {
  /** [n, m]; nothing where there is one model. */
  readonly scores: Float32Array | undefined;
  /** [n, m], 0 for models that are not activated. */
  readonly weights: Float32Array;
  /** [n, C]. */
  readonly probabilities: Float32Array;
}

/** Answers for n images; each model runs once, on the images that activate it. */
export async function answer(bundle: Bundle, images: Float32Array, n: number, run: RunFile): Promise<Answers> {
  const { router, members } = bundle;
  const m = placesOf(bundle);
  const scores = router && (await run(router.file, images, n));
  const weights = new Float32Array(n * m);
  for (let row = 0; row < n; row++) weights.set(weightsOf(bundle, scores?.subarray(row * m, (row + 1) * m)), row * m);
  const join = new Join(bundle, n);
  for (const { file, index } of members) {
    const rows = Array.from({ length: n }, (_, row) => row).filter((row) => (weights[row * m + index] ?? 0) > 0);
    if (rows.length === 0) continue;
    join.add(await run(file, taken(images, n, rows), rows.length), rows, (row) => weights[row * m + index] ?? 0);
  }
  return { scores, weights, probabilities: join.probabilities };
}

/** What the activated models say, joined: [n, C]. */
export class Join {
  readonly #bundle: Pick<Bundle, "aggregation" | "labels">;
  readonly #sums: Float32Array;

  constructor(bundle: Pick<Bundle, "aggregation" | "labels">, n: number) {
    this.#bundle = bundle;
    this.#sums = new Float32Array(n * bundle.labels.length);
  }

  /** Adds a model's logits [rows, C], each times its weight, to the rows that they belong to. */
  add(logits: Float32Array, rows: readonly number[], weightOf: (row: number) => number): void {
    const width = this.#bundle.labels.length;
    const own = this.#addsLogits ? logits : softmaxRows(logits, width);
    for (const [i, row] of rows.entries()) {
      const weight = weightOf(row);
      for (let c = 0; c < width; c++) {
        const at = row * width + c;
        this.#sums[at] = (this.#sums[at] ?? 0) + weight * (own[i * width + c] ?? 0);
      }
    }
  }

  get probabilities(): Float32Array {
    return this.#addsLogits ? softmaxRows(this.#sums, this.#bundle.labels.length) : this.#sums;
  }

  get #addsLogits(): boolean {
    return this.#bundle.aggregation === "weighted-logits";
  }
}

/** The k models of the largest scores, ties to the lower index. */
export function routeOf({ members, k }: Rule, scores: ArrayLike<number>): number[] {
  const order = members.map(({ index }) => index);
  order.sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0) || a - b);
  return order.slice(0, k);
}

/** Weights of all models for the scores of an image, zero for those that are not activated; they sum to one. */
export function weightsOf(rule: Rule, scores: Float32Array | undefined): Float32Array {
  const { k, weights, shares: fixed } = rule;
  if (!scores) return fixed ? fixedWeights(rule, fixed) : Float32Array.of(1);
  const route = routeOf(rule, scores);
  const temperature = k > weights.trainedK ? (weights.larger ?? weights.temperature) : weights.temperature;
  const chosen = Float32Array.from(route, (i) => (temperature === "equal" ? 0 : (scores[i] ?? 0) / temperature));
  const shares = softmaxRows(chosen, route.length);
  const all = new Float32Array(scores.length);
  for (const [i, index] of route.entries()) all[index] = shares[i] ?? 0;
  return all;
}

/** The same for every image: those of the k models that count most. */
function fixedWeights(rule: Rule, fixed: readonly number[]): Float32Array {
  const route = routeOf(rule, fixed);
  const sum = route.reduce((total, index) => total + (fixed[index] ?? 0), 0);
  return Float32Array.from(fixed, (share, index) => (route.includes(index) ? share / sum : 0));
}

/** Some of n images, in the order of `rows`. */
export function taken(images: Float32Array, n: number, rows: readonly number[]): Float32Array {
  if (rows.length === n) return images;
  const size = images.length / n;
  const own = new Float32Array(rows.length * size);
  for (const [i, row] of rows.entries()) own.set(images.subarray(row * size, (row + 1) * size), i * size);
  return own;
}

/** Each row of `width` values as probabilities. */
export function softmaxRows(values: Float32Array, width: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let start = 0; start < values.length; start += width) {
    const row = values.subarray(start, start + width);
    const largest = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    const powers = Array.from(row, (value) => Math.exp(value - largest));
    const sum = powers.reduce((a, b) => a + b, 0);
    result.set(
      powers.map((power) => power / sum),
      start,
    );
  }
  return result;
}
