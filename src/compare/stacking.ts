/**
 * Stacking (Wolpert, "Stacked Generalization", 1992) of fine-tuned members. The layer that joins them is ridge regression on what
 * they say of training images that they were not trained on: each member is trained once more for each fold, without it. N
 * training images, m members, C classes.
 */
import { z } from "zod";
import {
  boundedLog,
  EnsemblePredictor,
  fineTune,
  type MemberLearner,
  memberLearner,
  stackedHead,
} from "../methods/index.ts";
import type { StoredFeatures } from "../pathway/index.ts";
import { cat, disposeTree, scope, type Tensor } from "../torch/index.ts";
import { evaluate, type MethodContext, type Prediction } from "../train/index.ts";
import { rivalOf } from "./rivals.ts";

export const stacking = rivalOf("stacking", z.object({ folds: z.int().min(2) }), async (context, { folds }) => {
  const { data } = context;
  const tables: Float32Array[] = [];
  for (const { name } of context.hub.manifest.members) tables.push(await crossFitted(context, name, folds));
  const labels = data.items("train").map((item) => data.labels[item] ?? -1);
  const head = stackedHead({ tables, labels, classes: data.classes.length });
  return new StackedPredictor(await fineTune(context), head);
});

/** What a member says of each training image by a fit without its fold, row-major [N, C]. */
async function crossFitted(context: MethodContext, name: string, folds: number): Promise<Float32Array> {
  const { data, signal } = context;
  const [items, classes] = [data.items("train"), data.classes.length];
  const table = new Float32Array(items.length * classes);
  for (let fold = 0; fold < folds; fold++) {
    const isOut = (_: unknown, row: number) => row % folds === fold;
    const learner = memberLearner(name, context);
    await context.fit(`${name}-without-${fold}`, learner, { rows: items.filter((item, row) => !isOut(item, row)) });
    const { probabilities } = await evaluate(learner, data.open("train"), classes, { signal });
    for (const [row] of items.entries()) {
      if (isOut(row, row)) table.set(probabilities.subarray(row * classes, (row + 1) * classes), row * classes);
    }
    learner.dispose();
  }
  return table;
}

class StackedPredictor extends EnsemblePredictor {
  readonly #head: { weight: Tensor; bias: Tensor };

  constructor(parts: readonly MemberLearner[], head: { weight: Tensor; bias: Tensor }) {
    super(parts);
    this.#head = head;
  }

  override predict(images: Tensor, stored?: StoredFeatures): Prediction {
    const { weight, bias } = this.#head;
    const probabilities = scope(() => {
      const said = this.parts.map((part) => boundedLog(part.predict(images, stored).probabilities));
      return cat(said, 1).matmul(weight.t()).add(bias).softmax(1);
    });
    return { probabilities };
  }

  /** A member cannot be left out of what was fitted to all. */
  override predictVariants(_images: Tensor, variants: readonly unknown[]): undefined[] {
    return variants.map(() => undefined);
  }

  override dispose(): void {
    disposeTree([this.#head.weight, this.#head.bias]);
    super.dispose();
  }
}
