/** Takes a model out of a hub: first out of hub.json, then its files. */
import { existsSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { UserError } from "../../torch/index.ts";
import { type AgentEntry, type MemberEntry, readManifest, writeManifest } from "../manifest.ts";

/**
 * Removes a member and those of its files that no other member uses; returns the removed files, relative to the hub.
 * @throws UserError when the hub has no such member, or no other one
 */
export function removeMember(hub: string, name: string): string[] {
  const manifest = readManifest(hub);
  const { members, agents = [] } = manifest;
  const all = [...members, ...agents];
  const entry = all.find((member) => member.name === name);
  const names = all.map((member) => member.name).join(", ");
  if (!entry) throw new UserError(`${hub} has no member "${name}"; it has: ${names}`);
  const others = all.filter((member) => member !== entry);
  if (others.length === 0) throw new UserError(`"${name}" is the only member of ${hub}: remove the folder instead`);
  const without = <T extends { name: string }>(entries: T[]): T[] => entries.filter((member) => member.name !== name);
  writeManifest(hub, {
    ...manifest,
    members: without(members),
    ...(manifest.agents ? { agents: without(agents) } : {}),
  });
  const needed = new Set(others.flatMap(filesOf));
  const removed = filesOf(entry).filter((file) => !needed.has(file) && existsSync(join(hub, file)));
  for (const file of removed) {
    rmSync(join(hub, file));
    removeEmptyFolders(hub, dirname(join(hub, file)));
  }
  return removed;
}

function filesOf({ weights }: MemberEntry | AgentEntry): string[] {
  return [weights.file, ...("files" in weights ? weights.files : []).map(({ file }) => file)];
}

function removeEmptyFolders(hub: string, folder: string): void {
  const below = relative(hub, folder);
  if (below === "" || below.startsWith("..") || readdirSync(folder).length > 0) return;
  rmdirSync(folder);
  removeEmptyFolders(hub, dirname(folder));
}
