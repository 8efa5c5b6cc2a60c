/** TensorFlow.js: models that run and train on libtorch, and weights for hand-written architectures. */
export { openTfjs } from "./open.ts";
export { readTfjsWeights } from "./weights.ts";
