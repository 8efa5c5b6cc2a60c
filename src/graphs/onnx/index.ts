/** ONNX: graphs that run and train on libtorch. */
export { onnxParts, openOnnx } from "./open.ts";
