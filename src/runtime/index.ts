/**
 * Bundles answer in Node, browsers and workers: no libtorch, no native code but the caller's ONNX runtime. choice.ts has the routes,
 * manifest.ts what a bundle is, resample.ts how images become squares. Read model.ts first.
 * It imports nothing: neither folders of src nor packages; node.ts alone may use Node.
 */
export { type Answers, answer, BundleBatch, type RunFile, ruleOf, taken } from "./answer.ts";
export { isRejected, logsOf, tempered } from "./calibration.ts";
export { BundleError } from "./check.ts";
export {
  Asking,
  type BudgetChoice,
  ChoiceError,
  type Choices,
  chosenBy,
  type ModelChoice,
  type Rule,
  routeOf,
  ruleBy,
  softmaxRows,
  type Wish,
  weightsOf,
} from "./choice.ts";
export { BundleFiles } from "./files.ts";
export { type ImageInput, type ImageTensor, planes } from "./images.ts";
export { type Bundle, bundleVersion, manifestName, parseBundle, placesOf } from "./manifest.ts";
export {
  type AnyBundlePrediction,
  type BundleLabels,
  type BundleModel,
  type BundleNumbers,
  type BundlePrediction,
  choicesOf,
  type Expected,
  filesToRun,
  memberNames,
  type OpenOptions,
  openBundle,
  type PredictionOf,
  type PredictOptions,
  type StageTimes,
} from "./model.ts";
export type { Drawable } from "./platform.ts";
export { type Pixels, squared } from "./resample.ts";
export { runSelfTest, type SelfTestResult } from "./self-test.ts";
export { type OnnxRuntime, Sessions } from "./sessions.ts";
export {
  type AnswerKind,
  type AnswerTask,
  type AnyAnswer,
  answerWords,
  type ClassAnswer,
  type ClassProbability,
  isPresent,
  type LabelsAnswer,
  type NumbersAnswer,
  type PathwayPart,
  pathwayOf,
  readAnswer,
} from "./task.ts";
export { openInWorker, serveBundles, type WorkerEnd } from "./worker.ts";
