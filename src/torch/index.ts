/** libtorch for TypeScript: tensors, typed operators, autograd, ownership, random streams. */
export { type CallHook, call, setCallHook } from "./call.ts";
export { conv2d, convNd, convTransposeNd, isNarrowPointwise } from "./conv.ts";
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
export { countFlops } from "./flops.ts";
export { Generator } from "./generator.ts";
export { hashKeys, keyedRandom, shuffled } from "./keyed-random.ts";
export { findDevice, getNumThreads, loadedLibrary, memory, setNumThreads, trimMemory } from "./library.ts";
export { autocast, enableGrad, grad, inferenceMode, isGradEnabled, noGrad, normalMode } from "./modes.ts";
export type { Dtype, MemoryFormat, TypedArray } from "./native.ts";
export { ensureResident, park, unpark } from "./parking.ts";
export { drawInto, RandomStreams, seedOf } from "./random.ts";
export { allOrNothing, disposeTree, keep, scope } from "./scope.ts";
export { Script } from "./script.ts";
export { type NestedNumbers, ops, Tensor } from "./tensor.ts";
