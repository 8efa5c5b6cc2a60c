/**
 * Models that are asked by a rule, as src/runtime/choice.ts has it: those worth most first, and one after the other until what they
 * say together is sure enough. Cascades by confidence are well known; here each input has its own order (this project's choice).
 * B batch, m models, C classes.
 */
import type { HubPathway, MemberOutput, Routing, StoredFeatures } from "../pathway/index.ts";
import { Asking, type Rule } from "../runtime/index.ts";
import { type Tensor, tensor } from "../torch/index.ts";
import type { Prediction, Task } from "../train/index.ts";

/** A batch with what models said about it so far. */
export class AskedBatch {
  /** u, [B, m]. */
  readonly scores: Tensor;
  readonly images: Tensor;
  readonly found: MemberOutput[] = [];
  readonly #module: HubPathway;
  readonly #task: Task;
  readonly #stored: StoredFeatures | undefined;

  constructor(module: HubPathway, task: Task, images: Tensor, scores: Tensor, stored?: StoredFeatures) {
    this.#module = module;
    this.#task = task;
    this.images = images;
    this.scores = scores;
    this.#stored = stored;
  }

  /** Runs models on rows of the batch, [m][rows]; a later run on other rows adds to it. @returns what they said */
  run(rows: number[][]): MemberOutput[] {
    const { scores } = this;
    const routing: Routing = { scores, noisyScores: scores, noiseScale: 0, weights: scores, rows };
    const { members } = this.#module.execute(this.images, routing, this.#stored);
    this.found.push(...members);
    return members;
  }

  /** Probabilities [B, C] under weights [B, m]; a row that no model ran on means nothing. */
  join(weights: Tensor): Tensor {
    const weighed = this.found.map((output) => {
      return { ...output, weights: weights.select(1, output.index).index_select(0, output.rowIndex).unsqueeze(1) };
    });
    return this.#task.probabilities(this.#module.aggregation.join(weighed, this.images.size(0), 1));
  }
}

/** Answers of a batch by a rule. */
export function predictByRule(batch: AskedBatch, rule: Rule): Prediction {
  const { scores } = batch;
  const [size, m] = [scores.size(0), scores.size(1)];
  const values = scores.to({ dtype: "float32", device: "cpu" }).toTypedArray() as Float32Array;
  const rows = Array.from({ length: size }, (_, row) => new Asking(rule, values.slice(row * m, (row + 1) * m)));
  const table = new Float32Array(size * m);
  for (;;) {
    const asking = Array.from({ length: m }, (_, index) => [...rows.keys()].filter((row) => rows[row]?.asks(index)));
    batch.run(asking);
    for (const [row, { weights }] of rows.entries()) table.set(weights, row * m);
    const weights = tensor(table, { shape: [size, m] }).to({ device: scores.device });
    const probabilities = batch.join(weights);
    const numbers = probabilities.to({ dtype: "float32", device: "cpu" }).toTypedArray() as Float32Array;
    const width = numbers.length / size;
    for (const [row, one] of rows.entries()) if (one.isOpen) one.take(numbers.subarray(row * width, (row + 1) * width));
    if (!rows.some((row) => row.isOpen)) return { probabilities, weights, scores };
  }
}
