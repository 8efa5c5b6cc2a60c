/** The cache folder: places of fetched and derived data, their use by running processes, and removal of the rest. */
import fs from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, join } from "node:path";
import { newTag, tagPattern } from "./process-tag.ts";
import { explainWrite } from "./system-errors.ts";
import { isAbandoned, sweepTemporaries } from "./temporary.ts";

/** HUB_PATHWAY_CACHE, else hub-pathway under XDG_CACHE_HOME, else under ~/.cache. */
export function cacheDirectory(...parts: string[]): string {
  const root =
    process.env["HUB_PATHWAY_CACHE"] || join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "hub-pathway");
  return join(root, ...parts);
}

/** The same, created. @throws UserError when it cannot be made, naming the variable that moves it */
export function ensureCacheDirectory(...parts: string[]): string {
  const path = cacheDirectory(...parts);
  try {
    fs.mkdirSync(path, { recursive: true });
  } catch (error) {
    throw explainWrite(error, path, elsewhere);
  }
  return path;
}

export const elsewhere = "set HUB_PATHWAY_CACHE to another folder";

/** Kinds of cached things by their folders; what is derived is made again without a network. */
const kinds = {
  decoded: "derived",
  shards: "derived",
  features: "derived",
  hashes: "derived",
  packages: "fetched",
  downloads: "fetched",
} as const;

export type CacheKind = keyof typeof kinds;

export interface CacheEntry {
  kind: CacheKind;
  /** File name up to its first dot, or the folder's name. */
  name: string;
  /** Files and folders, the one first without which the others count for nothing. */
  paths: string[];
  bytes: number;
  /** Milliseconds since 1970. */
  lastUsed: number;
  inUse: boolean;
}

const day = 24 * 3600_000;
const hour = 3600_000;

/** Bytes of derived data above which the least recently used go, unless HUB_PATHWAY_CACHE_GB says otherwise. */
const defaultBudget = 32e9;
const markerFolder = "in-use";
const markerName = new RegExp(`^([a-z]+)\\.(.+)\\.(${tagPattern.source})$`);

/** Markers of this process, by the path that each keeps. */
const markers = new Map<string, string>();
let releasesAtExit = false;

/**
 * Says that this process uses a file or folder of the cache, which no other process removes until this one ends, and that
 * it was used now.
 */
export function holdCached(path: string): void {
  const marker = cacheDirectory(markerFolder, `${basename(dirname(path))}.${entryName(path)}.${newTag()}`);
  try {
    if (!markers.has(path)) {
      ensureCacheDirectory(markerFolder);
      fs.writeFileSync(marker, "");
    }
    fs.utimesSync(path, new Date(), new Date());
  } catch {
    // A cache that cannot be written is not cleaned either, and the file may be only about to be made.
  }
  if (markers.has(path)) return;
  if (!releasesAtExit) process.once("exit", releaseCached);
  releasesAtExit = true;
  markers.set(path, marker);
}

/** This process uses nothing of the cache any more. */
export function releaseCached(): void {
  for (const marker of markers.values()) fs.rmSync(marker, { force: true });
  markers.clear();
}

function entryName(path: string): string {
  const name = basename(path);
  return isFetched(path) ? name : (name.split(".")[0] ?? name);
}

const isFetched = (path: string): boolean => kinds[basename(dirname(path)) as CacheKind] === "fetched";

/** Everything in the cache, the least recently used first. */
export function cacheEntries(): CacheEntry[] {
  return (Object.keys(kinds) as CacheKind[]).flatMap(entriesOfKind).sort((a, b) => a.lastUsed - b.lastUsed);
}

