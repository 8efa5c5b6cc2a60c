export { bestByRanking } from "./best-by-ranking.ts";
export { refuseUnknown } from "./choices.ts";
/** Hub-Pathway and its rivals behind one interface. */
export { bestSet } from "./ensemble.ts";
export { combinations, EnsemblePredictor, meanProbabilities } from "./ensemble-predictor.ts";
export { bestByValidation, fineTune, fitEach, keepBest, memberLearner, plainFit } from "./fine-tune.ts";
export { freshMembers } from "./from-scratch.ts";
export { greedyWeights } from "./greedy-ensemble.ts";
export { linearProbeLearner } from "./linear-probe.ts";
export { MemberLearner, type MemberStep, type Penalty } from "./member-learner.ts";
export { type OracleRouting, oracleRouting } from "./oracle-routing.ts";
export { PathwayLearner } from "./pathway-learner.ts";
export { findMethod, methods } from "./registry.ts";
export { restorePredictor } from "./restore.ts";
