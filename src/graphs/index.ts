/** Networks that files bring along (ONNX, TensorFlow.js, TorchScript), run and trained on libtorch. */
export { type GraphInput, GraphModel, type GraphModelOptions, type Sides } from "./graph-model.ts";
export { onnxParts, openOnnx } from "./onnx/index.ts";
export { openTfjs, readTfjsWeights } from "./tfjs/index.ts";
export { openTorchScript, TorchScriptModel } from "./torch-script.ts";
