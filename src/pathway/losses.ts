/**
 * Losses that the method adds to the target task's own.
 * B batch, m models, C classes.
 */
import { ops, type Tensor, tensor } from "../torch/index.ts";
import type { Routing } from "./routing.ts";

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

/** Squared coefficient of variation of a vector; zero when all elements are equal. */
export function squaredVariation(values: Tensor): Tensor {
  const mean = values.mean();
  return values.var(undefined, { correction: 0 }).div(mean.mul(mean).add(1e-10));
}

/**
 * CV²(importance) + CV²(load) (Shazeer et al. 2017, appendix A). Importance sums p over the batch, for all models and
 * not only the activated ones. Load is the smooth probability that the noise brings a model among the k best; without
 * noise it has no gradient and is left out, since its scale would divide by zero.
 */
export function importanceLoadExploration(routing: Routing): Tensor {
  const importance = squaredVariation(routing.scores.softmax(1).sum(0));
  const { noiseScale, scores, noisyScores, k } = routing;
  if (noiseScale === 0 || k >= scores.size(1)) return importance;
  const sorted = noisyScores.topk(k + 1, 1)[0];
  const last = sorted.narrow(1, k - 1, 1);
  const next = sorted.narrow(1, k, 1);
  // The k-th best of the *other* models: an activated model competes with the (k+1)-th, the rest with the k-th.
  const activated = noisyScores.ge(last).to({ dtype: scores.dtype });
  const threshold = next.mul(activated).add(last.mul(activated.neg().add(1)));
  const z = scores.sub(threshold).div(noiseScale);
  const probability = gaussianCdf(z);
  return importance.add(squaredVariation(probability.sum(0)));
}

/** m Σ f_i P_i: f the fraction of activations that model i got, P its mean p (Fedus et al. 2022, equation 4). */
export function switchExploration(routing: Routing): Tensor {
  const { scores, rows, k } = routing;
  const fractions = rows.map((own) => own.length / (scores.size(0) * k));
  const f = tensor(fractions, { dtype: scores.dtype, device: scores.device });
  return scores.softmax(1).mean(0).mul(f).sum().mul(scores.size(1));
}

/** The exploration loss by its name. */
export function explorationLoss(
  name: "kl" | "importance-load" | "switch",
  routing: Routing,
  prior?: readonly number[],
): Tensor {
  if (name === "kl") return klExploration(routing.scores, prior);
  if (name === "importance-load") return importanceLoadExploration(routing);
  return switchExploration(routing);
}

function gaussianCdf(z: Tensor): Tensor {
  return ops.erf(z.div(Math.SQRT2)).add(1).mul(0.5);
}
