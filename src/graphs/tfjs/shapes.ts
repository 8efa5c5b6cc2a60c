/** Shapes of results, known before anything is computed. */
import { UserError } from "../../torch/index.ts";

/** The shape of an elementwise result. @throws UserError when the shapes do not fit together */
export function broadcast(shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(0, ...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, i) => {
    const sizes = new Set(shapes.map((shape) => shape[shape.length - rank + i] ?? 1));
    if (sizes.size > 1) sizes.delete(1);
    const [size = 1] = sizes;
    if (sizes.size === 1) return size;
    throw new UserError(`shapes ${shapes.map((shape) => `[${shape.join(", ")}]`).join(" and ")} do not fit together`);
  });
}

/** A dimension counted from the end as one counted from the start. @throws UserError when there is none such */
export function dimension(axis: number, rank: number): number {
  const dim = axis < 0 ? axis + rank : axis;
  if (dim >= 0 && dim < rank) return dim;
  throw new UserError(`there is no dimension ${axis} of ${rank}`);
}
