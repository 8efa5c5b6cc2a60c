/**
 * libtorch for TypeScript: tensors with PyTorch's methods, typed operators, autograd, ownership of handles, random streams.
 * `native.ts` alone loads the addon; every operator goes through `call.ts`, where one hook sees it. Read tensor.ts and
 * scope.ts first: a handle belongs to the innermost scope, or to whoever holds it with `using`.
 * It imports no other folder; all others may import it.
 */
export { ActivationMeter } from "./activations.ts";
export { type CallHook, call, hasOperator, schemaOf, setCallHook, watchCalls } from "./call.ts";
export { conv2d, convNd, convTransposeNd, isNarrowPointwise, type Pair, type Windows } from "./conv.ts";
export { ownProcess } from "./environment.ts";
export { ConfigError, Interrupted, TorchError, UserError } from "./errors.ts";
export {
  arange,
  byteChunks,
  cat,
  elementBytes,
  empty,
  eye,
  fromBytes,
  fromFile,
  full,
  int64,
  ones,
  rand,
  randint,
  randn,
  randperm,
  type SamplingOptions,
  stack,
  type TensorOptions,
  tensor,
  where,
  zeros,
} from "./factories.ts";
export { countFlops, FlopMeter } from "./flops.ts";
export { Generator } from "./generator.ts";
export { hashKeys, keyedRandom, shuffled } from "./keyed-random.ts";
export { findDevice, getNumThreads, loadedLibrary, memory, setNumThreads, trimMemory } from "./library.ts";
export {
  type AutocastOptions,
  autocast,
  enableGrad,
  type GradOptions,
  grad,
  inferenceMode,
  isAutocast,
  isGradEnabled,
  isInferenceMode,
  noGrad,
  normalMode,
} from "./modes.ts";
export type { Dtype, Handle, MemoryFormat, OperatorInfo, TypedArray } from "./native.ts";
export type { Operators } from "./ops.generated.ts";
export { ensureResident, isAbsent, isParkable, makeAbsent, park, type Restore, standIn, unpark } from "./parking.ts";
export {
  CollectiveError,
  ProcessGroup,
  type ProcessGroupOptions,
  type ReduceOp,
  startSeconds,
} from "./process-group.ts";
export { drawInto, RandomStreams, seedOf } from "./random.ts";
export { allOrNothing, disposeTree, keep, type Owned, scope } from "./scope.ts";
export { Script } from "./script.ts";
export { type Dim, type NestedNumbers, ops, type Sampling, Tensor } from "./tensor.ts";
