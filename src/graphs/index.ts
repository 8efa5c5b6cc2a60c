/**
 * Networks that files bring along (ONNX, TensorFlow.js, TorchScript), run and trained on libtorch. A reader of a format
 * (onnx/, tfjs/) makes a Network of steps (network.ts), which program.ts runs within the limits of budget.ts. Read
 * graph-model.ts first: the module that members have. An ONNX operator is a function in onnx/ops/.
 * It may import io, optim, pathway, nn and torch.
 */
export { type GraphInput, GraphModel, type GraphModelOptions, type Sides } from "./graph-model.ts";
export { onnxParts, openOnnx } from "./onnx/index.ts";
/** @internal */
export * as onnx from "./onnx/onnx-pb.generated.ts";
export { openTfjs, readTfjsWeights } from "./tfjs/index.ts";
export { openTorchScript, TorchScriptModel } from "./torch-script.ts";
