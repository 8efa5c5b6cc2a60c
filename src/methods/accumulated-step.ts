/**
 * A step of Hub-Pathway in parts, with the gradients of the whole batch: routes, noise and the exploration loss are those of
 * all rows, and every model's own loss is the mean over all rows that chose it. Where the aggregate's loss reaches no model
 * (beta = 0), each model computes its gradient before the next one runs, so that only one has activations at a time. Ranks that
 * share the batch run the models that any of them has rows for, in the hub's order, and a model's gradients travel
 * while the next one computes.
 * B rows of the batch, of all ranks, m models, C outputs.
 */
import { batchCounts } from "../nn/index.ts";
import { type HubPathway, klExploration, type MemberOutput, type Routing } from "../pathway/index.ts";
import { disposeTree, keep, scope, type Tensor, tensor } from "../torch/index.ts";
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
  // In float32, as evaluation routes: bfloat16 has three digits, and scores of models that are nearly as good would tie.
  const routing = keep(scope(() => module.route(batch.images, progress)));
  const weights = keep(scope(() => routing.weights.detach().clone()));
  const learns = routing.weights.requires_grad;
  weights.requires_grad = learns;
  try {
    const terms = new Terms(request, routing);
    let credit: number | undefined;
    // Before the models' losses of this step are remembered.
    if (lessons && module.credit === "losses")
      credit = backward(() => lessons.loss(progress, module.part?.group) as Tensor);
    for (const range of ranges) {
      scope(() => {
        const part = rowsOf(batch, range);
        computePart(request, part, routingOf(routing, weights, range), terms);
      });
    }
    const weight = module.explorationWeight(progress);
    let exploration = 0;
    backward(() => {
      const loss = klExploration(routing.scores, module.prior, module.part);
      exploration = loss.item();
      const gradient = learns ? weights.grad : undefined;
      const passed = gradient && routing.weights.mul(gradient).sum();
      const weighted = loss.mul(weight);
      return passed ? weighted.add(passed) : weighted;
    });
    const [task, exploitation] = terms.sums();
    const { factor } = terms;
    const { noiseScale } = routing;
    const noise = typeof noiseScale === "number" ? noiseScale : scope(() => noiseScale.mean().item());
    return {
      loss: task + (credit ?? 0) + weight * exploration + factor * exploitation,
      isWhole: true,
      rows: routing.rows.map(({ length }) => length),
      logs: { task, ...(credit === undefined ? {} : { credit }), exploration, exploitation, noise },
    };
  } finally {
    disposeTree([routing, weights]);
  }
}

/** The terms of the loss of a part of the rows, as shares of the whole batch's, whose values add up. */
class Terms {
  #task = 0;
  #exploitation = 0;
  /** Rows of the batch that each model has, [m]. */
  readonly counts: readonly number[];
  /** Weight of the mean over models of their own losses. */
  readonly factor: number;
  readonly #request: AccumulatedRequest;
  readonly #active: number;

  constructor(request: AccumulatedRequest, { rows }: Routing) {
    const { config, part } = request.module;
    const { exploitationWeight } = config;
    this.#request = request;
    this.counts = scope(() => batchCounts(rows, part));
    this.#active = this.counts.filter((count) => count > 0).length;
    this.factor = exploitationWeight === "each" ? this.#active : exploitationWeight;
  }

  /** Loss of the aggregate's logits [n, C]. */
  ofTask({ targets }: TrainBatch, logits: Tensor): Tensor {
    const { task, batch, module } = this.#request;
    const loss = task
      .rowLoss(logits, targets)
      .sum()
      .div(module.part?.rows ?? batch.targets.size(0));
    this.#task += loss.item();
    return loss;
  }

  /** Own losses of models, [n] of their rows each, and what they add to the loss. */
  ofModels({ targets }: TrainBatch, members: readonly MemberOutput[]): { own: Tensor[]; loss: Tensor } {
    const { task } = this.#request;
    const own = members.map(({ logits, rowIndex }) => task.rowLoss(logits, targets.index_select(0, rowIndex)));
    const means = own.map((losses, at) => losses.sum().div(this.counts[members[at]?.index ?? 0] ?? 1));
    const loss = means.reduce((sum, next) => sum.add(next)).div(this.#active);
    this.#exploitation += loss.item();
    return { own, loss: loss.mul(this.factor) };
  }

  /** Values of the aggregate's loss and of the models' own, over all ranks. */
  sums(): [task: number, exploitation: number] {
    const own = [this.#task, this.#exploitation] as [number, number];
    const { part } = this.#request.module;
    if (!part) return own;
    return scope(() => part.group.allReduce(tensor(own, { dtype: "float64" })).toNumbers()) as [number, number];
  }
}

function computePart(request: AccumulatedRequest, part: TrainBatch, routing: Routing, terms: Terms): void {
  const { module, backward, lessons, ranges } = request;
  const { images, features } = part;
  const { beta } = module.config;
  if (beta > 0) {
    backward(() => {
      const { logits, members } = module.execute(images, routing, features);
      const { own, loss } = terms.ofModels(part, members);
      lessons?.record(part, members, own);
      return terms.ofTask(part, logits).add(loss);
    });
    return;
  }
  const members: MemberOutput[] = [];
  const losses: Tensor[] = [];
  try {
    for (const [index, rows] of routing.rows.entries()) {
      // A rank without rows of a model has its part in the sums, and in BatchNorm's.
      if (rows.length === 0 && !(module.part && terms.counts[index])) continue;
      backward(
        () => {
          const made = module.run(index, rows, images, routing, features);
          members.push(keep({ ...made, features: made.features.detach(), logits: made.logits.detach() }));
          const { own, loss } = terms.ofModels(part, [made]);
          losses.push(...own.map((one) => keep(one.detach())));
          return loss;
        },
        ranges.length === 1 ? parametersOf(module, index) : undefined,
      );
    }
    lessons?.record(part, members, losses);
    backward(() => terms.ofTask(part, module.aggregation.join(members, images.size(0), beta)));
  } finally {
    disposeTree([members, losses]);
  }
}

/** What learns of a model and its head. */
function parametersOf({ members, heads }: HubPathway, index: number): Tensor[] {
  const both = [members[index]?.backbone, heads[index]];
  return both.flatMap((own) => own?.parameters() ?? []).filter((parameter) => parameter.requires_grad);
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
