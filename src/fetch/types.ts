/** Requests to a source, and its answers. */
import type { Stated } from "./digest.ts";
import type { Timing } from "./http.ts";

/** The hash is that of the model's main file; MD5 is only looked at for addresses. */
export interface FetchOptions extends Stated {
  /** Only what was fetched before; also by HF_HUB_OFFLINE=1. */
  readonly offline?: boolean | undefined;
  /** For private and gated repositories (default HF_TOKEN, else the stored one); goes to the Hub's endpoint alone. */
  readonly token?: string | undefined;
  /** Address of the Hub (default HF_ENDPOINT, else the public one). */
  readonly endpoint?: string | undefined;
  /** Folder of kept files (default: the cache of huggingface_hub, or of this program for addresses). */
  readonly cacheDir?: string | undefined;
  readonly onProgress?: ((done: number, total: number | undefined, file: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** No file may be larger (default 50 GB). */
  readonly maximumBytes?: number | undefined;
  readonly timing?: Partial<Timing> | undefined;
}

/** Names of the further files that a main file names, relative to its folder. */
export type PartsOf = (path: string) => readonly string[];

export interface FetchedFile {
  /** Its present path; may be a link into the cache. Do not write to it. */
  readonly path: string;
  /** Relative to the repository or to the address's folder, with "/". */
  readonly name: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly url: string;
}

export interface FetchedSource {
  /** The file to open. */
  readonly main: FetchedFile;
  /** Further files that the main file names: shards, external data. */
  readonly parts: readonly FetchedFile[];
  /** The repository's config.json, where it has one. */
  readonly config?: FetchedFile;
  /** The repository's preprocessor_config.json, where it has one. */
  readonly preprocessor?: FetchedFile;
  /** The commit, for repositories. */
  readonly revision?: string;
}
