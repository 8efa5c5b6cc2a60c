/** Where fetched and derived data lie. */
import { mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** HUB_PATHWAY_CACHE, else hub-pathway under XDG_CACHE_HOME, else under ~/.cache. */
export function cacheDirectory(...parts: string[]): string {
  const root =
    process.env["HUB_PATHWAY_CACHE"] || join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "hub-pathway");
  return join(root, ...parts);
}

/** The same, created. */
export function ensureCacheDirectory(...parts: string[]): string {
  const path = cacheDirectory(...parts);
  mkdirSync(path, { recursive: true });
  return path;
}
