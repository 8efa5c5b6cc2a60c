/**
 * The library's two entries, as the package's root exports them: train a run, predict with it. What they take and give is
 * made for callers: names of classes and members, probabilities, and errors that say what to do.
 * It may import methods, train and all that they may.
 */

export type { ClassProbability, PathwayPart } from "../runtime/index.ts";
export { chooseSettings } from "./auto/choose-settings.ts";
export type { AutoChoice, AutoRequest, AutoSettings } from "./auto/request.ts";
export {
  type AnyPrediction,
  type ImageInput,
  type ImagePrediction,
  type LabelsPrediction,
  type NumbersPrediction,
  type PredictionOutcome,
  type PredictOptions,
  Predictor,
  type PredictorOptions,
} from "./predictor.ts";
export { freeRunFolder, type TrainedRun, type TrainSettings, train } from "./train.ts";
