/** Gradients of parameters that all ranks hold: after the ranks' backward passes each rank has the sum of them. */
import { cat, noGrad, type ProcessGroup, scope, type Tensor, tensor, zeros } from "../torch/index.ts";

/** Numbers of one message: many small parameters go together. */
const bucket = 4 * 2 ** 20;
/** Messages under way: other gradients are computed while these travel, and no copy of all gradients is made. */
const mostUnderWay = 16;

/**
 * Sums of gradients over the ranks in one step. Every rank gives the same parameters in the same order. Those that no rank has
 * touched stay without a gradient; where another rank has, this rank's is zero.
 */
export class GradientSums {
  readonly #group: ProcessGroup;
  readonly #begun = new Set<Tensor>();
  readonly #underWay: (() => void)[] = [];

  constructor(group: ProcessGroup) {
    this.#group = group;
  }

  /** Sends gradients that are complete on this rank, and does not wait. */
  start(parameters: readonly Tensor[]): void {
    for (const part of buckets(parameters)) {
      if (this.#underWay.length === mostUnderWay) this.#underWay.shift()?.();
      this.#underWay.push(send(part, this.#group));
      for (const parameter of part) this.#begun.add(parameter);
    }
  }

  /**
   * Sends those of the parameters that some rank has touched and that are not under way, and waits for all sums.
   * @param figures numbers of a step, which travel with the vector of what is touched
   * @returns each figure summed over the ranks
   */
  finish(parameters: readonly Tensor[], figures: readonly number[] = []): number[] {
    const rest = parameters.filter((parameter) => !this.#begun.has(parameter));
    const sums = scope(() => {
      const own = [...rest.map(({ grad }) => Number(grad !== undefined)), ...figures];
      return this.#group.allReduce(tensor(own, { dtype: "float64" })).toNumbers();
    });
    this.start(rest.filter((_, i) => sums[i]));
    for (const receive of this.#underWay) receive();
    return sums.slice(rest.length);
  }
}

/** Sends gradients, and says which are touched; the function that it returns waits for their sums and puts them in place. */
function send(parameters: readonly Tensor[], group: ProcessGroup): () => void {
  const like = ({ dtype, device }: Tensor) => ({ dtype, device });
  const wait = scope(() => {
    const gradients = parameters.map((p) => (p.grad ?? zeros(p.shape, like(p))).flatten());
    const touched = parameters.map(({ grad }) => Number(grad !== undefined));
    return group.startSum(noGrad(() => cat([...gradients, tensor(touched, like(parameters[0] as Tensor))])));
  });
  const receive = () => {
    const sum = wait();
    const numbers = sum.numel() - parameters.length;
    const touched = sum.narrow(0, numbers, parameters.length).toNumbers();
    let at = 0;
    for (const [i, p] of parameters.entries()) {
      if (touched[i]) {
        p.grad ??= zeros(p.shape, like(p));
        p.grad.copy_(sum.narrow(0, at, p.numel()).reshape(p.shape));
      }
      at += p.numel();
    }
  };
  return () => scope(() => noGrad(receive));
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
