/** Measurements of routes on fresh images. N images, m members, C classes, k activated members. */
import { combinations, type PathwayLearner } from "../../methods/index.ts";
import type { PathwayGenerator } from "../../pathway/index.ts";
import { randomRoutes, topRoutes } from "../../pathway/index.ts";
import { activeModels, entropy, mutualInformation } from "../../report/index.ts";
import { Generator, inferenceMode, scope, seedOf, type Tensor } from "../../torch/index.ts";
import { computeMetrics, pathwayShares, rightItems } from "../../train/index.ts";
import { readCue, type Sample, type World } from "./world.ts";

export interface Quality {
  accuracy: number;
  logLoss: number;
}

/** Other routes through the same trained members, with equal weights. */
export interface Lines {
  /** The best members of each image's domain, whatever the image shows of it. */
  oracle: Quality;
  /** The best members of the domain whose cue is strongest in the image. */
  cue: Quality;
  /** The same members for every image: the best choice on other images. */
  constant: Quality;
  random: Quality;
  /** Those of a generator that was trained on the best members themselves. */
  told?: Quality;
}

export interface Figures extends Quality {
  lines: Lines;
  /** Share of the activated members that are among the best of the image's domain. */
  agreement: number;
  toldAgreement?: number;
  /** Mutual information of routes and domains, nats. */
  mutualInformation: number;
  /**
   * Mutual information of routes and classes, nats: where it is large, the generator picks by the class instead of by
   * the members' skill.
   */
  classInformation: number;
  /** Entropy of the members' shares of activations, nats. */
  loadEntropy: number;
  /** Share of activations of the k busiest members. */
  topShare: number;
  /** Accuracy of members alone on images that activate them. */
  own: number;
  /** The same members on other images; null without such images. */
  elsewhere: number | null;
  /** Accuracy of each member on the images of each domain, [m][domains]. */
  byDomain: number[][];
  /** Accuracy of the whole on the images of each domain. */
  accuracyByDomain: number[];
}

/** A trained learner with the images to measure it on, and the best k members of each domain. */
export interface Subject {
  world: World;
  learner: PathwayLearner;
  test: Sample;
  /** Fresh images for what has to be chosen by measuring. */
  choice: Sample;
  /** [domains][k]; measured on `choice` where nothing is known. */
  best: readonly (readonly number[])[];
  /** Number of them that an image needs: the rest are no better than others. */
  needed: number;
  seed: number;
  told: PathwayGenerator | undefined;
}

/** All figures of one training. */
export function measure(subject: Subject): Figures {
  return scope(() => inferenceMode(() => figures(subject)));
}

function figures({ world, learner, test, choice, best, needed, seed, told }: Subject): Figures {
  const [m, k] = [learner.memberNames.length, learner.k];
  const known = (domains: readonly number[]) => domains.map((domain) => best[domain] ?? []);
  const good = best.map((set) => set.slice(0, needed));
  const constant = bestConstant(learner, choice);
  const prediction = learner.predict(test.images);
  const weights = floats(prediction.weights as Tensor);
  const routes = test.domains.map((_, n) => activeModels(weights, m, n));
  const toldRoutes = told && topRoutes(told.forward(test.images), k);
  using generator = new Generator(seedOf(seed, "random line"));
  const shares = pathwayShares(weights, m);
  const members = memberHits(learner, test);
  return {
    ...quality(floats(prediction.probabilities), test),
    lines: {
      oracle: along(learner, test, known(test.domains)),
      cue: along(learner, test, known(readCue(world, test.images))),
      constant: along(
        learner,
        test,
        test.domains.map(() => constant),
      ),
      random: along(learner, test, randomRoutes(test.domains.length, m, k, generator)),
      ...(toldRoutes ? { told: along(learner, test, toldRoutes) } : {}),
    },
    agreement: agreement(routes, test.domains, good),
    ...(toldRoutes ? { toldAgreement: agreement(toldRoutes, test.domains, good) } : {}),
    mutualInformation: mutualInformation(routes.map(routeNumber), test.domains),
    classInformation: mutualInformation(routes.map(routeNumber), test.labels),
    loadEntropy: entropy(shares),
    topShare: [...shares].sort((a, b) => b - a).reduce((sum, share, i) => sum + (i < k ? share : 0), 0),
    ...specialisation(members, routes),
    byDomain: members.map((hits) => meanByDomain(hits, test.domains, world.members)),
    accuracyByDomain: meanByDomain(rightOf(floats(prediction.probabilities), test), test.domains, world.members),
  };
}

