/** Steps of Hub-Pathway in float64 on toy members, alone or on the rows of one rank: for the proof that both are the same. */
import assert from "node:assert/strict";
import { GradientSums } from "../../src/distributed/index.ts";
import { withoutWeights } from "../../src/hub/shards.ts";
import { accumulatedStep } from "../../src/methods/accumulated-step.ts";
import { ShardedPathway } from "../../src/methods/sharded-pathway.ts";
import { type Module, synchronizeBatchNorm } from "../../src/nn/index.ts";
import { clipGradNorm, SGD } from "../../src/optim/index.ts";
import { HubPathway, type HubPathwayOptions } from "../../src/pathway/index.ts";
import {
  autocast,
  inferenceMode,
  keep,
  memory,
  type ProcessGroup,
  scope,
  type Tensor,
  tensor,
} from "../../src/torch/index.ts";
import { type Backward, ClassificationTask, type TrainBatch } from "../../src/train/index.ts";
import { clipShared } from "../../src/train/shards.ts";
import { build, classes, crossEntropy, freezeStatistics, images } from "./toy-pathway.ts";

export interface Trained {
  losses: number[];
  /** Norm of each step's gradient. */
  norms: number[];
  /** Models of each row, of each step, of the rows of this rank. */
  routes: number[][][];
  weights: Record<string, number[]>;
  /** Of a batch in evaluation, after the last step. */
  logits: number[];
  /** Tensors that the last steps left behind. */
  leaked: number;
}

export interface Setup {
  k: number;
  /** The members' BatchNorm computes with its own statistics. */
  frozen: boolean;
  batch: number;
  steps: number;
  /** Ranks have the models among them, instead of all on each. */
  shards?: boolean;
  /** Instead of float64. */
  precision?: "float32" | "bfloat16";
}

/** Below the norms of some steps, above those of others. */
const largestNorm = 1;

/** Models of the toy hub. */
const m = 3;

/** Rank of each model, where ranks have them among them: the last of four ranks would have none. */
const ownersOf = (worldSize: number) => Array.from({ length: m }, (_, i) => (i + 1) % worldSize);

