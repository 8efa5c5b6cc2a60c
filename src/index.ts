/**
 * Hub-Pathway for TypeScript: transfer learning from a hub of pre-trained models.
 *
 * @example
 * const run = await train({ images: "./photos" });
 * using predictor = await Predictor.open(run.path);
 * const { label, probability } = await predictor.predict("some.jpg");
 */
export {
  checkDataset,
  type DecodeOptions,
  decodeImage,
  fetchDataset,
  type ImageSource,
  type Item,
  imageFolder,
  knownDatasets,
  openDataset,
} from "./data/index.ts";
export {
  describeHub,
  type Hub,
  HubMember,
  loadMembers,
  type MemberInput,
  openHub,
  preprocess,
  verifyHub,
} from "./hub/index.ts";
export {
  type ClassProbability,
  type ImageInput,
  type ImagePrediction,
  type LabelsPrediction,
  type NumbersPrediction,
  type PathwayPart,
  type PredictionOutcome,
  type PredictOptions,
  Predictor,
  type PredictorOptions,
  type TrainedRun,
  type TrainSettings,
  train,
} from "./library/index.ts";
export { findMethod, MemberLearner, methods, PathwayLearner } from "./methods/index.ts";
export {
  defaultPathwayConfig,
  HubPathway,
  type HubPathwayOptions,
  type PathwayConfig,
  type PathwayMember,
} from "./pathway/index.ts";
export { ConfigError, Interrupted, UserError } from "./torch/index.ts";
export {
  defaultTrainOptions,
  type EvaluationSummary,
  evaluate,
  type Method,
  type MultiLabelSummary,
  openRun,
  type RegressionSummary,
  type ResumeRequest,
  type RunEvent,
  resumeRun,
  summarise,
  type TrainOptions,
  type TrainRequest,
  trainRun,
} from "./train/index.ts";
