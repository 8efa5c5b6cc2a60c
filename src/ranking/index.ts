/**
 * Transferability scores: how well a pre-trained model suits a target task, without training it. One score a file, each with
 * its paper; scores.ts lists them with what they need (features, or the classes of pre-training).
 * It may import hub and all that it may.
 */
export { firstResponsibilities, fitMixture, type Mixture, type MixtureOptions } from "./gaussian-mixture.ts";
export { hScore, regularisedHScore } from "./h-score.ts";
export { leep } from "./leep.ts";
export { logMe } from "./logme.ts";
export type { Labels } from "./matrix.ts";
export { type NLeepOptions, nLeep, principalComponents } from "./n-leep.ts";
export { nce } from "./nce.ts";
export { findScore, type MemberOutputs, type RankingScore, rankingScores, type ScoreKey } from "./scores.ts";
