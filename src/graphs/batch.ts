/**
 * Graphs whose file fixes the batch, mostly to 1, run with any other. What a node would have made of each image alone is
 * known from a run with the file's own batch; comparing shapes with it shows in which dimension the images lie.
 */
import { sizeOf } from "./values.ts";

/** The batch that a file fixes, and the one of a run. */
export interface Batch {
  readonly declared: number;
  readonly actual: number;
}

/** The shapes of a step's values in a run with the file's batch, and how the images lie in its inputs in this run. */
export interface Reference {
  readonly batch: Batch;
  readonly inputs: readonly (readonly number[])[];
  readonly outputs: readonly (readonly number[])[];
  /** For each input, `Place.outer` of its images; 1 where nothing else is known. */
  readonly outers: readonly number[];
}

/**
 * Place of the images in a tensor: in dimension `dim`, each image's part after `outer` parts of what came first. The
 * dimension is then [outer, images, rest].
 */
export interface Place {
  readonly dim: number;
  readonly outer: number;
}

/** The dimension in which a shape differs from the reference by the ratio of the batches; undefined when none or several. */
export function batchDim(actual: readonly number[], fixed: readonly number[], batch: Batch): number | undefined {
  if (actual.length !== fixed.length) return undefined;
  const differing = actual.flatMap((size, i) => (size === fixed[i] ? [] : [i]));
  const [dim] = differing;
  if (differing.length !== 1 || dim === undefined) return undefined;
  return (actual[dim] ?? 0) * batch.declared === (fixed[dim] ?? 0) * batch.actual ? dim : undefined;
}

/** A shape with one of its dimensions scaled from the file's batch to the run's; undefined when it does not divide. */
export function scaled(shape: readonly number[], dim: number, batch: Batch): number[] | undefined {
  const size = ((shape[dim] ?? 0) * batch.actual) / batch.declared;
  return Number.isInteger(size) ? shape.with(dim, size) : undefined;
}

/**
 * The shape that a reshape from `fixedIn` to `fixedOut` has for the run's batch, and where the images are in it; undefined
 * when that cannot be told. Images keep their place in memory: after as many elements as before.
 */
export function reshaped(
  actualIn: readonly number[],
  fixedIn: readonly number[],
  fixedOut: readonly number[],
  outerIn: number,
  batch: Batch,
): { shape: readonly number[]; outer: number } | undefined {
  if (sizeOf(actualIn) === sizeOf(fixedIn)) return { shape: fixedOut, outer: 1 };
  const from = batchDim(actualIn, fixedIn, batch);
  if (from === undefined) return undefined;
  const before = sizeOf(fixedIn.slice(0, from)) * outerIn;
  const place = placeOf(before, fixedIn.slice(from + 1), fixedOut, batch);
  const shape = place && scaled(fixedOut, place.dim, batch);
  return shape && place ? { shape, outer: place.outer } : undefined;
}

function placeOf(before: number, after: readonly number[], shape: readonly number[], batch: Batch): Place | undefined {
  const starts = shape.map((_, i) => sizeOf(shape.slice(0, i)));
  const fitting = shape.flatMap((_, i) => (starts[i] === before ? [i] : []));
  // A dimension of the batch's own size is where the file wrote it.
  const own = fitting.find((i) => shape[i] === batch.declared);
  if (own !== undefined) return { dim: own, outer: 1 };
  const [next] = fitting;
  const rest = next === undefined ? [] : shape.slice(next);
  // [L, 1, E] or [L, 1, h, d] to [L, E] flattens rows, [L · images, E]; anything else, as [L, 1, E] to [L, h, d], joins the
  // images with what follows them.
  const isSame = rest.length === after.length && rest.every((size, i) => size === after[i]);
  const flattens = next !== undefined && next > 0 && (isSame || rest.length === 1);
  if (next !== undefined && !flattens) return { dim: next, outer: 1 };
  for (const [i, start] of starts.entries()) {
    const outer = before / start;
    if (start < before && before <= start * (shape[i] ?? 0) && Number.isInteger(outer)) return { dim: i, outer };
  }
  return undefined;
}

/**
 * Counts by which each shape is repeated along each dimension, so that those without images match those with them. An
 * example: [1, d] beside [n, t, d], with the reference [1, t, d]. Undefined where sizes differ for another reason.
 */
export function repeats(
  actual: readonly (readonly number[])[],
  fixed: readonly (readonly number[])[],
  batch: Batch,
  isFree: (dim: number) => boolean,
): number[][] | undefined {
  const rank = Math.max(...actual.map((shape) => shape.length));
  const all = actual.map(() => new Array<number>(rank).fill(1));
  for (let dim = 0; dim < rank; dim++) {
    if (isFree(dim)) continue;
    const sizes = actual.map((shape) => shape[dim - rank + shape.length] ?? 1);
    const largest = Math.max(...sizes);
    for (const [i, size] of sizes.entries()) {
      const before = fixed[i]?.[dim - rank + (fixed[i]?.length ?? 0)] ?? 1;
      if (size === largest || (size === 1 && largest === 1)) continue;
      if (size !== before || largest * batch.declared !== size * batch.actual) {
        if (size === 1) continue;
        return undefined;
      }
      (all[i] as number[])[dim] = largest / size;
    }
  }
  return all;
}
