/**
 * A step of Hub-Pathway whose models compute their rows in parts, with the gradients of the whole batch: routes, noise and
 * the exploration loss are those of all rows, and every model's own loss is the mean over all rows that chose it.
 * B rows of the batch, m models, C outputs.
 */
import { type HubPathway, klExploration, type Routing } from "../pathway/index.ts";
import { disposeTree, keep, scope, type Tensor } from "../torch/index.ts";
import { type Backward, type PartedStep, type RowRange, rowsOf, type Task, type TrainBatch } from "../train/index.ts";

export interface AccumulatedRequest {
  module: HubPathway;
  task: Task;
  batch: TrainBatch;
  progress: number;
  ranges: readonly RowRange[];
  backward: Backward;
}

/**
 * The generator's graph stands until all parts are done: they leave their gradient at a copy of the weights, from where it
 * goes on into the generator at once.
 */
export function accumulatedStep({ module, task, batch, progress, ranges, backward }: AccumulatedRequest): PartedStep {
  const { images, targets } = batch;
  const routing = keep(scope(() => module.route(images, progress)));
  const weights = keep(scope(() => routing.weights.detach().clone()));
  const learns = routing.weights.requires_grad;
  weights.requires_grad = learns;
  const counts = routing.rows.map(({ length }) => length);
  const active = counts.filter((count) => count > 0).length;
  const { exploitationWeight } = module.config;
  const factor = exploitationWeight === "each" ? active : exploitationWeight;
  const sums = { task: 0, exploration: 0, exploitation: 0 };
  try {
    for (const range of ranges) {
      backward(() => {
        const part = rowsOf(batch, range);
        const output = module.execute(part.images, routingOf(routing, weights, range), part.features);
        const own = output.members.map(({ index, logits, rowIndex }) =>
          task
            .rowLoss(logits, part.targets.index_select(0, rowIndex))
            .sum()
            .div(counts[index] ?? 1),
        );
        const ofTask = task.rowLoss(output.logits, part.targets).sum().div(targets.size(0));
        const exploitation = own.reduce((sum, next) => sum.add(next)).div(active);
        sums.task += ofTask.item();
        sums.exploitation += exploitation.item();
        return ofTask.add(exploitation.mul(factor));
      });
    }
    const weight = module.explorationWeight(progress);
    backward(() => {
      const exploration = klExploration(routing.scores, module.prior);
      sums.exploration = exploration.item();
      const gradient = learns ? weights.grad : undefined;
      const passed = gradient && routing.weights.mul(gradient).sum();
      const weighted = exploration.mul(weight);
      return passed ? weighted.add(passed) : weighted;
    });
    const { noiseScale } = routing;
    return {
      loss: sums.task + weight * sums.exploration + factor * sums.exploitation,
      rows: counts,
      logs: { ...sums, noise: typeof noiseScale === "number" ? noiseScale : scope(() => noiseScale.mean().item()) },
    };
  } finally {
    disposeTree([routing, weights]);
  }
}

/** Routes of some rows, by the given weights [B, m]. */
function routingOf(routing: Routing, weights: Tensor, { first, rows }: RowRange): Routing {
  const part = (x: Tensor) => x.narrow(0, first, rows);
  const own = (all: readonly number[]) =>
    all.filter((row) => row >= first && row < first + rows).map((row) => row - first);
  return {
    scores: part(routing.scores),
    noisyScores: part(routing.noisyScores),
    noiseScale: routing.noiseScale,
    weights: part(weights),
    rows: routing.rows.map(own),
  };
}
