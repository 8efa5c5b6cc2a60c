/**
 * H-score: how much of the features' variance lies between the classes (Bao, Li, Huang, Zhang, Zheng, Zamir, Guibas:
 * "An Information-Theoretic Approach to Transferability in Task Transfer Learning", ICIP 2019), and its regularised
 * version with a shrunk covariance (Ibrahim, Ponomareva, Mazumder: "Newer is Not Always Better: Rethinking
 * Transferability Metrics, Their Peculiarities, Stability and Performance", ECML PKDD 2022).
 *
 * With centred features F = U diag(s) V', covariance F'F / n, and the mean u_c of U's rows of a class of n_c items, the
 * class means are V diag(s) u_c: both scores need no inverse. Covariances divide by n throughout.
 *
 * n items, d features, r rank of the centred features, C classes with items.
 */
import type { Tensor } from "../torch/index.ts";
import { checkedTable, computing, decomposeCentred, type Labels, membership } from "./matrix.ts";

/**
 * tr(cov(f)^+ cov(E[f | y])), from 0 to C - 1; larger is better. With as many features as items it is C - 1 whatever
 * the features are: use the regularised score there.
 * @param features [n, d]
 * @throws RangeError when shapes or labels do not fit; UserError when a feature is not finite
 */
export function hScore(features: Tensor, labels: Labels): number {
  return computing(() => {
    const { u } = decomposeCentred(checkedTable("features", features, labels));
    return betweenClasses(u, labels).sum().item();
  });
}

/**
 * tr(cov_a(f)^-1 (1 - a) cov(E[f | y])) with cov_a = (1 - a) cov + a tr(cov) / d I, a by Ledoit and Wolf; from 0 to
 * C - 1, larger is better. This is the score that the command line calls h-score.
 * @param features [n, d]
 * @throws RangeError when shapes or labels do not fit; UserError when a feature is not finite
 */
export function regularisedHScore(features: Tensor, labels: Labels): number {
  return computing(() => {
    const { centred, u, s } = decomposeCentred(checkedTable("features", features, labels));
    const [n, d] = [centred.size(0), centred.size(1)];
    if (s.numel() === 0) return 0;
    const variances = s.square().div(n);
    const shrinkage = ledoitWolf(centred, variances);
    const mean = variances.sum().item() / d;
    const kept = variances.mul(1 - shrinkage);
    return betweenClasses(u, labels)
      .mul(kept.div(kept.add(shrinkage * mean)))
      .sum()
      .item();
  });
}

/** Variance between the classes along each direction, in units of the direction's own variance; [r]. */
function betweenClasses(u: Tensor, labels: Labels): Tensor {
  const y = membership(labels, u.device);
  const counts = y.sum(0).unsqueeze(1); // [C, 1]
  const means = y.t().matmul(u).div(counts); // [C, r]
  return means.square().mul(counts).sum(0);
}

/**
 * Shrinkage a, 0 … 1 (Ledoit and Wolf: "A Well-Conditioned Estimator for Large-Dimensional Covariance Matrices", 2004),
 * from the centred table [n, d] and its variances along the principal directions [r].
 */
function ledoitWolf(table: Tensor, variances: Tensor): number {
  const [n, d] = [table.size(0), table.size(1)];
  const energy = variances.square().sum().item();
  const distance = energy - variances.sum().item() ** 2 / d;
  // With the same variance in all directions (or only one direction), shrinking would change nothing.
  if (distance <= energy * 1e-14) return 0;
  const spread = (table.square().sum(1).square().sum().item() / n - energy) / n;
  return Math.min(1, Math.max(0, spread / distance));
}
