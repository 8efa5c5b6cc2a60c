/**
 * Posterior means of LogME's Bayesian linear regressions (You, Liu, Wang & Long, "LogME: Practical Assessment of
 * Pre-trained Models for Transfer Learning", ICML 2021, section 4.2 and algorithm 1).
 * n images, d features, r rank of the features, C classes, labels or numbers, without those that are the same for all images.
 */
import { type Labels, regressed } from "../ranking/index.ts";
import { noGrad, ops, scope, type Tensor, tensor } from "../torch/index.ts";

const iterations = 100;
const tolerance = 1e-6;

/**
 * m = (t + F'F)⁻¹ F'y for each column y of what LogME regresses, with t = alpha / beta where the evidence is largest by the fixed point
 * alpha = gamma / |m|², beta = (n - gamma) / |F m - y|²; float64 [d, C].
 * @param features F, [n, d]
 */
export function posteriorMeans(features: Tensor, labels: Labels): Tensor {
  return scope(() =>
    noGrad(() => {
      const f = features.to({ dtype: "float64" });
      const y = regressed(labels, f.device);
      const [u, s] = ops.linalg_svd(f, false);
      const sigma = s.square().toNumbers();
      const z = u.t().matmul(y);
      const total = y.square().sum(0).toNumbers();
      const columns = z.t().square().toNumbers();
      const r = sigma.length;
      const ratios = total.map((norm, c) =>
        evidenceRatio(sigma, columns.slice(c * r, (c + 1) * r), norm, labels.labels.length),
      );
      // F' U = V diag(s), so that V is not needed.
      const shrunk = z.div(
        s
          .square()
          .unsqueeze(1)
          .add(tensor([ratios], { dtype: "float64", device: f.device })),
      );
      return f.t().matmul(u).matmul(shrunk);
    }),
  );
}

/** alpha / beta of one class. @param energy z², [r]; @param norm |y|² */
function evidenceRatio(sigma: readonly number[], energy: readonly number[], norm: number, n: number): number {
  const outside = Math.max(0, norm - energy.reduce((sum, value) => sum + value, 0));
  let t = 1;
  for (let i = 0; i < iterations; i++) {
    let [gamma, length, residual] = [0, 0, outside];
    for (const [j, s] of sigma.entries()) {
      const e = energy[j] ?? 0;
      gamma += s / (s + t);
      length += (s * e) / (s + t) ** 2;
      residual += e * (t / (s + t)) ** 2;
    }
    // A class that features say nothing about, or reproduce exactly, has no finite or no positive ratio.
    const next = Math.min(1e12, Math.max(1e-12, (gamma / (length + 1e-300)) * (residual / (n - gamma + 1e-300))));
    const done = Math.abs(next - t) <= tolerance * t;
    t = next;
    if (done) break;
  }
  return t;
}
