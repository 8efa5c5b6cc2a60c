/** Hub-Pathway and its rivals behind one interface. */
export { bestSet } from "./ensemble.ts";
export { combinations, EnsemblePredictor, meanProbabilities } from "./ensemble-predictor.ts";
export { fineTune } from "./fine-tune.ts";
export { MemberLearner } from "./member-learner.ts";
export { PathwayLearner } from "./pathway-learner.ts";
export { findMethod, methods } from "./registry.ts";
