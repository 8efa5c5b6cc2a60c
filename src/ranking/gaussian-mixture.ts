/**
 * A mixture of Gaussians with full covariances by expectation maximisation (Dempster, Laird, Rubin 1977), as N-LEEP
 * needs it. n points, p dimensions, K components.
 */
import { cat, disposeTree, eye, keyedRandom, ops, scope, type Tensor } from "../torch/index.ts";
import { computing, type Steps } from "./matrix.ts";

export interface MixtureOptions {
  /** Added to every variance. */
  regularisation: number;
  /** The fit has converged when the mean log likelihood of a point changes by less; default 1e-3. */
  tolerance?: number | undefined;
  /** Rounds at most; default 100. */
  iterations?: number | undefined;
}

export interface Mixture {
  /** Probability of each component given the point, [n, K]. */
  posterior: Tensor;
  /** Mean log likelihood of a point. */
  logLikelihood: number;
}

/**
 * Fits a mixture, starting from given responsibilities; a step is a component of a round.
 * @param points float64 [n, p]
 * @param responsibilities float64 [n, K], rows that sum to one
 * @returns what the caller disposes
 */
export function* fitMixture(points: Tensor, responsibilities: Tensor, options: MixtureOptions): Steps<Mixture> {
  const { regularisation, tolerance = 1e-3, iterations = 100 } = options;
  let posterior = scope(() => responsibilities.clone());
  let logLikelihood = Number.NEGATIVE_INFINITY;
  try {
    for (let i = 0; i < iterations; i++) {
      const fit = yield* round(points, posterior, regularisation);
      const change = Math.abs(fit.logLikelihood - logLikelihood);
      posterior.dispose();
      ({ posterior, logLikelihood } = fit);
      if (change < tolerance) break;
    }
    return { posterior, logLikelihood };
  } catch (error) {
    posterior.dispose();
    throw error;
  }
}

/** One component at a time: all covariances together would need K p² numbers. */
function* round(points: Tensor, responsibilities: Tensor, regularisation: number): Steps<Mixture> {
  const columns: Tensor[] = [];
  try {
    for (let component = 0; component < responsibilities.size(1); component++) {
      columns.push(computing(() => logDensity(points, responsibilities.select(1, component), regularisation)));
      yield;
    }
    return computing(() => {
      const joint = ops.stack(columns, 1);
      const total = joint.logsumexp(1, true);
      return { posterior: joint.sub(total).exp(), logLikelihood: total.mean().item() };
    });
  } finally {
    disposeTree(columns);
  }
}

/** Log of weight times density of the Gaussian that the responsibilities [n] of one component describe, [n]. */
function logDensity(points: Tensor, weights: Tensor, regularisation: number): Tensor {
  return scope(() => {
    const [n, p] = [points.size(0), points.size(1)];
    // A component that has lost all its points keeps a finite mean.
    const mass = weights.sum().item() + 10 * Number.EPSILON;
    const difference = points.sub(weights.unsqueeze(0).matmul(points).div(mass));
    const covariance = difference.mul(weights.unsqueeze(1)).t().matmul(difference).div(mass);
    const root = choleskyOf(covariance, regularisation);
    const scaled = ops.linalg_solve_triangular(root, difference.t(), { upper: false });
    const logRoot = ops.diagonal(root).log().sum().item();
    const constant = Math.log(mass / n) - logRoot - (p / 2) * Math.log(2 * Math.PI);
    return scaled.square().sum(0).mul(-0.5).add(constant);
  });
}

/** The regularisation grows until it outweighs the rounding of a covariance that has no volume. */
function choleskyOf(covariance: Tensor, regularisation: number): Tensor {
  const identity = eye(covariance.size(0), { dtype: "float64", device: covariance.device });
  for (let added = regularisation; Number.isFinite(added); added *= 10) {
    const [root, info] = ops.linalg_cholesky_ex(covariance.add(identity.mul(added)));
    if (info.item() === 0) return root;
  }
  throw new RangeError("a covariance is not finite");
}

/** Rounds of k-means at most: the mixture goes on from there. */
const meansRounds = 30;

/**
 * First responsibilities of K components or fewer, when there are fewer different points: k-means (Lloyd 1982) from
 * centres drawn by k-means++ (Arthur and Vassilvitskii 2007). The seed alone decides them.
 * @param points float64 [n, p]
 */
export function firstResponsibilities(points: Tensor, components: number, seed: number): Tensor {
  return scope(() => {
    let centres = spreadCentres(points, components, seed);
    let nearest = nearestOf(points, centres);
    for (let i = 0; i < meansRounds; i++) {
      const next = scope(() => {
        const members = occupied(nearest.one_hot(centres.size(0)).to({ dtype: "float64" }));
        const means = members.t().matmul(points).div(members.sum(0).unsqueeze(1));
        return { means, nearest: nearestOf(points, means) };
      });
      const same = next.means.size(0) === centres.size(0) && next.nearest.eq(nearest).all().item() === 1;
      centres = next.means;
      nearest = next.nearest;
      if (same) break;
    }
    return occupied(nearest.one_hot(centres.size(0)).to({ dtype: "float64" }));
  });
}

/** The columns that have members. */
function occupied(members: Tensor): Tensor {
  return members.index_select(1, members.sum(0).nonzero().flatten());
}

/** Index of the nearest centre [n]. */
function nearestOf(points: Tensor, centres: Tensor): Tensor {
  return scope(() => {
    const products = points.matmul(centres.t()).mul(-2);
    return ops.argmin(products.add(centres.square().sum(1)), 1);
  });
}

function spreadCentres(points: Tensor, components: number, seed: number): Tensor {
  const random = keyedRandom(seed, 0x6e1ee9);
  const n = points.size(0);
  const centres = [points.narrow(0, Math.floor(random() * n), 1)];
  let distances = squaredDistances(points, centres[0] as Tensor);
  while (centres.length < Math.min(components, n)) {
    const chosen = drawn(distances.toNumbers(), random());
    if (chosen === undefined) break;
    const centre = points.narrow(0, chosen, 1);
    centres.push(centre);
    using before = distances;
    distances = scope(() => ops.minimum(before, squaredDistances(points, centre)));
  }
  return cat(centres);
}

function squaredDistances(points: Tensor, centre: Tensor): Tensor {
  return scope(() => points.sub(centre).square().sum(1));
}

/** A position drawn with probability proportional to its weight; undefined when all weights are zero. */
function drawn(weights: readonly number[], uniform: number): number | undefined {
  let left = uniform * weights.reduce((sum, weight) => sum + weight, 0);
  let last: number | undefined;
  for (const [i, weight] of weights.entries()) {
    if (weight <= 0) continue;
    last = i;
    left -= weight;
    if (left < 0) return i;
  }
  return last;
}
