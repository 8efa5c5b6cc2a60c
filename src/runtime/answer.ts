/** How a bundle answers, in plain TypeScript: models run on the images that ask them, and their answers are joined. */
import { Asking, type ModelChoice, type Rule, ruleBy } from "./choice.ts";
import { type Bundle, placesOf } from "./manifest.ts";
import { answersFrom } from "./task.ts";

/** Runs a file of the bundle on images [n, 3, S, S] and gives its one result, row by row. */
export type RunFile = (file: string, images: Float32Array, rows: number) => Promise<Float32Array>;

/** n images, m models, C classes. */
export interface Answers {
  /** [n, m]; nothing where there is one model. */
  readonly scores: Float32Array | undefined;
  /** [n, m], 0 for models that are not activated. */
  readonly weights: Float32Array;
  /** Probabilities [n, C], or numbers in their own units. */
  readonly probabilities: Float32Array;
}

/** A bundle's rule, with another choice of models than its own where one is given. */
export function ruleOf(bundle: Bundle, choice?: ModelChoice): Rule {
  const { k, weights, shares, members, confidence, price } = bundle;
  const rule = { k, weights, shares, members, confidence, price };
  return choice ? ruleBy(rule, choice) : rule;
}

/** Answers for n images; each model runs once on the images that ask it at a time. @param choice in place of the bundle's own */
export async function answer(
  bundle: Bundle,
  images: Float32Array,
  n: number,
  run: RunFile,
  choice?: ModelChoice,
): Promise<Answers> {
  const { members, labels } = bundle;
  const [m, width, rule] = [placesOf(bundle), labels.length, ruleOf(bundle, choice)];
  const batch = await BundleBatch.open(bundle, images, n, run);
  const rows = Array.from({ length: n }, (_, row) => new Asking(rule, batch.scores?.slice(row * m, (row + 1) * m)));
  const weights = new Float32Array(n * m);
  for (;;) {
    for (const { index } of members) {
      const asking = [...rows.keys()].filter((row) => rows[row]?.asks(index));
      if (asking.length > 0) await batch.run(index, asking);
    }
    for (const [row, { weights: own }] of rows.entries()) weights.set(own, row * m);
    const probabilities = await batch.join(weights);
    for (const [row, one] of rows.entries())
      if (one.isOpen) one.take(probabilities.subarray(row * width, (row + 1) * width));
    if (!rows.some((row) => row.isOpen)) return { scores: batch.scores, weights, probabilities };
  }
}

/** Images with what the models said about them so far. */
export class BundleBatch {
  /** [n, m]; nothing where there is no router. */
  readonly scores: Float32Array | undefined;
  readonly #bundle: Bundle;
  readonly #images: Float32Array;
  readonly #n: number;
  readonly #run: RunFile;
  readonly #found: { readonly member: number; readonly rows: readonly number[]; readonly values: Float32Array }[] = [];

  private constructor(bundle: Bundle, images: Float32Array, n: number, run: RunFile, scores: Float32Array | undefined) {
    this.#bundle = bundle;
    this.#images = images;
    this.#n = n;
    this.#run = run;
    this.scores = scores;
  }

  static async open(bundle: Bundle, images: Float32Array, n: number, run: RunFile): Promise<BundleBatch> {
    const { router } = bundle;
    return new BundleBatch(bundle, images, n, run, router && (await run(router.file, images, n)));
  }

  /** Runs a model, by its place among the scores, on some rows; a later run on other rows adds to it. */
  async run(member: number, rows: readonly number[]): Promise<void> {
    const { members, labels, task } = this.#bundle;
    const { file = "" } = members.find(({ index }) => index === member) ?? {};
    const logits = await this.#run(file, taken(this.#images, this.#n, rows), rows.length);
    this.#found.push({ member, rows, values: this.#addsLogits ? logits : answersFrom(task, logits, labels.length) });
  }

  /** What the models say, joined under weights [n, m]: answers [n, C]. */
  async join(weights: Float32Array): Promise<Float32Array> {
    const width = this.#bundle.labels.length;
    const m = placesOf(this.#bundle);
    const sums = new Float32Array(this.#n * width);
    for (const { member, rows, values } of this.#found) {
      for (const [i, row] of rows.entries()) {
        const weight = weights[row * m + member] ?? 0;
        for (let c = 0; c < width; c++) {
          const at = row * width + c;
          sums[at] = (sums[at] ?? 0) + weight * (values[i * width + c] ?? 0);
        }
      }
    }
    return this.#addsLogits ? answersFrom(this.#bundle.task, sums, width) : sums;
  }

  get #addsLogits(): boolean {
    return this.#bundle.aggregation === "weighted-logits";
  }
}

/** Some of n images, in the order of `rows`. */
export function taken(images: Float32Array, n: number, rows: readonly number[]): Float32Array {
  if (rows.length === n) return images;
  const size = images.length / n;
  const own = new Float32Array(rows.length * size);
  for (const [i, row] of rows.entries()) own.set(images.subarray(row * size, (row + 1) * size), i * size);
  return own;
}
