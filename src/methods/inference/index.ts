/** Ways to answer with a run's members that need no generator, and the modes of inference that they make. */
export { policyCandidates } from "./candidates.ts";
export {
  type Candidate,
  type Cost,
  Frontier,
  halves,
  knownCandidate,
  meanReached,
  type Reached,
  type Split,
  sideOf,
} from "./frontier.ts";
export { boundedLog, stackedHead } from "./learned.ts";
export { ModePredictor } from "./mode-predictor.ts";
export { evaluateMode, type ModeEvaluation } from "./modes.ts";
export type { Answers, Outcome } from "./policies.ts";
export { refuseRouteWishes, requireMode, validationImages, withMode } from "./run-mode.ts";