function entriesOfKind(kind: CacheKind): CacheEntry[] {
  const folder = cacheDirectory(kind);
  const groups = new Map<string, string[]>();
  for (const name of namesIn(folder)) {
    if (name.startsWith(".")) continue;
    const path = join(folder, name);
    const key = entryName(path);
    groups.set(key, [...(groups.get(key) ?? []), path]);
  }
  const held = heldNames(kind);
  return [...groups].map(([name, paths]) => {
    const sizes = paths.map((path) => measured(path));
    const lastUsed = sizes.reduce((latest, { changed }) => Math.max(latest, changed), 0);
    return {
      kind,
      name,
      // An index is what says that the other files are whole.
      paths: paths.sort((a, b) => Number(b.endsWith(".json")) - Number(a.endsWith(".json"))),
      bytes: sizes.reduce((sum, { bytes }) => sum + bytes, 0),
      lastUsed,
      // A download shows by its files that it goes on.
      inUse: held.has(name) || (kind === "downloads" && Date.now() - lastUsed < hour),
    };
  });
}

/** Names of entries that a process uses, which runs or may run. */
function heldNames(kind: CacheKind): Set<string> {
  const names = new Set<string>();
  for (const file of namesIn(cacheDirectory(markerFolder))) {
    const [, of, name, tag] = markerName.exec(file) ?? [];
    if (of !== kind || name === undefined || tag === undefined) continue;
    const path = cacheDirectory(markerFolder, file);
    if (isAbandoned(tag, path)) fs.rmSync(path, { force: true });
    else names.add(name);
  }
  return names;
}

function namesIn(folder: string): string[] {
  try {
    return fs.readdirSync(folder);
  } catch {
    return [];
  }
}

function measured(path: string): { bytes: number; changed: number } {
  const stat = fs.lstatSync(path, { throwIfNoEntry: false });
  if (!stat?.isDirectory()) return { bytes: stat?.size ?? 0, changed: stat?.mtimeMs ?? 0 };
  const inside = namesIn(path).map((name) => measured(join(path, name)));
  const isDownload = dirname(path) === cacheDirectory("downloads");
  return {
    bytes: inside.reduce((sum, { bytes }) => sum + bytes, 0),
    // Files of packages carry their makers' times.
    changed: inside.reduce((latest, { changed }) => (isDownload ? Math.max(latest, changed) : latest), stat.mtimeMs),
  };
}

export interface CleanOptions {
  /** Bytes that may stay: the most recently used do. */
  keep: number;
  /** Fetched data too, which need a network to come back. */
  fetched?: boolean;
}

/** Removes what no process uses, the least recently used first, and what killed processes left. Returns what went. */
export function cleanCache({ keep, fetched = false }: CleanOptions): CacheEntry[] {
  for (const kind of Object.keys(kinds)) sweepTemporaries(cacheDirectory(kind));
  sweepOldFetches();
  const entries = cacheEntries().filter(({ kind }) => fetched || kinds[kind] === "derived");
  let left = entries.reduce((sum, { bytes }) => sum + bytes, 0);
  return entries.filter((entry) => {
    if (left <= keep || entry.inUse || !removed(entry)) return false;
    left -= entry.bytes;
    return true;
  });
}

/** Bytes of derived data that stay. */
export function cacheLimit(): number {
  const gigabytes = Number(process.env["HUB_PATHWAY_CACHE_GB"]);
  return gigabytes > 0 ? gigabytes * 1e9 : defaultBudget;
}

/** Keeps derived data within the limit, after something was added to it. */
export function trimCache(): void {
  cleanCache({ keep: cacheLimit() });
}

/** A process may begin to use an entry in between: it has said so before it looks at the index. */
function removed({ kind, name, paths }: CacheEntry): boolean {
  const [first, ...rest] = paths;
  try {
    if (first !== undefined) fs.rmSync(first, { recursive: true, force: true });
    if (heldNames(kind).has(name)) return false;
    for (const path of rest) fs.rmSync(path, { force: true });
    return true;
  } catch {
    return false; // Another user's.
  }
}

/** Folders in which earlier versions unpacked, left by killed processes. */
function sweepOldFetches(): void {
  const folder = cacheDirectory("packages");
  for (const name of namesIn(folder)) {
    const path = join(folder, name);
    const changed = fs.lstatSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (name.startsWith(".fetch-") && Date.now() - changed > day) fs.rmSync(path, { recursive: true, force: true });
  }
}
