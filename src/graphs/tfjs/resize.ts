/** Resizing with TensorFlow's three conventions of where pixels lie; differentiable. */
import { ops, type Tensor, tensor, UserError } from "../../torch/index.ts";
import type { Context } from "../step.ts";

export interface ResizeOptions {
  readonly method: "bilinear" | "nearest";
  readonly alignCorners: boolean;
  readonly halfPixelCenters: boolean;
}

/** Images [n, H, W, C] to [n, size[0], size[1], C]. */
export function resize(x: Tensor, size: readonly [number, number], options: ResizeOptions, context: Context): Tensor {
  if (x.dim() !== 4) throw new UserError(`it needs images of 4 dimensions, not of shape [${x.shape.join(", ")}]`);
  if (size.some((side) => !(side > 0))) throw new UserError(`images cannot be resized to [${size.join(", ")}]`);
  const [n = 0, , width = 0, channels = 0] = x.shape;
  context.allow([n, size[0], Math.max(width, size[1]), channels]);
  return along(along(x, 1, size[0], options), 2, size[1], options);
}

/** One dimension; both methods are separable. */
function along(x: Tensor, dim: 1 | 2, to: number, options: ResizeOptions): Tensor {
  const from = x.size(dim);
  if (from === to) return x;
  if (from === 0) throw new UserError("empty images cannot be resized");
  const places = Array.from({ length: to }, (_, i) => source(i, from, to, options));
  const pick = (indices: number[]): Tensor => {
    const clamped = indices.map((i) => Math.min(Math.max(i, 0), from - 1));
    return ops.index_select(x, dim, tensor(clamped, { dtype: "int64", device: x.device }));
  };
  if (options.method === "nearest") return pick(places.map(options.alignCorners ? Math.round : Math.floor));
  const lower = places.map(Math.floor);
  const weights = places.map((place, i) => place - (lower[i] ?? 0));
  const shape = dim === 1 ? [to, 1, 1] : [to, 1];
  const weight = tensor(weights, { shape: [to], dtype: "float32", device: x.device }).view(shape);
  const first = pick(lower);
  if (weights.every((value) => value === 0)) return first;
  return first.add(
    pick(lower.map((i) => i + 1))
      .sub(first)
      .mul(weight),
  );
}

function source(i: number, from: number, to: number, options: ResizeOptions): number {
  const { alignCorners, halfPixelCenters, method } = options;
  const scale = alignCorners && to > 1 ? (from - 1) / (to - 1) : from / to;
  if (!halfPixelCenters) return i * scale;
  return (i + 0.5) * scale - (method === "bilinear" ? 0.5 : 0);
}
