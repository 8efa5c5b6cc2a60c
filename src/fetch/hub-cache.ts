/**
 * The cache of Python's huggingface_hub, file for file, so that both share what either fetched:
 *
 *     models--OWNER--NAME/refs/REVISION           holds the commit
 *     models--OWNER--NAME/blobs/ETAG              holds the bytes
 *     models--OWNER--NAME/snapshots/COMMIT/PATH   is a relative link to the blob, or a copy where links cannot be
 */
import fs from "node:fs";
import { copyFile, mkdir, readdir, readFile, readlink, rename, rm, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { isTemporary, sweepTemporaries, temporaryPath } from "../io/index.ts";
import { type Identity, identify, mismatch } from "./digest.ts";
import { commitPattern, expectedOf, type RepositoryFile } from "./hub-api.ts";
import { safeRelativePath } from "./names.ts";
import { explainWrite, symlinksDisabled } from "./settings.ts";

/** Limit of one snapshot; more is no model's repository. */
const maximumEntries = 100_000;

export class HubCache {
  readonly folder: string;

  constructor(root: string, repo: string) {
    this.folder = join(root, `models--${repo.replace("/", "--")}`);
  }

  get blobs(): string {
    return join(this.folder, "blobs");
  }

  /** Path of a file of a snapshot, there or not. */
  snapshot(commit: string, path: string): string {
    return join(this.folder, "snapshots", commit, ...path.split("/"));
  }

  /** The commit that a revision had when it was last fetched. */
  async commitOf(revision: string): Promise<string | undefined> {
    if (commitPattern.test(revision)) return revision;
    const text = await readFile(join(this.folder, "refs", ...revision.split("/")), "utf8").catch(() => "");
    return commitPattern.test(text.trim()) ? text.trim() : undefined;
  }

  async writeRef(revision: string, commit: string): Promise<void> {
    if (revision === commit || (await this.commitOf(revision)) === commit) return;
    const path = join(this.folder, "refs", ...revision.split("/"));
    await placed(path, (temporary) => writeFile(temporary, commit));
  }

  /** Paths of a snapshot's files. */
  async list(commit: string): Promise<string[]> {
    const root = join(this.folder, "snapshots", commit);
    const entries = await readdir(root, { recursive: true, withFileTypes: true }).catch(() => []);
    return entries
      .slice(0, maximumEntries)
      .filter((entry) => !entry.isDirectory() && !isTemporary(entry.name))
      .map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll("\\", "/"))
      .filter(safeRelativePath)
      .sort();
  }

  /** A file that is there and whole, as a blob or as a snapshot's copy; a damaged blob is removed. */
  async find(commit: string, file: RepositoryFile): Promise<Identity | undefined> {
    const blob = join(this.blobs, file.etag);
    const stored = await identify(blob);
    if (stored && mismatch(stored, expectedOf(file)) === undefined) return stored;
    if (stored && mismatch(stored, expectedOf({ etag: file.etag })) !== undefined) await rm(blob, { force: true });
    const copy = await identify(this.snapshot(commit, file.path));
    return copy && mismatch(copy, expectedOf(file)) === undefined ? copy : undefined;
  }

  /** The etag that a snapshot's link names; undefined for a copy. */
  async etagOf(commit: string, path: string): Promise<string | undefined> {
    const name = basename(await readlink(this.snapshot(commit, path)).catch(() => ""));
    return /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(name) ? name : undefined;
  }

  /** Makes the snapshot's file from the blob, unless it is there. */
  async point(commit: string, file: RepositoryFile): Promise<void> {
    const path = this.snapshot(commit, file.path);
    if (fs.existsSync(path)) {
      if ((await this.etagOf(commit, file.path)) === file.etag) return;
      const copy = await identify(path);
      if (copy && mismatch(copy, expectedOf(file)) === undefined) return;
    }
    const blob = join(this.blobs, file.etag);
    await placed(path, async (temporary) => {
      if (symlinksDisabled()) return copyFile(blob, temporary);
      await symlink(relative(dirname(path), blob), temporary).catch(() => copyFile(blob, temporary));
    });
  }
}

/** Lets `make` make a temporary file or link and renames it to `path`. */
async function placed(path: string, make: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = temporaryPath(dirname(path), basename(path));
  try {
    await mkdir(dirname(path), { recursive: true });
    sweepTemporaries(dirname(path));
    await make(temporary);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw explainWrite(error, path);
  }
}
