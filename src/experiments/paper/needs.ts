/** Needs of the published setting that do not come with this project: data sets and pre-trained weights, and their sources. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { publishedDatasets } from "../../data/index.ts";
import { forbidsCommercialUse, type PresetMember, readManifest, readPreset } from "../../hub/index.ts";
import { shellQuoted } from "../../io/index.ts";

/** Below the current folder; a folder for each data set by its name. */
export const paperData = "data/published";
export const paperHub = "hubs/paper";

export interface Need {
  name: string;
  what: string;
  /** Path at which it must be. */
  place: string;
  /** Source from which it comes. */
  origin: string;
  /** Command that brings it there, or checks it once it is there. */
  command: string;
}

/** Data sets whose folders are not there. */
export function missingData(folder: string): Need[] {
  return publishedDatasets.flatMap(({ name, summary, layout, origin }): Need[] => {
    const place = join(folder, name);
    if (existsSync(place)) return [];
    const what = `${summary}; the folder needs ${layout}`;
    return [{ name, what, place, origin, command: `hub-pathway data check ${name}:${place}` }];
  });
}

/** Members that the paper's hub lacks; a hub of the user's own is taken as it is. */
export function missingMembers(hub: string, own: boolean): Need[] {
  const present = existsSync(join(hub, "hub.json")) ? readManifest(hub).members.map((member) => member.name) : [];
  if (own && present.length > 0) return [];
  return readPreset("paper")
    .members.filter(({ name }) => !present.includes(name))
    .map((member) => ({
      name: member.name,
      what: `${member.architecture}, ${member.paradigm}, ${member.data} (${member.licence})`,
      place: hub,
      origin: member.source,
      command: createCommand(hub, member),
    }));
}

/** Command that fetches a member of the paper's hub, and adds it. */
function createCommand(hub: string, member: PresetMember): string {
  const licence = forbidsCommercialUse(member) ? " --accept-licence" : "";
  return `hub-pathway hub create ${shellQuoted(hub)} --preset paper --only ${member.name}${licence}`;
}
