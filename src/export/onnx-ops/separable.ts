/**
 * Resizing and adaptive pooling are linear and go along each side by itself, so that they are a product with one matrix a
 * side. The matrices come from libtorch's own operator.
 */
import { eye, call as run, scope, type Tensor } from "../../torch/index.ts";
import type { Call, Written } from "../call.ts";

/**
 * An operator on [n, C, H, W] with the new sides behind the images, as two products.
 * @param scales position of the scale of each side, where there may be any
 */
export function separable(call: Call, operator: string, scales?: number): Written {
  const [height = 0, width = 0] = call.ints(1, 2);
  const { dtype } = call.result;
  const between = scales === 3 ? [call.flag(2)] : [];
  const scaleOf = (i: number): unknown =>
    scales !== undefined && call.has(scales + i) ? call.number(scales + i) : null;
  const matrixOf = (side: number, i: number, to: readonly number[]): Tensor => {
    // The other side stays as it is.
    const own = scales === undefined ? [] : [0, 1].map((k) => (k === i ? scaleOf(k) : 1));
    return run(operator, [eye(side, { dtype }).view([1, 1, side, side]), to, ...between, ...own]) as Tensor;
  };
  const [h, w] = [call.side(0, -2), call.side(0, -1)];
  return scope(() => {
    let x = call.input(0);
    const named = (tensor: Tensor, sides: readonly number[]) => call.graph.tensor(tensor.reshape(sides), "resize");
    if (h !== height) x = call.node("MatMul", [named(matrixOf(h, 0, [height, h]), [height, h]), x]);
    if (w !== width) x = call.node("MatMul", [x, named(matrixOf(w, 1, [w, width]), [w, width])]);
    return x;
  });
}
