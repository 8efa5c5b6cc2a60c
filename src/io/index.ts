/**
 * Files: weights (safetensors, PyTorch), JSON, caches, locks, names, hashes, and atomic writing. Files come from strangers:
 * each reader has limits and checks every offset before it uses it. Read safetensors.ts and atomic-file.ts first.
 * It may import torch and nn.
 */
export { writeFileAtomic } from "./atomic-file.ts";
export {
  type CacheEntry,
  cacheDirectory,
  cacheEntries,
  cacheLimit,
  cleanCache,
  ensureCacheDirectory,
  holdCached,
  trimCache,
} from "./cache.ts";
export { changed } from "./file-source.ts";
export { describeText, readHead, refuseForeign, refusePlaceholder } from "./foreign-file.ts";
export { hashFile } from "./hash.ts";
export { type JsonFileOptions, parseJson, readJsonFile } from "./json-file.ts";
export { appendJsonLine, readJsonLines, readNewJsonLines, refreshFile, repairJsonLines } from "./json-lines.ts";
export { LazyTensor } from "./lazy-tensor.ts";
export {
  acquireLock,
  Lock,
  type LockOptions,
  type LockOwner,
  ownerOf,
  type SeenBeats,
  tryLock,
  withLock,
} from "./lock.ts";
export { newTag, tagPattern } from "./process-tag.ts";
export { counted, listed, megabytes, printable, quoted, reasonOf, shellQuoted, shown } from "./quoted.ts";
export {
  kindOf,
  type OpenRegularOptions,
  openRegular,
  openRegularHandle,
  piecesOf,
  type ReadRegularOptions,
  readRegular,
} from "./regular-file.ts";
export { isSafeName, proposeName, safeName } from "./safe-name.ts";
export { type LazyWeights, readSafetensors, streamSafetensors, type Weights, writeSafetensors } from "./safetensors.ts";
export { similarNames } from "./similar.ts";
export { explainRead, explainSystem, explainWrite, systemCode } from "./system-errors.ts";
export { isAbandoned, isTemporary, removedAtEnd, sweepTemporaries, temporaryPath } from "./temporary.ts";
export {
  averageIn,
  isTorchScript,
  type PickleFile,
  type Plain,
  readPickle,
  readTorchArchive,
  stateDictOf,
  type TorchArchive,
  type TorchValue,
} from "./torch-archive/index.ts";
export { diskOf, freeBytes, requireWritableFolder } from "./writable.ts";
