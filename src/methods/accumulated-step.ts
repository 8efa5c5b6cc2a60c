/**
 * A step of Hub-Pathway in parts, with the gradients of the whole batch: routes, noise and the exploration loss are those of
 * all rows, and every model's own loss is the mean over all rows that chose it. Where the aggregate's loss reaches no model
 * (beta = 0), each model computes its gradient before the next one runs, so that only one has activations at a time.
 * B rows of the batch, m models, C outputs.
 */
import { type HubPathway, klExploration, type MemberOutput, type Routing } from "../pathway/index.ts";
import { disposeTree, keep, scope, type Tensor } from "../torch/index.ts";
import { type Backward, type PartedStep, type RowRange, rowsOf, type Task, type TrainBatch } from "../train/index.ts";
import type { GeneratorLessons } from "./generator-lessons.ts";

export interface AccumulatedRequest {
  module: HubPathway;
  task: Task;
  batch: TrainBatch;
  progress: number;
  /** One range of all rows where there are lessons. */
  ranges: readonly RowRange[];
  backward: Backward;
  lessons?: Pick<GeneratorLessons, "loss" | "record"> | undefined;
}

/**
 * The generator's graph stands until all parts are done: they leave their gradient at a copy of the weights, from where it
 * goes on into the generator at once.
 */
export function accumulatedStep(request: AccumulatedRequest): PartedStep {
  const { module, batch, progress, ranges, backward, lessons } = request;
  const routing = keep(scope(() => module.route(batch.images, progress)));
  const weights = keep(scope(() => routing.weights.detach().clone()));
  const learns = routing.weights.requires_grad;
  weights.requires_grad = learns;
  try {
    const terms = new Terms(request, routing);
    let credit: number | undefined;
    // Before the models' losses of this step are remembered.
    if (lessons && module.credit === "losses") credit = backward(() => lessons.loss(progress) as Tensor);
    for (const range of ranges) {
      scope(() => {
        const part = rowsOf(batch, range);
        computePart(request, part, routingOf(routing, weights, range), terms);
      });
    }
    const weight = module.explorationWeight(progress);
    let exploration = 0;
    backward(() => {
      const loss = klExploration(routing.scores, module.prior);
      exploration = loss.item();
      const gradient = learns ? weights.grad : undefined;
      const passed = gradient && routing.weights.mul(gradient).sum();
      const weighted = loss.mul(weight);
      return passed ? weighted.add(passed) : weighted;
    });
    const { task, exploitation, factor } = terms;
    const { noiseScale } = routing;
    const noise = typeof noiseScale === "number" ? noiseScale : scope(() => noiseScale.mean().item());
    return {
      loss: task + (credit ?? 0) + weight * exploration + factor * exploitation,
      rows: routing.rows.map(({ length }) => length),
      logs: { task, ...(credit === undefined ? {} : { credit }), exploration, exploitation, noise },
    };
  } finally {
    disposeTree([routing, weights]);
  }
}

/** The terms of the loss of a part of the rows, as shares of the whole batch's, whose values add up. */
class Terms {
  task = 0;
  exploitation = 0;
  /** Weight of the mean over models of their own losses. */
  readonly factor: number;
  readonly #request: AccumulatedRequest;
  readonly #counts: readonly number[];
  readonly #active: number;

  constructor(request: AccumulatedRequest, { rows }: Routing) {
    const { exploitationWeight } = request.module.config;
    this.#request = request;
    this.#counts = rows.map(({ length }) => length);
    this.#active = this.#counts.filter((count) => count > 0).length;
    this.factor = exploitationWeight === "each" ? this.#active : exploitationWeight;
  }

  /** Loss of the aggregate's logits [n, C]. */
  ofTask({ targets }: TrainBatch, logits: Tensor): Tensor {
    const { task, batch } = this.#request;
    const loss = task.rowLoss(logits, targets).sum().div(batch.targets.size(0));
    this.task += loss.item();
    return loss;
  }

  /** Own losses of models on their rows. */
  ofModels(part: TrainBatch, members: readonly MemberOutput[]): Tensor {
    const { task, lessons } = this.#request;
    const rows = members.map((own) => task.rowLoss(own.logits, part.targets.index_select(0, own.rowIndex)));
    lessons?.record(part, members, rows);
    const means = rows.map((losses, at) => losses.sum().div(this.#counts[members[at]?.index ?? 0] ?? 1));
    const loss = means.reduce((sum, next) => sum.add(next)).div(this.#active);
    this.exploitation += loss.item();
    return loss.mul(this.factor);
  }
}

function computePart({ module, backward }: AccumulatedRequest, part: TrainBatch, routing: Routing, terms: Terms): void {
  const { images, features } = part;
  const { beta } = module.config;
  if (beta > 0) {
    backward(() => {
      const { logits, members } = module.execute(images, routing, features);
      return terms.ofTask(part, logits).add(terms.ofModels(part, members));
    });
    return;
  }
  const members: MemberOutput[] = [];
  try {
    for (const [index, rows] of routing.rows.entries()) {
      if (rows.length === 0) continue;
      backward(() => {
        const made = module.run(index, rows, images, routing, features);
        members.push(keep({ ...made, features: made.features.detach(), logits: made.logits.detach() }));
        return terms.ofModels(part, [made]);
      });
    }
    backward(() => terms.ofTask(part, module.aggregation.join(members, images.size(0), beta)));
  } finally {
    disposeTree(members);
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
