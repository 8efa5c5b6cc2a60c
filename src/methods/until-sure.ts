/**
 * Inference that stops: models answer one after the other, in the order of their scores, until what they say together is
 * sure enough. Cascades by confidence are well known; here each input has its own order (this project's choice).
 * B batch, n rows that still go on, m models, C classes, d_i feature width of model i.
 */
import { type HubPathway, type MemberOutput, restrict, type StoredFeatures, topRoutes } from "../pathway/index.ts";
import { int64, ops, type Tensor, zeros } from "../torch/index.ts";
import type { Prediction, Task } from "../train/index.ts";

export interface UntilSure {
  /** Probability of the likeliest class at which no further model is asked, 0 … 1. */
  confidence: number;
  /** Models that an input activates at most. */
  k: number;
  /** Models that may be activated; all when left out. */
  allowed?: readonly number[] | undefined;
  /** u, [B, m]. */
  scores: Tensor;
  /** The same less what models cost, [B, m]: the order in which they are asked; u when left out. */
  worth?: Tensor | undefined;
  /** Features that are known already. */
  stored?: StoredFeatures | undefined;
}

/** What models have found of the batch: features [B, d_i] and logits [B, C], zero where they did not run. */
type Found = Map<number, Pick<MemberOutput, "features" | "logits">>;

/** Answers to images [B, 3, H, W]. */
export function predictUntilSure(
  module: HubPathway,
  task: Task,
  images: Tensor,
  { confidence, k, allowed, scores, worth = scores, stored }: UntilSure,
): Prediction {
  const batch = images.size(0);
  const order = topRoutes(restrict(worth, allowed), k);
  const probabilities = zeros([batch, task.outputs], { device: images.device });
  const weights = zeros([batch, module.members.length], { device: images.device });
  const found: Found = new Map();
  let open = order.map((_, row) => row);
  for (let count = 1; open.length > 0; count++) {
    const rows = int64(open, images.device);
    const next = open.map((row) => [order[row]?.[count - 1] ?? 0]);
    ask(module, found, { images, rows, open, next, stored });
    const of = (table: Tensor) => table.index_select(0, rows);
    const routing = module.routeBy(of(scores), count, module.tau(count), allowed, of(worth));
    const members = routing.rows.flatMap((own, index) => outputOf(found, index, own, open, routing.weights));
    const answer = task.probabilities(module.aggregation.join(members, open.length, 1));
    ops.index_copy_(probabilities, 0, rows, answer.to({ dtype: "float32" }));
    ops.index_copy_(weights, 0, rows, routing.weights.to({ dtype: "float32" }));
    const sure = ops.amax(answer, [1]).toNumbers();
    open = count === k ? [] : open.filter((_, i) => (sure[i] ?? 0) < confidence);
  }
  return { probabilities, weights, scores };
}

interface Question {
  images: Tensor;
  /** Rows of the batch, [n], as a tensor and as numbers. */
  rows: Tensor;
  open: readonly number[];
  /** The model that each of them asks, [n][1]. */
  next: number[][];
  stored?: StoredFeatures | undefined;
}

/** Runs each model on the rows that ask it, and keeps what it found. */
function ask(module: HubPathway, found: Found, { images, rows, open, next, stored }: Question): void {
  const known: StoredFeatures | undefined =
    stored &&
    ((name, own) =>
      stored(
        name,
        (own ?? [...open.keys()]).map((i) => open[i] ?? 0),
      ));
  const routing = module.along(zeros([open.length, module.members.length], { device: images.device }), next);
  const { members } = module.execute(images.index_select(0, rows), routing, known);
  for (const { index, rows: own, features, logits } of members) {
    const batch = images.size(0);
    const empty = (like: Tensor) => zeros([batch, like.size(1)], { dtype: like.dtype, device: like.device });
    const tables = found.get(index) ?? { features: empty(features), logits: empty(logits) };
    const places = placesOf(own, open, images.device);
    ops.index_copy_(tables.features, 0, places, features);
    ops.index_copy_(tables.logits, 0, places, logits);
    found.set(index, tables);
  }
}

/** What a model found of those open rows that it has run on. */
function outputOf(
  found: Found,
  index: number,
  rows: number[],
  open: readonly number[],
  routed: Tensor,
): MemberOutput[] {
  const tables = found.get(index);
  if (!tables || rows.length === 0) return [];
  const rowIndex = int64(rows, routed.device);
  const places = placesOf(rows, open, routed.device);
  const of = (table: Tensor) => table.index_select(0, places);
  const weights = routed.select(1, index).index_select(0, rowIndex).unsqueeze(1);
  return [{ index, rows, rowIndex, features: of(tables.features), logits: of(tables.logits), weights }];
}

function placesOf(rows: readonly number[], open: readonly number[], device: string): Tensor {
  return int64(
    rows.map((i) => open[i] ?? 0),
    device,
  );
}
