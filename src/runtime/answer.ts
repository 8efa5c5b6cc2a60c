/** How a bundle answers, in plain TypeScript: routes, weights, and the weighted sum of the activated models' logits. */
import type { Bundle } from "./manifest.ts";

/** Runs a file of the bundle on images [n, 3, S, S] and gives its one result, row by row. */
export type RunFile = (file: string, images: Float32Array, rows: number) => Promise<Float32Array>;

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
  const { router, members, labels } = bundle;
  const m = router?.scores ?? 1;
  const scores = router && (await run(router.file, images, n));
  const weights = new Float32Array(n * m);
  for (let row = 0; row < n; row++) weights.set(weightsOf(bundle, scores?.subarray(row * m, (row + 1) * m)), row * m);
  const logits = new Float32Array(n * labels.length);
  for (const { file, index } of members) {
    const rows = Array.from({ length: n }, (_, row) => row).filter((row) => (weights[row * m + index] ?? 0) > 0);
    if (rows.length === 0) continue;
    const own = await run(file, taken(images, n, rows), rows.length);
    for (const [i, row] of rows.entries()) {
      const weight = weights[row * m + index] ?? 0;
      for (let c = 0; c < labels.length; c++) {
        const at = row * labels.length + c;
        logits[at] = (logits[at] ?? 0) + weight * (own[i * labels.length + c] ?? 0);
      }
    }
  }
  return { scores, weights, probabilities: softmaxRows(logits, labels.length) };
}

/** The k models of the largest scores, ties to the lower index. */
export function routeOf({ members, k }: Bundle, scores: ArrayLike<number>): number[] {
  const order = members.map(({ index }) => index);
  order.sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0) || a - b);
  return order.slice(0, k);
}

function weightsOf(bundle: Bundle, scores: Float32Array | undefined): Float32Array {
  if (!scores) return Float32Array.of(1);
  const { k, weights } = bundle;
  const route = routeOf(bundle, scores);
  const temperature = k > weights.trainedK ? (weights.larger ?? weights.temperature) : weights.temperature;
  const chosen = Float32Array.from(route, (i) => (temperature === "equal" ? 0 : (scores[i] ?? 0) / temperature));
  const shares = softmaxRows(chosen, route.length);
  const all = new Float32Array(scores.length);
  for (const [i, index] of route.entries()) all[index] = shares[i] ?? 0;
  return all;
}

function taken(images: Float32Array, n: number, rows: readonly number[]): Float32Array {
  if (rows.length === n) return images;
  const size = images.length / n;
  const own = new Float32Array(rows.length * size);
  for (const [i, row] of rows.entries()) own.set(images.subarray(row * size, (row + 1) * size), i * size);
  return own;
}

function softmaxRows(values: Float32Array, width: number): Float32Array {
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
