/**
 * Hub made of a preset's networks, each added as `addMember` does. What stands in the way is found before anything is
 * fetched (`planHub`). A member that fails is left out, the others follow; the same plan again goes on with what is missing.
 */
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { bytesThere, type FetchOptions, parseSource, type RemoteSource, sourceFolder } from "../../fetch/index.ts";
import { counted, diskOf, freeBytes, megabytes, requireWritableFolder } from "../../io/index.ts";
import { ConfigError, Interrupted, UserError } from "../../torch/index.ts";
import { type MemberEntry, readManifest } from "../manifest.ts";
import {
  chooseMembers,
  forbidsCommercialUse,
  type HubPreset,
  type MemberChoice,
  type PresetMember,
  type PublishedPlace,
} from "../presets.ts";
import { type AddedMember, addMember } from "./add-member.ts";

export interface CreateRequest extends MemberChoice {
  /** Folder of the hub; it may have members already. */
  hub: string;
  preset: HubPreset;
  /** Take members whose licence forbids commercial use. */
  acceptLicence?: boolean | undefined;
  /** Take members from their other place, where they have one. */
  alternative?: boolean | undefined;
  fetch?: FetchOptions | undefined;
  /** Bytes that are free where a folder is, or will be (default: the disk's). */
  freeBytes?: ((folder: string) => number) | undefined;
}

export interface HubPlan {
  request: CreateRequest;
  /** Members to fetch and add. */
  missing: readonly PresetMember[];
  /** Members that the hub has, with where each came from if that is not the preset's place. */
  present: readonly { name: string; foreign?: string }[];
  /** Names that the choice leaves out. */
  leftOut: readonly string[];
  /** Of the files of the missing members. */
  bytes: number;
}

/** End of one member. */
export type Outcome =
  | { member: PresetMember; added: AddedMember }
  /** The other place of its weights, where it has one that was not tried. */
  | { member: PresetMember; reason: string; alternative: string | undefined };

/**
 * What a hub's making will take; nothing is fetched or written.
 * @throws ConfigError for an unknown member, a budget that nothing fits into, and a licence that is not accepted; UserError
 * for a hub that cannot be read or written, and a disk without room
 */
export async function planHub(request: CreateRequest): Promise<HubPlan> {
  const { hub, preset } = request;
  const chosen = chooseMembers(preset, request);
  requireWritableFolder(hub);
  const entries = existsSync(join(hub, "hub.json")) ? readManifest(hub).members : [];
  const present = chosen.flatMap((member) => {
    const entry = entries.find(({ name }) => name === member.name);
    return entry ? [{ name: entry.name, ...(isFrom(entry, member) ? {} : { foreign: entry.source }) }] : [];
  });
  const missing = chosen.filter((member) => !present.some(({ name }) => name === member.name));
  if (!request.acceptLicence) requireFree(missing);
  await requireRoom(missing, request);
  const leftOut = preset.members.filter((member) => !chosen.includes(member)).map(({ name }) => name);
  return { request, missing, present, leftOut, bytes: missing.reduce((sum, { bytes }) => sum + bytes, 0) };
}

/** A file that the user fetched counts too, by its name. */
function isFrom({ source }: MemberEntry, { alternative, ...member }: PresetMember): boolean {
  return [member, ...(alternative ? [alternative] : [])].some((place) => {
    const file = place.source.startsWith("hf:") ? undefined : basename(place.source);
    return source.includes(place.source) || (file !== undefined && source.includes(file));
  });
}

function requireFree(members: readonly PresetMember[]): void {
  const bound = members.filter(forbidsCommercialUse);
  if (bound.length === 0) return;
  const named = bound.map(({ name, licence }) => `${name} (${licence})`).join(", ");
  const others = members.filter((member) => !bound.includes(member)).map(({ name }) => name);
  throw new ConfigError(
    `the licence of ${named} forbids commercial use: accept it with --accept-licence` +
      (others.length > 0 ? `, or take the others with --only ${others.join(",")}` : ""),
  );
}

/** @throws UserError when a disk has no room for what will be fetched, and for the copies in the hub */
async function requireRoom(members: readonly PresetMember[], request: CreateRequest): Promise<void> {
  const { hub, fetch } = request;
  const free = request.freeBytes ?? freeBytes;
  const needs = new Map<number, { folder: string; bytes: number }>();
  const need = (folder: string, bytes: number): void => {
    const disk = diskOf(folder);
    needs.set(disk, { folder, bytes: bytes + (needs.get(disk)?.bytes ?? 0) });
  };
  for (const member of members) {
    need(hub, 4 * member.parameters);
    const source = remote(placeOf(member, request));
    if (source) need(sourceFolder(source, fetch), Math.max(0, member.bytes - (await bytesThere(source, fetch))));
  }
  for (const { folder, bytes } of needs.values()) {
    if (bytes <= free(folder)) continue;
    throw new UserError(
      `the disk of ${folder} has ${megabytes(free(folder))} left, and ${counted(members.length, "network")} ` +
        `need about ${megabytes(bytes)} there, in the cache and in the hub: free some space, take fewer (--only, --budget), ` +
        "or choose another folder for the cache (HF_HOME, HUB_PATHWAY_CACHE)",
    );
  }
}

function remote({ source }: PublishedPlace): RemoteSource | undefined {
  const parsed = parseSource(source);
  return parsed.kind === "local" ? undefined : parsed;
}

function placeOf({ alternative, ...member }: PresetMember, request: CreateRequest): PublishedPlace {
  return (request.alternative ? alternative : undefined) ?? member;
}

/**
 * Fetches and adds the missing members, one after the other, and tells of each; returns all.
 * @throws Interrupted when the request's signal is aborted: the same plan again goes on; ConfigError without libtorch
 */
export async function createHub(
  { request, missing }: HubPlan,
  onOutcome: (outcome: Outcome) => void = () => {},
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const stopped = () => request.fetch?.signal?.aborted ?? false;
  for (const member of missing) {
    const outcome = stopped() ? undefined : await tryMember(member, request);
    if (!outcome || (stopped() && "reason" in outcome)) throw new Interrupted(`stopped at ${member.name}`);
    outcomes.push(outcome);
    onOutcome(outcome);
  }
  return outcomes;
}

async function tryMember(member: PresetMember, request: CreateRequest): Promise<Outcome> {
  const { name, input, config, data, paradigm, licence } = member;
  const { source, sha256, md5 } = placeOf(member, request);
  const wishes = { input, config, data, paradigm, licence };
  try {
    const fetch = { ...request.fetch, sha256, md5 };
    return { member, added: await addMember({ hub: request.hub, name, source, wishes, fetch }) };
  } catch (error) {
    if (!(error instanceof UserError) || error instanceof ConfigError) throw error;
    const alternative = request.alternative ? undefined : member.alternative?.source;
    return { member, reason: error.message, alternative };
  }
}
