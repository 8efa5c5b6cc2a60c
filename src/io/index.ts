/** Files: weights (safetensors, PyTorch, TensorFlow.js), networks that files bring along, and atomic writing. */
export { writeFileAtomic } from "./atomic-file.ts";
export { describeText, readHead, refuseForeign, refusePlaceholder } from "./foreign-file.ts";
export { narrow } from "./graph-features.ts";
export { type GraphInput, GraphModel, type GraphModelOptions, type Sides } from "./graph-model.ts";
export { type JsonFileOptions, parseJson, readJsonFile } from "./json-file.ts";
export { appendJsonLine, readJsonLines, repairJsonLines } from "./json-lines.ts";
export { LazyTensor } from "./lazy-tensor.ts";
export { acquireLock, Lock, type LockOptions, withLock } from "./lock.ts";
export { OnnxModel, onnxParts, openOnnx } from "./onnx/index.ts";
export { newTag, tagPattern } from "./process-tag.ts";
export { counted, printable, quoted, reasonOf, shellQuoted, shown } from "./quoted.ts";
export {
  kindOf,
  type OpenRegularOptions,
  openRegular,
  openRegularHandle,
  piecesOf,
  type ReadRegularOptions,
  readRegular,
} from "./regular-file.ts";
export { isSafeName, proposeName, safeName } from "./safe-name.ts";
export { type LazyWeights, readSafetensors, streamSafetensors, type Weights, writeSafetensors } from "./safetensors.ts";
export { explainRead, explainSystem, explainWrite, systemCode } from "./system-errors.ts";
export { isAbandoned, isTemporary, sweepTemporaries, temporaryPath } from "./temporary.ts";
export { openTfjs, readTfjsWeights } from "./tfjs/index.ts";
export {
  isTorchScript,
  type PickleFile,
  type Plain,
  readPickle,
  readTorchArchive,
  stateDictOf,
  type TorchArchive,
  type TorchValue,
} from "./torch-archive/index.ts";
export { openTorchScript, TorchScriptModel } from "./torch-script.ts";