export function trainToy({ k, frozen, batch, steps, shards, precision }: Setup, group?: ProcessGroup): Trained {
  const owners = group && shards ? ownersOf(group.worldSize) : undefined;
  const make = (options: HubPathwayOptions) =>
    group && owners ? new ShardedPathway({ ...options, group, owners }) : new HubPathway(options);
  // Where the aggregate's loss reaches no model, ranks run each by itself.
  const beta = Number(shards === true);
  const { model, members } = build(m, { k, beta, warmup: 0.25, explorationFade: "constant" }, 1, make);
  const kind = { dtype: precision ? "float32" : "float64" } as const;
  model.to(kind);
  const within: Within = (fn) => (precision === "bfloat16" ? autocast({}, fn) : fn());
  if (frozen) freezeStatistics(members);
  else for (const member of members) member.backbone.norm.minimumRows = 2;
  if (group) synchronizeBatchNorm(model, group);
  const isOwn = (i: number) => owners === undefined || owners[i] === group?.rank;
  const parts = members.map(({ backbone }, i) => [backbone, model.heads[i] as Module]);
  for (const [i, member] of members.entries()) {
    if (!isOwn(i)) withoutWeights(member);
    else if (owners) synchronizeBatchNorm(member.backbone, undefined);
  }
  const own = parts.filter((_, i) => isOwn(i)).flat();
  const common = owners ? model.generator.parameters() : model.parameters();
  // Not AdamW: the gradient of a bias before BatchNorm is zero but for rounding, which AdamW would make steps of.
  const optimizer = new SGD([{ params: model.parameters(), lr: 0.05, momentum: 0.9, weight_decay: 0.01 }]);
  const [rank, size] = group ? [group.rank, group.worldSize] : [0, 1];
  const [first, end] = [rank, rank + 1].map((part) => Math.floor((batch * part) / size)) as [number, number];
  const found: Trained = { losses: [], norms: [], routes: [], weights: {}, logits: [], leaked: 0 };
  const drawn = Array.from({ length: steps }, (_, step) => {
    using exact = images(batch, step);
    return keep(exact.to(kind).clone());
  });
  let before = 0;
  for (let step = 0; step < steps; step++) {
    if (step === steps - 5) before = memory().handles;
    scope(() => {
      const rows = (drawn[step] as Tensor).narrow(0, first, end - first);
      const labels = Array.from({ length: batch }, (_, row) => (row + step) % classes).slice(first, end);
      model.part = group && { group, rows: batch, first, all: drawn[step] };
      const progress = step / steps;
      const sums = group && new GradientSums(group);
      const targets = tensor(labels, { dtype: "int64" });
      const given = { images: rows, targets };
      const isEach = !owners && (sums !== undefined || (precision !== undefined && !shards));
      const train = isEach ? eachModel : allModels;
      const made = train(model, given, progress, { within, sums });
      found.losses.push(made.loss);
      found.routes.push(labels.map((_, row) => made.rows.flatMap((own, i) => (own.includes(row) ? [i] : []))));
      sums?.finish(common);
      const clip =
        group && owners
          ? clipShared({ group, own, common }, largestNorm)
          : clipGradNorm(model.parameters(), largestNorm);
      found.norms.push(clip);
      optimizer.step();
      optimizer.zeroGrad();
    });
  }
  found.leaked = memory().handles - before;
  const theirs = new Set(
    parts.flatMap((modules, i) => (isOwn(i) ? [] : modules.flatMap((one) => [...one.stateDict().values()]))),
  );
  for (const [name, value] of model.stateDict()) if (!theirs.has(value)) found.weights[name] = value.toNumbers();
  if (group && owners) model.part = undefined;
  found.logits = scope(() =>
    inferenceMode(() =>
      model
        .eval()
        .forward(drawn[0] as Tensor)
        .toNumbers(),
    ),
  );
  for (const batch of drawn) batch.dispose();
  optimizer.dispose();
  model.dispose();
  return found;
}

interface Step {
  loss: number;
  /** Rows of each model. */
  rows: readonly number[][];
}

type Within = <T>(fn: () => T) => T;

/** How a step computes, and where its gradients go. */
interface Way {
  within: Within;
  sums: GradientSums | undefined;
}

/** The equation at `HubPathway.losses`, with one backward pass. */
function allModels(model: HubPathway, { images, targets }: TrainBatch, progress: number, { within }: Way): Step {
  const routing = model.route(images, progress);
  const { total } = within(() => model.losses(model.execute(images, routing), crossEntropy(targets), progress));
  total.backward();
  return { loss: total.item(), rows: routing.rows };
}

/** Each model by itself, whose gradients are on their way while the next one computes. */
function eachModel(model: HubPathway, batch: TrainBatch, progress: number, { within, sums }: Way): Step {
  const backward: Backward = (forward, complete) => {
    using loss = scope(() => within(forward));
    if (loss.requires_grad) loss.backward();
    if (complete) sums?.start(complete);
    return loss.item();
  };
  const route = model.route.bind(model);
  let rows: readonly number[][] = [];
  model.route = (...args) => {
    const routing = route(...args);
    ({ rows } = routing);
    return routing;
  };
  const ranges = [{ first: 0, rows: batch.images.size(0) }];
  const task = new ClassificationTask(classes, 0);
  const { loss } = accumulatedStep({ module: model, task, batch, progress, ranges, backward });
  model.route = route;
  return { loss, rows };
}

/** Largest difference of two runs' numbers, as a part of the larger one or of 1. */
export function difference(a: readonly number[], b: readonly number[]): number {
  assert.equal(a.length, b.length);
  return Math.max(0, ...a.map((x, i) => Math.abs(x - (b[i] ?? Number.NaN)) / Math.max(1, Math.abs(x))));
}
