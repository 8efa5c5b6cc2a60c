/** How anything joins a hub: made in a folder of its own below the hub, moved into its place, and only then listed. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmdirSync, rmSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { UserError } from "../../torch/index.ts";
import { type HubManifest, isMemberName, manifestVersion, readManifest, writeManifest } from "../manifest.ts";

/**
 * The manifest of a hub before something joins it, an empty one of a hub that is yet to be made.
 * @throws UserError when the name cannot be used there
 */
export function manifestBefore(hub: string, name: string): HubManifest {
  if (!isMemberName(name)) {
    throw new UserError(`"${name}" cannot be a member's name: letters, digits, dot, dash and underscore only`);
  }
  if (!existsSync(join(hub, "hub.json")))
    return { version: manifestVersion, name: basename(resolve(hub)), members: [] };
  const before = readManifest(hub);
  if ([...before.members, ...(before.agents ?? [])].some((member) => member.name === name)) {
    throw new UserError(`${hub} has a member "${name}" already: choose another name, or remove it first (hub rm)`);
  }
  return before;
}

/** A folder below the hub for what is being made; `close` removes it, and a hub that came to nothing. */
export function openStaging(hub: string): { folder: string; close: () => void } {
  const isNew = mkdirSync(hub, { recursive: true }) !== undefined;
  removeAbandoned(hub);
  const folder = mkdtempSync(join(hub, `.adding-${process.pid}-`));
  const close = (): void => {
    rmSync(folder, { recursive: true, force: true });
    if (isNew && !existsSync(join(hub, "hub.json"))) rmdirSync(hub);
  };
  return { folder, close };
}

/** Into its place, then into the manifest: what is not listed is no part of the hub. */
export function publish(hub: string, staging: string, name: string, manifest: HubManifest): void {
  const place = join(hub, name);
  if (existsSync(place)) {
    throw new UserError(`${place} is in the way: it is no member of the hub; move it, or choose another name`);
  }
  renameSync(join(staging, name), place);
  try {
    writeManifest(hub, manifest);
  } catch (error) {
    rmSync(place, { recursive: true, force: true });
    throw error;
  }
}

/** What killed processes left behind. */
function removeAbandoned(hub: string): void {
  for (const name of readdirSync(hub)) {
    const pid = /^\.adding-(\d+)-/.exec(name)?.[1];
    if (pid !== undefined && !isRunning(Number(pid))) rmSync(join(hub, name), { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
