/** Gradients of parameters that all ranks hold: after the ranks' backward passes each rank has the sum of them. */
import { cat, noGrad, type ProcessGroup, scope, type Tensor, tensor, zeros } from "../torch/index.ts";

/** Numbers of one message: many small parameters go together. */
const bucket = 4 * 2 ** 20;
/** Messages under way: the next ones are copied together while these travel, and no copy of all gradients is made. */
const mostUnderWay = 4;

/**
 * Adds the gradients up over the ranks. Parameters that no rank has touched stay without one; where another rank has, this
 * rank's is zero. Every rank gives the same parameters in the same order.
 * @param figures numbers of a step, which travel with the vector of what is touched
 * @returns each figure summed over the ranks
 */
export function reduceGradients(
  parameters: readonly Tensor[],
  group: ProcessGroup,
  figures: readonly number[] = [],
): number[] {
  return scope(() =>
    noGrad(() => {
      const own = [...parameters.map(({ grad }) => Number(grad !== undefined)), ...figures];
      const sums = group.allReduce(tensor(own, { dtype: "float64" })).toNumbers();
      const underWay: (() => void)[] = [];
      for (const part of buckets(parameters.filter((_, i) => sums[i]))) {
        if (underWay.length === mostUnderWay) underWay.shift()?.();
        underWay.push(startTogether(part, group));
      }
      for (const finish of underWay) finish();
      return sums.slice(parameters.length);
    }),
  );
}

/** Sends gradients; the function that it returns waits for their sums and puts them in place. */
function startTogether(parameters: readonly Tensor[], group: ProcessGroup): () => void {
  const all = scope(() => {
    for (const p of parameters) p.grad ??= zeros(p.shape, { dtype: p.dtype, device: p.device });
    return cat(parameters.map((p) => (p.grad as Tensor).flatten()));
  });
  const wait = group.startSum(all);
  all.dispose();
  return () =>
    scope(() => {
      const sum = wait();
      let at = 0;
      for (const { grad } of parameters) {
        const gradient = grad as Tensor;
        gradient.copy_(sum.narrow(0, at, gradient.numel()).reshape(gradient.shape));
        at += gradient.numel();
      }
    });
}

/** Runs of parameters of one type and device, of a message each. */
function buckets(parameters: readonly Tensor[]): Tensor[][] {
  const all: Tensor[][] = [];
  let size = 0;
  for (const parameter of parameters) {
    const last = all.at(-1);
    const isLike = last?.[0]?.dtype === parameter.dtype && last[0].device === parameter.device;
    if (last && isLike && size + parameter.numel() <= bucket) last.push(parameter);
    else {
      all.push([parameter]);
      size = 0;
    }
    size += parameter.numel();
  }
  return all;
}
