/**
 * Training on images. trainer.ts is the loop over one learner; run-context.ts gives a method its fits, measurements and
 * decisions, for runs (session.ts) and for cells of comparisons alike; run-folder.ts is the folder that a run leaves;
 * open-run.ts, predict.ts and evaluate.ts use what it keeps. learner.ts, method.ts and events.ts are the interfaces.
 * May import torch to ranking; nothing here knows a method, an experiment or a command.
 */
export { eventLoopTurn, forEachBatch, inTurns, type LoopOptions, throwIfAborted } from "./batches.ts";
export {
  calibrate,
  confidencesOf,
  curveOf,
  fitTemperature,
  withTemperature,
} from "./calibration.ts";
export {
  checkpointFiles,
  checkpointVersion,
  loadWeights,
  type Position,
  part,
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
  type Targets,
  type TaskData,
} from "./data.ts";
export {
  costOf,
  type Evaluation,
  evaluate,
  evaluateTask,
  evaluateVariants,
  type GroupOptions,
  isClassified,
  joined,
  type MeasuringTask,
  type Predictions,
  pathwayShares,
  routeInformation,
  type TaskEvaluation,
  type VariantEvaluation,
  type VariantOptions,
} from "./evaluate.ts";
export { loggedEmit, readEvents } from "./event-log.ts";
export { type Emit, eventVersion, type RunEvent } from "./events.ts";
export { checkFrozen, FeatureCache, type FeatureCacheOptions, type HeldOutSplit } from "./frozen/feature-cache.ts";
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
export type {
  Backward,
  EvaluationOptions,
  FitResult,
  ImageView,
  Learner,
  PartedStep,
  Prediction,
  Predictor,
  RowRange,
  Shards,
  StepResult,
  TrainBatch,
  Variant,
} from "./learner.ts";
export {
  type Choice,
  type Choices,
  type ConfiguredMethod,
  completedChoices,
  type FitChanges,
  type Method,
  type MethodContext,
  type ShardContext,
  versionOf,
} from "./method.ts";
export {
  argmaxAt,
  computeMetrics,
  confusionMatrix,
  exceedsChance,
  isBetter,
  kindOfMetrics,
  type Metrics,
  outputsText,
  type Quality,
  qualityOf,
  rightItems,
  scoreText,
  type TaskMetrics,
  wilsonInterval,
} from "./metrics.ts";
export {
  type OpenedRun,
  type OpenRunOptions,
  openRun,
  type Restore,
  refuseSureness,
} from "./open-run.ts";
export {
  defaultTrainOptions,
  defaultViews,
  passesOver,
  type RequestedOptions,
  requestedOptionShape,
  resolveOptions,
  type TrainOptions,
  withEpochs,
} from "./options.ts";
export { type Planned, planRun, type RunPlan } from "./plan.ts";
export { forEachPrediction, requireK } from "./predict.ts";
export {
  type MemberRanking,
  passOf,
  type RankingPrior,
  type RankingRequest,
  rankHub,
  rankingPrior,
  scoresFor,
  softPrior,
} from "./ranking.ts";
export { firstRankFirst, onAnyRank, sumOverRanks } from "./ranks.ts";
export { type RejectionRequest, withRejection } from "./run-calibration.ts";
export { type ImageRunFolder, imageRun, placeOf, type RunConfig, runVersions } from "./run-config.ts";
export { type AskedFit, type ContextParts, RunContext, requestedPrior } from "./run-context.ts";
export { openRunData, type RunData, type RunDataRequest } from "./run-data.ts";
export { fingerprint, RunFolder, type RunKind } from "./run-folder.ts";
export { matchSplit, type RunSplit, runSplit, type SplitMatch } from "./run-split.ts";
export {
  atThreshold,
  type Calibration,
  checkRule,
  chooseThreshold,
  isAsked,
  type RejectionRule,
  type RiskCoverage,
  riskCoverage,
  type Selection,
  upperLimit,
} from "./selective.ts";
export {
  type ClassifierOutcome,
  type ResumeRequest,
  type RunOutcome,
  resumedRequest,
  resumeRun,
  type SessionOptions,
  type TargetOutcome,
  type TrainRequest,
  trainOnRank,
  trainRun,
} from "./session.ts";
export { studentQuantile, studentTails } from "./student.ts";
export {
  type ClassAccuracy,
  type EvaluationSummary,
  itemsHash,
  type MultiLabelSummary,
  type RegressionSummary,
  runsOn,
  summarise,
  summariseTargets,
  type TargetSummary,
  type Usage,
  unusedMembers,
  worstClasses,
} from "./summary.ts";
export {
  chooseThresholds,
  type LabelFigures,
  labelFigures,
  type MultiLabelMetrics,
  type NumberFigures,
  numberFigures,
  type RegressionMetrics,
} from "./target-metrics.ts";
export {
  type Answers,
  ClassificationTask,
  MultiLabelTask,
  qualityBy,
  RegressionTask,
  storedTask,
  type Task,
  taskOf,
} from "./task.ts";
export { taskHead } from "./task-head.ts";
export { TenCrop, tenCropSide } from "./ten-crop.ts";
export { rowsOf } from "./train-step.ts";
export { type FitRequest, fit, learningRateFactor, scheduledFactor } from "./trainer.ts";
