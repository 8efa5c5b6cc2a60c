/** Files: weights in the safetensors format, and atomic writing. */
export { writeFileAtomic } from "./atomic-file.ts";
export { type GraphInput, GraphModel, type GraphModelOptions } from "./graph-model.ts";
export { readSafetensors, type Weights, writeSafetensors } from "./safetensors.ts";
