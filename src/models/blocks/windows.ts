/**
 * Attention inside windows of a map (Swin, MaxViT): squares of pixels, or pixels that are spread evenly over it, and a bias for each
 * offset of two pixels. n images, h x w pixels of a map, c channels, s side of a window.
 */
import { ops, type Tensor } from "../../torch/index.ts";

/** Attention needs memory in the fourth power of a window's side. */
export const maximumWindow = 32;

/** "window": neighbours. "grid": pixels as far from each other as the map allows. */
export type Partition = "window" | "grid";

/** [n, h, w, c] to [n · windows, s², c]. */
export function windows(x: Tensor, side: number, partition: Partition = "window"): Tensor {
  const [n = 0, height = 0, width = 0, channels = 0] = x.shape;
  const [rows, columns] = [height / side, width / side];
  const grid =
    partition === "window"
      ? x.reshape([n, rows, side, columns, side, channels]).permute([0, 1, 3, 2, 4, 5])
      : x.reshape([n, side, rows, side, columns, channels]).permute([0, 2, 4, 1, 3, 5]);
  return grid.reshape([-1, side * side, channels]);
}

/** The reverse of `windows`, to a map of the given shape. */
export function joinWindows(
  x: Tensor,
  side: number,
  shape: readonly number[],
  partition: Partition = "window",
): Tensor {
  const [n = 0, height = 0, width = 0, channels = 0] = shape;
  const grid = x.view([n, height / side, width / side, side, side, channels]);
  const order = partition === "window" ? [0, 1, 3, 2, 4, 5] : [0, 3, 1, 4, 2, 5];
  return grid.permute(order).reshape([n, height, width, channels]);
}

/** For each pair of pixels of a window, the row of the table of biases that belongs to their offset; [s² · s²]. */
export function relativePositions(window: number): number[] {
  const pixels = Array.from({ length: window * window }, (_, i) => [Math.floor(i / window), i % window] as const);
  const span = 2 * window - 1;
  const row = ([y, x]: readonly [number, number], [v, u]: readonly [number, number]): number =>
    (y - v + window - 1) * span + (x - u + window - 1);
  return pixels.flatMap((query) => pixels.map((key) => row(query, key)));
}

/** Biases [heads, s², s²] of each pair of pixels from those of each offset, [(2 s - 1)², heads]. */
export function biasesOf(table: Tensor, index: Tensor): Tensor {
  const length = Math.sqrt(index.numel());
  return table.index_select(0, index.flatten(0)).view([length, length, -1]).permute([2, 0, 1]);
}

/** Query, key and value [rows, heads, s², c / heads] of a layer's output [rows, s², 3 c]. */
export function splitHeads(joined: Tensor, heads: number): [query: Tensor, key: Tensor, value: Tensor] {
  const [rows = 0, length = 0, width = 0] = joined.shape;
  const parts = ops.permute(joined.view([rows, length, 3, heads, width / 3 / heads]), [2, 0, 3, 1, 4]);
  return parts.unbind(0) as [Tensor, Tensor, Tensor];
}

/** Values [rows, heads, s², c / heads] mixed by the softmax of scores [rows, heads, s², s²]: [rows, s², c]. */
export function mixed(scores: Tensor, value: Tensor): Tensor {
  const [rows = 0, heads = 0, length = 0, width = 0] = value.shape;
  return scores
    .softmax(-1)
    .matmul(value)
    .transpose(1, 2)
    .reshape([rows, length, heads * width]);
}
