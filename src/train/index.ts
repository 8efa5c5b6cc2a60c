/** The loop, the task, measurements, run folders, and the interface of methods. */
export { eventLoopTurn, forEachBatch, type LoopOptions, throwIfAborted } from "./batches.ts";
export {
  checkpointFiles,
  checkpointVersion,
  loadWeights,
  type Position,
  type WeightsInfo,
  weightsInfo,
} from "./checkpoint.ts";
export {
  type Batch,
  type BatchSource,
  type DataRequest,
  type OwnedBatches,
  ownedBatches,
  prepareData,
  reordered,
  type SplitName,
  type TaskData,
} from "./data.ts";
export {
  type Evaluation,
  evaluate,
  evaluateVariants,
  type Predictions,
  pathwayShares,
  routeInformation,
  type VariantEvaluation,
} from "./evaluate.ts";
export { loggedEmit, readEvents } from "./event-log.ts";
export { type Emit, eventVersion, type RunEvent } from "./events.ts";
export { checkFrozen, FeatureCache, type FeatureCacheOptions } from "./frozen/feature-cache.ts";
export { scaleFeatures, scaleVersion } from "./frozen/feature-scale.ts";
export {
  type Kept,
  type KeptSource,
  layersOf,
  loadLayers,
  loadModel,
  type PredictorPlan,
  type SinglePlan,
  saveModel,
} from "./kept-model.ts";
export type { FitResult, Learner, Prediction, Predictor, StepResult, TrainBatch, Variant } from "./learner.ts";
export { type FitChanges, type Method, type MethodContext, versionOf } from "./method.ts";
export { argmaxAt, computeMetrics, confusionMatrix, type Metrics, rightItems, wilsonInterval } from "./metrics.ts";
export { type OpenedRun, type OpenRunOptions, openRun, type Restore } from "./open-run.ts";
export {
  defaultTrainOptions,
  type RequestedOptions,
  requestedOptionShape,
  resolveEpochs,
  type TrainOptions,
  withEpochs,
} from "./options.ts";
export { type Planned, planRun, type RunPlan } from "./plan.ts";
export {
  type MemberRanking,
  passOf,
  type RankingPrior,
  type RankingRequest,
  rankHub,
  rankingPrior,
  softPrior,
} from "./ranking.ts";
export { type RunConfig, runVersion } from "./run-config.ts";
export { openRunData, type RunData, type RunDataRequest } from "./run-data.ts";
export { fingerprint, RunFolder } from "./run-folder.ts";
export { matchSplit, type RunSplit, runSplit, type SplitMatch } from "./run-split.ts";
export {
  type ResumeRequest,
  type RunOutcome,
  resumeRun,
  type SessionOptions,
  type TrainRequest,
  trainRun,
} from "./session.ts";
export {
  type ClassAccuracy,
  type EvaluationSummary,
  itemsHash,
  runsOn,
  summarise,
  unusedMembers,
  worstClasses,
} from "./summary.ts";
export { ClassificationTask, type Targets, type Task } from "./task.ts";
export { TenCrop, tenCropSide } from "./ten-crop.ts";
export { type FitRequest, fit, learningRateFactor } from "./trainer.ts";
