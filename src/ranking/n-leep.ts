/**
 * N-LEEP: LEEP with the components of a Gaussian mixture over the features in place of source classes, so that it needs
 * no classifier (Li, Jia, Sang, Zhu, Green, Wang, Gong: "Ranking Neural Checkpoints", CVPR 2021). Principal components
 * that hold 80 % of the energy are kept; the mixture's posterior is what LEEP sees.
 *
 * n items, d features, p principal components, K mixture components.
 */
import { ones, scope, type Tensor } from "../torch/index.ts";
import { firstResponsibilities, fitMixture } from "./gaussian-mixture.ts";
import { leep } from "./leep.ts";
import { checkedTable, computing, decomposeCentred, type Labels, type Steps } from "./matrix.ts";

export interface NLeepOptions {
  /**
   * Mixture components K; default the number of target classes that have items. The authors' five times as many leave
   * fewer items to a component than it has dimensions where classes are small, so that every score comes near 0.
   */
  components?: number | undefined;
  /** Decides the first centres. */
  seed: number;
}

/** Part of the features' energy that the kept principal components hold at least (the paper's choice). */
const energyKept = 0.8;
/** Added to the variances, as a part of their mean: the score does not depend on the features' scale. */
const regularisation = 1e-6;

/**
 * N-LEEP, at most 0; larger is better. The same seed gives the same score. Many classes take long: it goes in steps.
 * @param features [n, d]
 * @throws RangeError when shapes or labels do not fit; UserError when a feature is not finite
 */
export function* nLeep(features: Tensor, labels: Labels, options: NLeepOptions): Steps<number> {
  const components = options.components ?? new Set(labels.labels).size;
  if (!Number.isInteger(components) || components < 1) throw new RangeError(`${components} mixture components`);
  using points = computing(() => principalComponents(checkedTable("features", features, labels)));
  using theta = yield* posterior(points, components, options.seed);
  return leep(theta, labels);
}

function* posterior(points: Tensor, components: number, seed: number): Steps<Tensor> {
  // Features that are all constant tell no item from another: one component holds them all.
  if (points.size(1) === 0) return ones([points.size(0), 1], { dtype: "float64", device: points.device });
  yield;
  using first = computing(() => firstResponsibilities(points, components, seed));
  const variance = scope(() => points.square().mean().item());
  const mixture = yield* fitMixture(points, first, { regularisation: regularisation * variance });
  return mixture.posterior;
}

/** The items' coordinates along the fewest principal directions that hold the energy, float64 [n, p]. */
export function principalComponents(table: Tensor, energy = energyKept): Tensor {
  const { u, s } = decomposeCentred(table);
  const energies = s.square().toNumbers();
  const total = energies.reduce((sum, value) => sum + value, 0);
  let [held, kept] = [0, 0];
  while (kept < energies.length && held < energy * total) held += energies[kept++] ?? 0;
  return u.narrow(1, 0, kept).mul(s.narrow(0, 0, kept));
}