/** Accuracy and loss with the given routes [N][k] and equal weights. */
export function along(learner: PathwayLearner, sample: Sample, routes: readonly (readonly number[])[]): Quality {
  return quality(probabilitiesAlong(learner, sample, routes), sample);
}

function probabilitiesAlong(
  learner: PathwayLearner,
  { images }: Sample,
  routes: readonly (readonly number[])[],
): Float32Array {
  return scope(() => {
    const { module } = learner;
    const routing = module.along(module.generator.forward(images), routes);
    return floats(module.execute(images, routing).logits.softmax(1));
  });
}

/** The best k members for the images of each domain by measuring every choice, [domains][k]. */
export function measuredBest(learner: PathwayLearner, sample: Sample, domains: number): number[][] {
  return scope(() =>
    inferenceMode(() => {
      const tried = hitsOfSets(learner, sample).map(({ set, hits }) => ({
        set,
        accuracies: meanByDomain(hits, sample.domains, domains),
      }));
      return Array.from({ length: domains }, (_, d) => largest(tried, ({ accuracies }) => accuracies[d] ?? 0).set);
    }),
  );
}

function bestConstant(learner: PathwayLearner, sample: Sample): number[] {
  return largest(hitsOfSets(learner, sample), ({ hits }) => mean(hits)).set;
}

/** Right (1) or wrong (0) for each image, along each set of k members. */
function hitsOfSets(learner: PathwayLearner, sample: Sample): { set: number[]; hits: number[] }[] {
  return combinations(learner.memberNames.length, learner.k).map((set) => {
    const routes = sample.domains.map(() => set);
    return { set, hits: rightOf(probabilitiesAlong(learner, sample, routes), sample) };
  });
}

/** Right or wrong of each member alone on every image, [m][N]. */
function memberHits(learner: PathwayLearner, sample: Sample): number[][] {
  return learner.memberNames.map((_, i) => {
    const routes = sample.domains.map(() => [i]);
    return rightOf(probabilitiesAlong(learner, sample, routes), sample);
  });
}

function agreement(
  routes: readonly (readonly number[])[],
  domains: readonly number[],
  good: readonly (readonly number[])[],
): number {
  return mean(
    routes.map((route, n) => {
      const own = good[domains[n] ?? 0] ?? [];
      return route.filter((i) => own.includes(i)).length / own.length;
    }),
  );
}

/** Means over the members by their share of the activations; a member that takes all or nothing has no elsewhere. */
function specialisation(hits: readonly number[][], routes: readonly number[][]) {
  const parts = hits.map((own, i) => {
    const active = own.filter((_, n) => routes[n]?.includes(i));
    const idle = own.filter((_, n) => !routes[n]?.includes(i));
    return { count: active.length, own: mean(active), elsewhere: mean(idle), compared: idle.length > 0 };
  });
  const weighted = (used: typeof parts, value: (part: (typeof parts)[number]) => number) =>
    used.reduce((sum, part) => sum + part.count * value(part), 0) / used.reduce((sum, part) => sum + part.count, 0);
  const active = parts.filter(({ count }) => count > 0);
  const compared = active.filter((part) => part.compared);
  return {
    own: weighted(active, (part) => part.own),
    elsewhere: compared.length > 0 ? weighted(compared, (part) => part.elsewhere) : null,
  };
}

function quality(probabilities: Float32Array, { labels }: Sample): Quality {
  const { accuracy, logLoss } = computeMetrics(probabilities, labels, probabilities.length / labels.length);
  return { accuracy, logLoss };
}

function rightOf(probabilities: Float32Array, { labels }: Sample): number[] {
  const classes = probabilities.length / labels.length;
  return rightItems(probabilities, labels, classes).map(Number);
}

function meanByDomain(values: readonly number[], domains: readonly number[], count: number): number[] {
  return Array.from({ length: count }, (_, d) => mean(values.filter((_, n) => domains[n] === d)));
}

function largest<T>(values: readonly T[], measure: (value: T) => number): T {
  return values.reduce((best, next) => (measure(next) > measure(best) ? next : best));
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** One number for a set of members. */
function routeNumber(route: readonly number[]): number {
  return route.reduce((sum, i) => sum + 2 ** i, 0);
}

function floats(tensor: Tensor): Float32Array {
  return tensor.toTypedArray() as Float32Array;
}
