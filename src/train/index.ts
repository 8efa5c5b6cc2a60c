/** The loop, the task, measurements, run folders, and the interface of methods. */
export { Interrupted } from "../torch/index.ts";
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
export { type Emit, eventVersion, jsonlWriter, type RunEvent } from "./events.ts";
export { checkFrozen, FeatureCache, type FeatureCacheOptions } from "./feature-cache.ts";
export { scaleFeatures, scaleVersion } from "./feature-scale.ts";
export type { Learner, Prediction, Predictor, StepResult, TrainBatch, Variant } from "./learner.ts";
export type { FitChanges, Method, MethodContext } from "./method.ts";
export { argmaxAt, computeMetrics, confusionMatrix, type Metrics, rightItems, wilsonInterval } from "./metrics.ts";
export { defaultTrainOptions, resolveEpochs, type TrainOptions, withEpochs } from "./options.ts";
export {
  type MemberRanking,
  passOf,
  type RankingPrior,
  type RankingRequest,
  rankHub,
  rankingPrior,
  softPrior,
} from "./ranking.ts";
export { fingerprint, type RunConfig, RunFolder, runVersion } from "./run-folder.ts";
export {
  type EvaluationSummary,
  itemsHash,
  type OpenedRun,
  type OpenRunOptions,
  openRun,
  type RunOutcome,
  summarise,
  type TrainRequest,
  trainRun,
} from "./session.ts";
export { ClassificationTask, type Targets, type Task } from "./task.ts";
export { TenCrop, tenCropSide } from "./ten-crop.ts";
export { type FitRequest, type FitResult, fit, learningRateFactor } from "./trainer.ts";
