/**
 * Transferability scores: how well a pre-trained model suits a target task, without training it. One score a file, each with
 * its paper; scores.ts (read it first) lists them with what they need. They are functions of matrices: features [n, d],
 * probabilities [n, S], labels. src/train/ranking.ts runs members over images to get these.
 * It may import hub and what hub may; it uses torch alone.
 */
export { firstResponsibilities, fitMixture, type Mixture, type MixtureOptions } from "./gaussian-mixture.ts";
export { hScore, regularisedHScore } from "./h-score.ts";
export { leep } from "./leep.ts";
export { logMe } from "./logme.ts";
export { type Labels, regressed, type Steps } from "./matrix.ts";
export { type NLeepOptions, nLeep, principalComponents } from "./n-leep.ts";
export { nce } from "./nce.ts";
export { type RidgeHead, ridgeHead } from "./ridge.ts";
export { findScore, type MemberOutputs, type RankingScore, rankingScores, type ScoreKey } from "./scores.ts";
