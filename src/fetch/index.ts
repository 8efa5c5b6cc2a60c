/**
 * Files from elsewhere, only on the user's request: models of the Hugging Face Hub, of addresses, and data packages; and folders
 * published on the Hub (push.ts). One
 * resumable download serves the first two (download.ts: read it first); npm and apt fetch packages (package-source.ts).
 * Whatever comes is checked by its hash before anybody reads it. Networks and hubs are not known here: the caller says which
 * further files a model needs (`PartsOf`). It may import torch, nn, optim, io and pathway, and uses torch's errors and io.
 * Why not @huggingface/hub for downloads: docs/architecture.md, "Fetching".
 */
import { fetchHub } from "./hub-source.ts";
import type { RemoteSource } from "./parse.ts";
import { isOffline } from "./settings.ts";
import type { FetchedSource, FetchOptions, PartsOf } from "./types.ts";
import { fetchUrl } from "./url-source.ts";

export { bytesThere, sourceFolder } from "./cached.ts";
export { configNames } from "./choose.ts";
export type { Stated } from "./digest.ts";
export { checkedPath } from "./names.ts";
export { fetchPackage, packageFolder } from "./package-source.ts";
export { type DataPackage, findPackage, packages } from "./packages.ts";
export {
  type HubSource,
  type LocalSource,
  parseDataset,
  parseSource,
  type RemoteSource,
  type Source,
  type UrlSource,
} from "./parse.ts";
export { type Pushed, type PushOptions, type PushTarget, pushFolder, pushTarget } from "./push.ts";
export { type DatasetFile, datasetFiles, openRemote, type RangeOptions, type RemoteFile } from "./ranges.ts";
export type { FetchedFile, FetchedSource, FetchOptions, PartsOf } from "./types.ts";

/**
 * Fetches a model and the files that belong to it, or finds them in the cache; every file is whole and verified, and its
 * SHA-256 is known. `partsOf` names the further files that the main file needs.
 * @throws UserError when a file cannot be had, was damaged or replaced, is too large, or cannot be stored
 */
export async function fetchSource(
  source: RemoteSource,
  partsOf: PartsOf,
  options: FetchOptions = {},
): Promise<FetchedSource> {
  const offline = options.offline ?? isOffline();
  return source.kind === "hub"
    ? fetchHub(source, partsOf, options, offline)
    : fetchUrl(source, partsOf, options, offline);
}
