/** The common part of the scores: checked items in float64, class membership, centring and the singular value decomposition. */
import { inferenceMode, int64, ops, scope, type Tensor, UserError } from "../torch/index.ts";

/** Labelled items of the target data: n items, C classes. */
export interface Labels {
  /** Class of each item, 0 … C - 1. */
  readonly labels: readonly number[];
  /** C; classes without an item are left out of every score. */
  readonly classes: number;
  /** Several labels, 0 or 1, or numbers of each item, float64 [n, C], in place of classes. */
  readonly targets?: Tensor | undefined;
}

/** A long computation that lets others have their turn wherever it yields. */
export type Steps<T> = Generator<void, T, void>;

/** Runs the computation of a score: nothing is recorded for autograd, and every tensor inside is released. */
export function computing<T>(fn: () => T): T {
  return scope(() => inferenceMode(fn));
}

/**
 * The table as float64 [n, width].
 * @throws RangeError when shapes or labels do not fit; UserError when a value is not finite
 */
export function checkedTable(what: string, table: Tensor, { labels, classes, targets }: Labels): Tensor {
  const shape = `[${table.shape.join(", ")}]`;
  if (table.dim() !== 2 || table.size(1) === 0) {
    throw new RangeError(`${what} have shape ${shape}: a score needs one row an item, [n, width]`);
  }
  if (table.size(0) !== labels.length) throw new RangeError(`${what} ${shape} for ${labels.length} labels`);
  if (labels.length === 0) throw new RangeError("a score needs at least one item");
  const wrong = targets ? undefined : labels.find((label) => !Number.isInteger(label) || label < 0 || label >= classes);
  if (wrong !== undefined) throw new RangeError(`label ${wrong} is not one of ${classes} classes`);
  return checkedFinite(what, table.to({ dtype: "float64" }));
}

/** The table itself. @throws UserError when a value is not finite */
export function checkedFinite(what: string, table: Tensor): Tensor {
  if (ops.isfinite(table).all().item() === 1) return table;
  throw new UserError(`the ${what} of some images are not finite: check the model with \`hub-pathway hub verify\``);
}

/** Membership of the classes that have items, float64 [n, present]. */
export function membership({ labels, classes }: Labels, device = "cpu"): Tensor {
  const position = new Array<number>(classes).fill(-1);
  let present = 0;
  for (const label of labels) if (position[label] === -1) position[label] = present++;
  const own = int64(
    labels.map((label) => position[label] ?? 0),
    device,
  );
  return own.one_hot(present).to({ dtype: "float64" });
}

/** What a regression explains: membership of classes, or targets at mean 0 and variance 1, float64; columns that are always the same are left out. */
export function regressed(labels: Labels, device = "cpu"): Tensor {
  if (!labels.targets) return membership(labels, device);
  const table = labels.targets.to({ dtype: "float64", device });
  const varying = table.amax(0).ne(table.amin(0)).nonzero().squeeze(1);
  const columns = centred(table.index_select(1, varying));
  return columns.div(columns.square().mean(0, true).sqrt());
}

/** The columns minus their means; a constant column becomes exactly zero, whatever rounding its mean suffers. */
function centred(table: Tensor): Tensor {
  const constant = table.amax(0, true).eq(table.amin(0, true));
  return table.sub(table.mean(0, true)).masked_fill(constant, 0);
}

export interface Decomposition {
  /** Left singular vectors, [n, r]. */
  u: Tensor;
  /** Singular values above rounding, descending, [r]. */
  s: Tensor;
}

/**
 * Thin singular value decomposition of a table [n, d] without the directions that are rounding alone, so that
 * duplicate and constant columns add nothing. The table itself and not its Gram matrix: squaring would lose half of
 * the digits that tell a small direction from none.
 */
export function decompose(table: Tensor): Decomposition {
  const [u, s] = ops.linalg_svd(table, false);
  return above(rounding(table, s.max().item()), u, s);
}

export interface CentredDecomposition extends Decomposition {
  /** The columns minus their means, [n, d]. */
  centred: Tensor;
}

/**
 * The same of the columns minus their means. What counts as rounding follows from the columns as they were: the rounding
 * of large means leaves the same error in all rows of a column, and so a direction of its own, which would otherwise
 * add one to the rank wherever there are as many features as items.
 */
export function decomposeCentred(table: Tensor): CentredDecomposition {
  const columns = centred(table);
  const [u, s] = ops.linalg_svd(columns, false);
  return { centred: columns, ...above(rounding(table, Math.sqrt(table.square().sum().item())), u, s) };
}

/** Singular values of a table of this norm that may be rounding alone. */
function rounding(table: Tensor, norm: number): number {
  return Math.max(...table.shape) * Number.EPSILON * norm;
}

function above(cut: number, u: Tensor, s: Tensor): Decomposition {
  const rank = s.gt(cut).sum().item();
  return { u: u.narrow(1, 0, rank), s: s.narrow(0, 0, rank) };
}
