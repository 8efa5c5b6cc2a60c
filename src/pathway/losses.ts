/** Losses of the generator: one keeps every model explored, one learns what models are worth. B batch, m models. */
import { type BatchPart, batchMean } from "../nn/index.ts";
import { type Tensor, tensor } from "../torch/index.ts";

/**
 * KL(mean over the batch of p || prior), p = softmax(u): zero when all models together are used as the prior says.
 * @param prior probabilities of the m models; uniform when left out
 */
export function klExploration(scores: Tensor, prior?: readonly number[], part?: BatchPart): Tensor {
  const [m, { dtype, device }] = [scores.size(1), scores];
  const mean = batchMean(scores.softmax(1), part);
  const target = tensor([...(prior ?? new Array<number>(m).fill(1 / m))], { dtype, device });
  return mean.mul(mean.clamp(1e-12).log().sub(target.log())).sum();
}

/**
 * Squared error of scores [B, m] against what models save by their own losses [B, m], -1 where unknown: a score becomes the
 * expected gain in nats. It does not matter who chose the routes, and k = 1 is no special case (this project's choice).
 */
export function lossRegression(scores: Tensor, losses: Tensor, part?: BatchPart): Tensor {
  const unknown = losses.lt(0);
  const errors = centred(scores, unknown).sub(gains(losses)).square().sum(1);
  return batchMean(errors.div(unknown.logical_not().sum(1).clamp(1)), part);
}

/** What each model saves against the mean of the known losses of its row, [B, m]; 0 where unknown. */
export const gains = (losses: Tensor): Tensor => centred(losses, losses.lt(0)).neg();

function centred(x: Tensor, unknown: Tensor): Tensor {
  const count = unknown.logical_not().sum(1, true).clamp(1);
  return x.sub(x.masked_fill(unknown, 0).sum(1, true).div(count)).masked_fill(unknown, 0);
}
