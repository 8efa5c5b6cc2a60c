/** Files of torch.save, read without running anything in them. */
export { isTorchScript, readTorchArchive, type TorchArchive } from "./archive.ts";
export { type PickleFile, readPickle } from "./pickle-file.ts";
export { averageIn, stateDictOf } from "./state-dict.ts";
export type { Plain, TorchValue } from "./values.ts";
