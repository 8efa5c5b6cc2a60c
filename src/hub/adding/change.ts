/**
 * Atomic change of a hub, by one process at a time: a kill leaves the hub as it was, or as it was to be. Files on their
 * way are written down first; once hub.json is replaced, or will not be, those that it does not name are deleted. Where
 * a kill comes between, the next change does that.
 *
 *     hub.json            the hub, replaced in one step
 *     .lock               who changes it
 *     .pending.json       files on their way into the hub or out of it
 *     .adding.TAG.tmp     a member that is being made
 */
import { existsSync, mkdirSync, renameSync, rmdirSync, rmSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { z } from "zod";
import {
  explainWrite,
  isSafeName,
  proposeName,
  readJsonFile,
  shown,
  sweepTemporaries,
  temporaryPath,
  withLock,
  writeFileAtomic,
} from "../../io/index.ts";
import { UserError } from "../../torch/index.ts";
import { deleteUnnamed, filesOf } from "../files.ts";
import {
  type HubManifest,
  hubPath,
  type MemberEntry,
  manifestText,
  manifestVersion,
  readManifest,
  writeManifest,
} from "../manifest.ts";

/** Changes take a moment: what takes long happens before. */
const longestWaitMs = 60_000;

const pendingSchema = z.strictObject({ files: z.array(hubPath).max(100_000) });

/** Change of a hub. */
interface Change {
  readonly manifest: HubManifest;
  /** Files that join or leave. */
  readonly files: readonly string[];
  /** Puts files that join in their place. */
  readonly enter?: () => void;
}

/**
 * Changes a hub as `plan` says of its manifest, under the hub's lock; returns the deleted files.
 * @param what the command, for the messages of others
 * @throws UserError when another process holds the lock for long, or the hub cannot be written; the hub stays as it was
 */
export function changeHub(hub: string, what: string, plan: (before: HubManifest) => Change): string[] {
  return withLock(join(hub, ".lock"), what, () => changeLocked(hub, plan), { wait: longestWaitMs });
}

function changeLocked(hub: string, plan: (before: HubManifest) => Change): string[] {
  sweepTemporaries(hub);
  settle(hub);
  const text = manifestText(hub);
  const { manifest, files, enter } = plan(manifestOf(hub));
  writeFileAtomic(pendingPath(hub), JSON.stringify({ files }));
  let deleted: string[] = [];
  try {
    enter?.();
    if (manifestText(hub) !== text) throw new UserError(`${join(hub, "hub.json")} changed meanwhile: try again`);
    writeManifest(hub, manifest);
  } finally {
    deleted = settle(hub);
  }
  return deleted;
}

/** Finishes the last change, or undoes it: what hub.json does not name goes. */
function settle(hub: string): string[] {
  const path = pendingPath(hub);
  if (!existsSync(path)) return [];
  const { files } = readJsonFile(path, pendingSchema, "a list of a hub's files");
  const deleted = deleteUnnamed(hub, files, existsSync(join(hub, "hub.json")) ? readManifest(hub) : undefined);
  rmSync(path, { force: true });
  return deleted;
}

const pendingPath = (hub: string): string => join(hub, ".pending.json");

/** An empty manifest for a hub that is yet to be made. */
function manifestOf(hub: string): HubManifest {
  if (existsSync(join(hub, "hub.json"))) return readManifest(hub);
  return { version: manifestVersion, name: proposeName(basename(resolve(hub))), members: [] };
}

/** @throws UserError when a member cannot be called so, proposing another name, or the hub has one of that name */
export function requireFreeName(hub: string, name: string, { members } = manifestOf(hub)): void {
  if (!isSafeName(name)) {
    const plain = proposeName(name.replace(/\.(?:onnx|pth?|pt2|safetensors|bin|json|h5|ckpt)$/i, ""));
    throw new UserError(
      `"${shown(name)}" cannot be a member's name, which has letters, digits, dot, dash and underscore only: ` +
        `call it ${plain}`,
    );
  }
  if (!members.some((member) => member.name === name)) return;
  throw new UserError(`${hub} has a member "${name}" already: choose another name, or remove it first (hub rm)`);
}

/** A folder for a member that is being made, which goes with this object, as does a hub that came to nothing. */
export interface Staging extends Disposable {
  readonly folder: string;
}

/** Makes such a folder below the hub. @throws UserError when the hub cannot be written */
export function openStaging(hub: string): Staging {
  const isNew = !existsSync(hub);
  const folder = temporaryPath(hub, "adding");
  try {
    sweepTemporaries(hub);
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw explainWrite(error, hub);
  }
  return {
    folder,
    [Symbol.dispose]() {
      rmSync(folder, { recursive: true, force: true });
      if (isNew) removeIfEmpty(hub);
    },
  };
}

/** Another process may be making its first member there. */
function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // It is a hub now.
  }
}

/**
 * Lists a member, whose files lie in the folder of its name below the staging folder, once they are in their place.
 * @throws UserError when the name is taken or cannot be used, or the hub cannot be written; the hub stays as it was
 */
export function publish(hub: string, { folder }: Staging, entry: MemberEntry): void {
  const { name } = entry;
  const place = join(hub, name);
  changeHub(hub, `hub-pathway hub add ${name}`, (before) => {
    requireFreeName(hub, name, before);
    if (existsSync(place)) {
      throw new UserError(`${place} is in the way: it is no member of the hub; move it, or choose another name`);
    }
    const enter = () => renameSync(join(folder, name), place);
    return { manifest: { ...before, members: [...before.members, entry] }, files: filesOf(entry), enter };
  });
}

/**
 * Removes a member and those of its files that no other member uses; returns the removed files, relative to the hub.
 * @throws UserError when the hub has no such member, or no other one
 */
export function removeMember(hub: string, name: string): string[] {
  readManifest(hub); // before anything is written there
  return changeHub(hub, `hub-pathway hub rm ${name}`, (manifest) => {
    const { members } = manifest;
    const entry = members.find((member) => member.name === name);
    const names = members.map((member) => member.name).join(", ");
    if (!entry) throw new UserError(`${hub} has no member "${name}"; it has: ${names}`);
    if (members.length === 1) throw new UserError(`"${name}" is the only member of ${hub}: remove the folder instead`);
    return { manifest: { ...manifest, members: members.filter((member) => member !== entry) }, files: filesOf(entry) };
  });
}
