/**
 * What validation images settle once the weights are final: how far scores depend on the input, and the temperature of weights
 * over more models than in training. Both are this project's choices. m models, B batch, n validation images.
 */
import type { HubPathway, PathwayGenerator, StoredFeatures } from "../pathway/index.ts";
import { cat, disposeTree, inferenceMode, noGrad, ops, scope, stack, type Tensor } from "../torch/index.ts";
import { type Batch, type BatchSource, exceedsChance, forEachBatch, type Task } from "../train/index.ts";

/** Temperatures that are tried for more activated models than in training. */
const temperatures = Array.from({ length: 17 }, (_, i) => 2 ** (i / 2 - 3));

/** What scores are without the input. */
export interface Gate {
  /** Scores [m] of one gate. */
  own: Tensor;
  /** Mean scores [m] of the generator. */
  mean: Tensor;
}

export interface Settling {
  module: HubPathway;
  task: Task;
  /** Left out where scores stay as they are. */
  gate: Gate | undefined;
  /** Scores [B, m] of a batch, and the features of all models that may be activated. */
  look(batch: Batch): { scores: Tensor; stored: StoredFeatures };
}

/**
 * Scores become those of one gate and a part of their dependence on the input, and the temperature that of the least loss with all
 * models.
 * @throws Interrupted after the signal
 */
export async function settleScores(settling: Settling, batches: BatchSource, signal?: AbortSignal): Promise<void> {
  const { module, gate, look } = settling;
  const part = gate ? await partThatHolds(settling, batches, signal) : 1;
  const settled = (batch: Batch) => {
    const { scores, stored } = look(batch);
    return { scores: gate ? shrunk(scores, gate, part) : scores, stored };
  };
  const isFitted = module.config.k < module.members.length;
  const tau = isFitted ? await bestTemperature({ ...settling, look: settled }, batches, signal) : undefined;
  // Not before both are known: who stops in between finds the scores as they were.
  if (gate) shrinkScores(module.generator, gate, part);
  if (tau !== undefined) noGrad(() => module.temperature().fill_(tau));
}

/**
 * How much of the scores' distance from their mean holds on images that the generator has not learned from. It is the slope of
 * the models' own gains in that distance, by least squares over all models of all images. Losses of routes alone would say it too,
 * with far less certainty: they compare two models of an image, and only where routes part. Gains are capped here and not in what
 * the generator learned, so that the slope leans towards one gate.
 * @returns 0 … 1; 0 where the slope is within its standard error, since routes that follow noise are worse than one gate
 */
async function partThatHolds(
  { module, task, look }: Settling,
  batches: BatchSource,
  signal?: AbortSignal,
): Promise<number> {
  const seen: { distances: Tensor; saved: Tensor }[] = [];
  const everyModel = module.members.map((_, i) => i);
  try {
    await forEachBatch(batches.epoch(0, 0), { work: "fit of scores", signal }, (batch) => {
      const values = scope(() =>
        inferenceMode(() => {
          const { scores, stored } = look(batch);
          const routing = module.along(
            scores,
            batch.indices.map(() => everyModel),
          );
          const { members, logits: joint } = module.execute(batch.images, routing, stored);
          // A model that is sure and wrong counts no more than one that says nothing: a few such losses would hide all others.
          const guess = task.rowLoss(ops.zeros_like(joint), batch.targets);
          const losses = members.map(({ logits }) => ops.minimum(task.rowLoss(logits, batch.targets), guess));
          return { distances: scores.sub(scores.mean(1, true)), saved: stack(losses, 1).neg() };
        }),
      );
      seen.push(values);
    });
    return scope(() => slope(cat(seen.map((own) => own.distances)), cat(seen.map((own) => own.saved))));
  } finally {
    disposeTree(seen);
  }
}

/**
 * Slope of y [n, m] in x [n, m] with an intercept for each model: 0 … 1, and 0 where it may be chance. Rows of x have the mean 0, so
 * that what moves all models of an image alike counts nothing.
 */
export function slope(x: Tensor, y: Tensor): number {
  const wide = (own: Tensor) => own.sub(own.mean(0)).to({ dtype: "float64" });
  const from = wide(x);
  const products = from.mul(wide(y)).sum(1);
  const sum = products.sum().item();
  if (!exceedsChance(sum, products.square().sum().item())) return 0;
  return Math.min(1, sum / from.square().sum().item());
}

/** Temperature of the least loss with all models. */
async function bestTemperature(
  { module, task, look }: Settling,
  batches: BatchSource,
  signal?: AbortSignal,
): Promise<number> {
  const m = module.members.length;
  const tried = temperatures.map((tau) => ({ tau, loss: 0 }));
  await forEachBatch(batches.epoch(0, 0), { work: "fit of weights", signal }, (batch) => {
    scope(() =>
      inferenceMode(() => {
        const { scores, stored } = look(batch);
        for (const own of tried) {
          const routing = module.routeBy(scores, m, own.tau);
          own.loss += task
            .rowLoss(module.execute(batch.images, routing, stored).logits, batch.targets)
            .sum()
            .item();
        }
      }),
    );
  });
  return tried.reduce((best, own) => (own.loss < best.loss ? own : best)).tau;
}

const shrunk = (scores: Tensor, { own, mean }: Gate, part: number): Tensor => own.add(scores.sub(mean).mul(part));

/** Makes the scores of every input those of one gate and a part of their distance from their mean, by the last layer's weights alone. */
export function shrinkScores(generator: PathwayGenerator, gate: Gate, part: number): void {
  const { weight, bias } = scoreLayer(generator);
  scope(() =>
    noGrad(() => {
      weight.mul_(part);
      bias.copy_(shrunk(bias, gate, part));
    }),
  );
}

/** The layer whose outputs are scores: weight [m, H] and bias [m]. */
export function scoreLayer(generator: PathwayGenerator): { weight: Tensor; bias: Tensor } {
  const layer = generator.children().get("score")?.ownParameters();
  const [weight, bias] = [layer?.get("weight"), layer?.get("bias")];
  if (!weight || !bias) throw new Error("the generator has no layer of scores");
  return { weight, bias };
}
