/**
 * A batch that the ranks of a process group share. Each rank has some rows; gradients are added up over the ranks
 * afterwards, so that whatever is a mean over the batch has this rank's gradient alone, and the value of all.
 * B rows of the batch, n of this rank.
 */
import {
  cat,
  drawInto,
  type Generator,
  int64,
  noGrad,
  ops,
  type ProcessGroup,
  type Tensor,
  tensor,
  zeros,
} from "../torch/index.ts";

export interface BatchPart {
  group: ProcessGroup;
  /** B. */
  rows: number;
  /** Position in the batch of this rank's first row. */
  first: number;
  /** Images of all its rows, where owners of models read them, [B, 3, H, W]. */
  all?: Tensor | undefined;
}

/** The rows of a batch that a rank has, [first, end): runs that follow each other, as long as each other or longer by one. */
export function rowsOfRank(
  rows: number,
  { rank, worldSize }: Pick<ProcessGroup, "rank" | "worldSize">,
): [first: number, end: number] {
  return [Math.floor((rows * rank) / worldSize), Math.floor((rows * (rank + 1)) / worldSize)];
}

/**
 * Rows [B, …] of the whole batch on every rank, of those [n, …] that `rowsOfRank` gives each. The gradient of a row comes
 * back to its rank from all of them.
 */
export function gatherRows(own: Tensor, part: BatchPart | undefined): Tensor {
  if (!part) return own;
  const { group, rows } = part;
  const { worldSize } = group;
  const longest = Math.ceil(rows / worldSize);
  const missing = zeros([longest - own.size(0), ...own.shape.slice(1)], { dtype: own.dtype, device: own.device });
  const all = group.allGather(cat([own, missing]));
  const places = Array.from({ length: worldSize }, (_, rank) => {
    const [first, end] = rowsOfRank(rows, { rank, worldSize });
    return Array.from({ length: end - first }, (_, i) => rank * longest + i);
  });
  return all.index_select(0, int64(places.flat(), own.device));
}

/** Mean over the batch of values [n, …] of its rows. */
export function batchMean(values: Tensor, part: BatchPart | undefined): Tensor {
  if (!part) return values.dim() === 1 ? values.mean() : values.mean(0);
  return wholeSum(values.sum(0), part).div(part.rows);
}

/** Mean over groups of the batch's rows of each group's mean; all ranks have the same groups, some of them without rows. */
export function meanOfMeans(groups: readonly Tensor[], part: BatchPart | undefined): Tensor {
  if (!part) return ops.stack(groups.map((values) => values.mean())).mean();
  const sums = wholeSum(ops.stack(groups.map((values) => values.sum())), part);
  const counts = part.group.allReduce(tensor(groups.map((values) => values.numel())).to({ dtype: sums.dtype }));
  return sums.div(counts).mean();
}

/** Number of rows of the batch in each list of this rank's rows, summed over all ranks. */
export function batchCounts(lists: readonly (readonly number[])[], part: BatchPart | undefined): number[] {
  const own = lists.map(({ length }) => length);
  return part ? part.group.allReduce(tensor(own, { dtype: "int64" })).toNumbers() : own;
}

/**
 * Random numbers of a stream for this rank's rows, [n, …] as `like`, out of those that are drawn for the whole batch: every
 * rank's stream goes on in the same way, and a row has the same numbers whoever computes it.
 */
export function drawRows(
  like: Tensor,
  generator: Generator,
  draw: (place: Tensor) => Tensor,
  part: BatchPart | undefined,
): Tensor {
  if (!part) return drawInto(ops.empty_like(like), generator, draw);
  const [rows = 0, ...shape] = like.shape;
  const whole = ops.empty([part.rows, ...shape], { dtype: like.dtype, device: like.device });
  return noGrad(() => drawInto(whole, generator, draw)).narrow(0, part.first, rows);
}

/** Sum over the ranks, whose gradient is that of this rank's. */
function wholeSum(own: Tensor, { group }: BatchPart): Tensor {
  const detached = own.detach();
  return own.add(group.allReduce(detached).sub(detached));
}
