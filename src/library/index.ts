/** The library's two entries: train a run, predict with it. */
export {
  type ClassProbability,
  type ImageInput,
  type ImagePrediction,
  type PathwayPart,
  type PredictionOutcome,
  type PredictOptions,
  Predictor,
} from "./predictor.ts";
export { freeRunFolder, type TrainedRun, type TrainSettings, train } from "./train.ts";
