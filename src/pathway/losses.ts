/** The loss that keeps every model explored. B batch, m models. */
import { type Tensor, tensor } from "../torch/index.ts";

/**
 * KL(mean over the batch of p || prior), p = softmax(u): zero when all models together are used as the prior says.
 * @param prior probabilities of the m models; uniform when left out
 */
export function klExploration(scores: Tensor, prior?: readonly number[]): Tensor {
  const m = scores.size(1);
  const mean = scores.softmax(1).mean(0);
  const target = tensor([...(prior ?? new Array<number>(m).fill(1 / m))], {
    dtype: scores.dtype,
    device: scores.device,
  });
  return mean.mul(mean.clamp(1e-12).log().sub(target.log())).sum();
}
