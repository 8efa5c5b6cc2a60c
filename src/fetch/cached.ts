/** Place of a source in the cache, and what lies there already. */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { HubCache } from "./hub-cache.ts";
import type { RemoteSource } from "./parse.ts";
import { hubCacheDirectory } from "./settings.ts";
import type { FetchOptions } from "./types.ts";
import { addressFolder } from "./url-source.ts";

/** The folder in the cache into which a source is fetched. */
export function sourceFolder(source: RemoteSource, options: FetchOptions = {}): string {
  if (source.kind === "url") return addressFolder(source, options);
  return new HubCache(options.cacheDir ?? hubCacheDirectory(), source.repo).folder;
}

/** Bytes of a source that lie in the cache, complete or not. */
export async function bytesThere(source: RemoteSource, options: FetchOptions = {}): Promise<number> {
  const folder = sourceFolder(source, options);
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const sizes = await Promise.all(files.map((file) => stat(file).then(({ size }) => size)));
  return sizes.reduce((sum, size) => sum + size, 0);
}
