/**
 * Modules with PyTorch's parameter names and initialisations, and the functions that go with them. Read module.ts first:
 * parameters and buffers by name, state dicts, training and evaluation. A module owns its tensors until `dispose`.
 * It may import torch only.
 */
export {
  Dropout,
  DropPath,
  Flatten,
  GELU,
  Hardsigmoid,
  Hardswish,
  Identity,
  type InPlace,
  Permute,
  ReLU,
  ReLU6,
  Sigmoid,
  SiLU,
  Tanh,
} from "./activation.ts";
export { Adapter, type BiasedLayer, LowRank, LowRankWeights, ScaleShift } from "./adapters.ts";
export {
  type BatchPart,
  batchCounts,
  batchMean,
  drawRows,
  gatherRows,
  meanOfMeans,
  rowsOfRank,
} from "./batch-part.ts";
export { blocksOf, partsOf } from "./blocks.ts";
export { Conv2d, type Conv2dOptions, MaxPool2d, StandardizedConv2d } from "./conv.ts";
export {
  type Filtering,
  FoldedNorms,
  fixedStatistics,
  foldedConvolution,
  foldedForward,
  foldNorm,
  type PostOp,
  relu as reluAfter,
  relu6 as relu6After,
  type Statistics,
} from "./folding.ts";
export * from "./functional.ts";
export type { InitOptions, ModuleOptions } from "./init.ts";
export * as init from "./init.ts";
export { Linear, selfAttention } from "./linear.ts";
export {
  countParameters,
  type ForwardHook,
  type ForwardWrap,
  isDerived,
  type LoadOptions,
  type LoadReport,
  Module,
  type ModuleTarget,
} from "./module.ts";
export {
  BatchNorm2d,
  type BatchNormOptions,
  type BatchNormPolicy,
  BatchNormRecalibration,
  GroupNorm,
  LayerNorm,
  LayerNorm2d,
  type NormOptions,
  setBatchNormPolicy,
  synchronizeBatchNorm,
} from "./norm.ts";
export { Recomputation } from "./recomputation.ts";
export { inOrder, Sequential } from "./sequential.ts";
export { Standardize } from "./standardize.ts";
