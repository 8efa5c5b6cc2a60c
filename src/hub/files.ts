/** The files of a hub's members, by where they really lie: in the hub's own folder, behind no link. */
import fs from "node:fs";
import { dirname, join } from "node:path";
import { explainRead, systemCode } from "../io/index.ts";
import { UserError } from "../torch/index.ts";
import type { HubManifest, MemberEntry } from "./manifest.ts";

/** Paths of an entry's files, relative to the hub's folder. */
export function filesOf({ weights }: Pick<MemberEntry, "weights">): string[] {
  return [weights, ...weights.files].map(({ file }) => file);
}

/** Bytes of a member's files; undefined where one is missing. */
export function memberBytes(dir: string, entry: Pick<MemberEntry, "weights">): number | undefined {
  const sizes = filesOf(entry).map((file) => fs.statSync(join(dir, file), { throwIfNoEntry: false })?.size);
  return sizes.reduce((sum, bytes) => (sum === undefined || bytes === undefined ? undefined : sum + bytes), 0);
}

/**
 * The path of a file of a member.
 * @throws UserError naming member and file when it is missing or lies behind a symbolic link
 */
export function fileOf(hub: string, member: string, file: string): string {
  const path = join(hub, file);
  const real = realPath(path);
  if (real === undefined) throw new UserError(`member "${member}": its file ${path} is missing`);
  if (real === join(realPath(hub) ?? hub, file)) return path;
  throw new UserError(
    `member "${member}": ${path} is a symbolic link or lies behind one, and a hub holds its files itself: ` +
      "put a copy of the file in its place",
  );
}

/**
 * Deletes those of the files that the manifest does not name, under whatever spelling, and folders that become empty;
 * returns the deleted ones. What lies behind a link stays, and so does what is no file.
 */
export function deleteUnnamed(hub: string, files: readonly string[], manifest: HubManifest | undefined): string[] {
  const named = new Set(manifest?.members.flatMap(filesOf).map((file) => realPath(join(hub, file))));
  return files.filter((file) => {
    const path = join(hub, file);
    const stat = fs.lstatSync(path, { throwIfNoEntry: false });
    if (!stat || stat.isDirectory() || named.has(realPath(path)) || !isInside(hub, dirname(file))) return false;
    fs.rmSync(path);
    removeEmptyFolders(hub, dirname(file));
    return true;
  });
}

function isInside(hub: string, folder: string): boolean {
  return realPath(join(hub, folder)) === join(realPath(hub) ?? hub, folder);
}

function removeEmptyFolders(hub: string, folder: string): void {
  if (folder === "." || fs.readdirSync(join(hub, folder)).length > 0) return;
  fs.rmdirSync(join(hub, folder));
  removeEmptyFolders(hub, dirname(folder));
}

/** Undefined where there is nothing. */
function realPath(path: string): string | undefined {
  try {
    return fs.realpathSync.native(path);
  } catch (error) {
    if (systemCode(error) === "ENOENT" || systemCode(error) === "ENOTDIR") return undefined;
    throw explainRead(error, path);
  }
}
