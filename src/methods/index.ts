/**
 * Hub-Pathway and its rivals, all behind `Method` of src/train: one file each, its paper on top; registry.ts lists them and
 * catalog.ts has their lines of help. Read fine-tune.ts and member-learner.ts first, which most rivals build on; then
 * hub-pathway.ts and pathway-learner.ts, which bring src/pathway into the training loop.
 * They may import train and what it may.
 */
export { bestByRanking } from "./best-by-ranking.ts";
export {
  answerBy,
  type BudgetSetting,
  budgetSettings,
  cascadeSettings,
  front,
  routeSettings,
  type Said,
  stops,
} from "./budget-choices.ts";
export { type Configure, type MethodTraits, methodOf, refuseUnknown } from "./choices.ts";
export { bestSet, validationTables } from "./ensemble.ts";
export { combinations, EnsemblePredictor, meanProbabilities } from "./ensemble-predictor.ts";
export { bestByValidation, fineTune, fitEach, keepBest, memberLearner, plainFit } from "./fine-tune.ts";
export { freshMembers } from "./from-scratch.ts";
export { changedViews, type LessonPart, lessonRows, scatterScores } from "./generator-lessons.ts";
export { greedyWeights } from "./greedy-ensemble.ts";
export {
  type Answers,
  boundedLog,
  type Candidate,
  type Cost,
  evaluateMode,
  Frontier,
  halves,
  knownCandidate,
  type ModeEvaluation,
  ModePredictor,
  meanReached,
  type Outcome,
  policyCandidates,
  type Reached,
  refuseRouteWishes,
  requireMode,
  type Split,
  sideOf,
  stackedHead,
  validationImages,
  withMode,
} from "./inference/index.ts";
export { linearProbeLearner } from "./linear-probe.ts";
export { MemberLearner, type MemberStep, type Penalty } from "./member-learner.ts";
export { type OracleRouting, oracleRouting } from "./oracle-routing.ts";
export { PathwayLearner, type PathwayLearnerOptions } from "./pathway-learner.ts";
export { findMethod, methods } from "./registry.ts";
export { restorePredictor } from "./restore.ts";
export { ZooLearner } from "./zoo-tuning.ts";
