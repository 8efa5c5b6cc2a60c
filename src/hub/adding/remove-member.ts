/** Takes a model out of a hub. */
import { UserError } from "../../torch/index.ts";
import { filesOf } from "../files.ts";
import { readManifest } from "../manifest.ts";
import { changeHub } from "./change.ts";

/**
 * Removes a member and those of its files that no other member uses; returns the removed files, relative to the hub.
 * @throws UserError when the hub has no such member, or no other one
 */
export function removeMember(hub: string, name: string): string[] {
  readManifest(hub); // before anything is written there
  return changeHub(hub, `hub-pathway hub rm ${name}`, (manifest) => {
    const { members, agents = [] } = manifest;
    const all = [...members, ...agents];
    const entry = all.find((member) => member.name === name);
    const names = all.map((member) => member.name).join(", ");
    if (!entry) throw new UserError(`${hub} has no member "${name}"; it has: ${names}`);
    if (all.length === 1) throw new UserError(`"${name}" is the only member of ${hub}: remove the folder instead`);
    const without = <T extends { name: string }>(entries: T[]): T[] => entries.filter((member) => member.name !== name);
    const left = { ...manifest, members: without(members), ...(manifest.agents ? { agents: without(agents) } : {}) };
    return { manifest: left, files: filesOf(entry) };
  });
}
