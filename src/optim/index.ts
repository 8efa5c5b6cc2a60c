/**
 * Optimisers and gradient clipping, with PyTorch's formulas. Read optimizer.ts first:
 * groups of parameters, state by parameter, and how it is saved.
 * It may import torch and nn.
 */
export { AdamW, type AdamWGroup, type AdamWOptions } from "./adamw.ts";
export { clipGradNorm, shrinkGradients } from "./clip.ts";
export { type GroupOptions, Optimizer, type OptimizerState, type ParameterGroup, type Update } from "./optimizer.ts";
export { SGD, type SGDGroup, type SGDOptions } from "./sgd.ts";
