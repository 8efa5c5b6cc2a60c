/** ONNX: graphs that run and train on libtorch. */
export { OnnxModel } from "./model.ts";
export { onnxParts, openOnnx } from "./open.ts";
