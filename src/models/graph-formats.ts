/** Kinds of file that bring their own network along. */
export const graphFormats = ["onnx", "tfjs", "torchscript"] as const;
export type GraphFormat = (typeof graphFormats)[number];
