/** The scores by name. n items, d features, S source classes. */
import { ConfigError, scope, type Tensor } from "../torch/index.ts";
import { regularisedHScore } from "./h-score.ts";
import { leep } from "./leep.ts";
import { logMe } from "./logme.ts";
import type { Labels, Steps } from "./matrix.ts";
import { nLeep } from "./n-leep.ts";
import { nce } from "./nce.ts";
import type { ScoreName } from "./score-names.ts";

/** Outputs of one member for the target's training items. */
export interface MemberOutputs extends Labels {
  /** [n, d]. */
  features: Tensor;
  /** Logits or probabilities of the S classes of pre-training, [n, S]; undefined for a member without a classifier. */
  logits: Tensor | undefined;
}

export type ScoreKey = "logme" | "leep" | "nce" | "hScore" | "nLeep";

export interface RankingScore {
  /** As the command line writes it. */
  readonly name: ScoreName;
  readonly key: ScoreKey;
  /** True when it is about the classes of pre-training. */
  readonly needsClassifier: boolean;
  /** True when it is about one class of each item. */
  readonly needsClasses: boolean;
  /** Larger is better; undefined when it needs a classifier and there is none. */
  compute(outputs: MemberOutputs, seed: number): Steps<number | undefined>;
}

const ofFeatures = (name: ScoreName, key: ScoreKey, score: (outputs: MemberOutputs) => number): RankingScore => ({
  name,
  key,
  needsClassifier: false,
  needsClasses: name !== "logme",
  *compute(outputs) {
    yield;
    return score(outputs);
  },
});

const ofClassifier = (
  name: ScoreName,
  key: ScoreKey,
  score: (probabilities: Tensor, labels: Labels) => number,
): RankingScore => ({
  name,
  key,
  needsClassifier: true,
  needsClasses: true,
  *compute(outputs) {
    if (!outputs.logits) return undefined;
    yield;
    using probabilities = probabilitiesOf(outputs.logits);
    return score(probabilities, outputs);
  },
});

/** Largest distance of a row's sum of probabilities in half precision from one. */
const slack = 1e-2;

/** float64 [n, S]. A network that was read from a graph may end with its softmax: a second one would flatten its output. */
function probabilitiesOf(logits: Tensor): Tensor {
  return scope(() => {
    const wide = logits.to({ dtype: "float64" });
    const sums = wide.sum(1).sub(1).abs();
    const done = wide.min().item() >= 0 && sums.max().item() <= slack;
    return done ? wide.clone() : wide.softmax(1);
  });
}

export const rankingScores: readonly RankingScore[] = [
  ofFeatures("logme", "logme", (outputs) => logMe(outputs.features, outputs)),
  ofClassifier("leep", "leep", leep),
  ofClassifier("nce", "nce", nce),
  ofFeatures("h-score", "hScore", (outputs) => regularisedHScore(outputs.features, outputs)),
  {
    name: "n-leep",
    key: "nLeep",
    needsClassifier: false,
    needsClasses: true,
    compute: (outputs, seed) => nLeep(outputs.features, outputs, { seed }),
  },
];

/** @throws ConfigError for a name that is not listed */
export function findScore(name: string): RankingScore {
  const score = rankingScores.find((candidate) => candidate.name === name);
  if (score) return score;
  throw new ConfigError(`no score "${name}"; there are: ${rankingScores.map((known) => known.name).join(", ")}`);
}
