/**
 * Data: known sets and folders, decoding, splits, copies of images, augmentation, batches. Read registry.ts first, then
 * image-folder.ts and loader.ts: an image is decoded once, kept by its content, and augmented by (seed, epoch, position).
 * A data set is one file in datasets/ (fetched) or published/ (the user's own files).
 * It may import fetch, graphs, optim, io and what they may.
 */
export {
  type AugmentName,
  type AugmentOptions,
  type AugmentRequest,
  affine,
  augment,
  augmentationOf,
  augmentations,
  composite,
  hueSaturation,
  mixup,
} from "./augment.ts";
export { checkDataset, type DatasetReport } from "./check-dataset.ts";
export { forEachConcurrently, type Progress, type Watched } from "./concurrent.ts";
export { type ContentHash, contentHashes, type HashOptions } from "./content-hash.ts";
export { type DecodeOptions, decodeImage, defaultPixelLimit, squarePixels, UnreadableImage } from "./decode.ts";
export { readIndex as readDecodedIndex } from "./decoded-set.ts";
export type { Duplicates } from "./duplicates.ts";
export { kindOfName } from "./formats.ts";
export { type IdxHeader, idxItems, readIdxHeader } from "./idx.ts";
export { imageFolder } from "./image-folder.ts";
export { ImageStore, type StoreOptions, type StoreParts } from "./image-store.ts";
export { listEnding } from "./labelled-list.ts";
export { LoadedBatch, Loader, type LoaderOptions, type Rank, type RowsOfBatch, viewOf } from "./loader.ts";
export type { PrintFile } from "./prints.ts";
export { publishedDatasets } from "./published/index.ts";
export { fetchDataset, findDataset, isFetched, knownDatasets, openDataset } from "./registry.ts";
export { shardEnding } from "./shards/ending.ts";
export { type Split, type SplitOptions, splitDataset } from "./split.ts";
export type { Crop, Dataset, Ignored, ImageSource, Item, KnownDataset, PublishedDataset } from "./types.ts";
export { type TaskKind, taskKinds } from "./types.ts";
export { type DuplicatesPolicy, duplicatesIn, splitUsable, type UsableSplit } from "./usable.ts";
