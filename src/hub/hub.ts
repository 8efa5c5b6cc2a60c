/** A hub: a folder with hub.json and weights. Nothing here ever writes into it. */
import { createHash } from "node:crypto";
import { countParameters } from "../nn/index.ts";
import { type Generator, UserError } from "../torch/index.ts";
import { findHub } from "./find-hub.ts";
import { loadBackbone, loadMember } from "./load-member.ts";
import { type HubManifest, type ImageInput, type MemberEntry, type MemberInput, readManifest } from "./manifest.ts";
import type { HubMember } from "./member.ts";
import { sidesOf } from "./preprocessing.ts";
import type { Residency } from "./residency.ts";

/** A hub, with its members over one kind of input or over any. */
export interface Hub<I extends MemberInput = ImageInput> {
  dir: string;
  manifest: Omit<HubManifest, "members"> & { members: MemberEntry<I>[] };
  /** Hash over architectures, configurations and weights of all members: a run belongs to exactly one. */
  fingerprint: string;
  /** True when TorchScript members may be loaded. */
  trust: boolean;
  /** Keeps the members' weights in bounded memory, where that was asked for. */
  residency?: Residency;
  /** Device of the loaded members (default "cpu"). */
  device?: string | undefined;
}

type InputKind = MemberInput["kind"];

export const anyInput: readonly InputKind[] = ["image", "observation"];

export interface OpenHubOptions<K extends InputKind = "image"> {
  /** Kinds of input whose networks are wanted: other members are left out (default: images). */
  inputs?: readonly K[];
  /** Load TorchScript members too, which are programs (default: refuse). */
  trust?: boolean | undefined;
  /** Device of the loaded members (default "cpu"). */
  device?: string | undefined;
}

/**
 * Opens a hub by its folder; a relative path that does not exist here is looked up in the package.
 * @throws UserError where there is no hub, or none of its members has a wanted input
 */
export function openHub<K extends InputKind = "image">(
  dir: string,
  options: OpenHubOptions<K> = {},
): Hub<Extract<MemberInput, { kind: K }>> {
  const resolved = findHub(dir);
  const manifest = readManifest(resolved);
  const { trust = false, device, inputs = ["image"] } = options;
  const wanted: readonly InputKind[] = inputs;
  const isWanted = (entry: MemberEntry): entry is MemberEntry<Extract<MemberInput, { kind: K }>> =>
    wanted.includes(entry.input.kind);
  const members = manifest.members.filter(isWanted);
  if (members.length === 0) throw new UserError(withoutMembers(dir, wanted));
  return { dir: resolved, manifest: { ...manifest, members }, fingerprint: hubFingerprint(members), trust, device };
}

function withoutMembers(dir: string, wanted: readonly InputKind[]): string {
  return wanted.includes("image")
    ? `the members of ${dir} are agents of games, not models of images: use them with \`rl train --hub\``
    : `${dir} has no agents: train some with \`rl train\` and add them with \`hub add NAME RUN\``;
}

/** Unchanged since version 1 of the manifest, in which networks over observations came last, in a list of their own. */
function hubFingerprint(members: readonly MemberEntry[]): string {
  const images: unknown[] = [];
  const agents: unknown[] = [];
  for (const {
    name,
    architecture,
    config,
    weights,
    keyMap,
    policy,
    input: { kind, ...input },
  } of members) {
    const { file, sha256 } = weights;
    if (kind === "image") images.push([name, architecture, config, weights, keyMap, input]);
    else agents.push([name, architecture, config, { file, sha256 }, input, policy?.actions]);
  }
  return shortHash(agents.length > 0 ? [...images, agents] : images);
}

/**
 * Parts of a member's entry that decide its features: network, weights and input. Unchanged since version 1 of the
 * manifest.
 */
export function computationOf({ architecture, config, weights, keyMap, input: { kind: _, ...input } }: MemberEntry) {
  return { architecture, config, weights, keyMap, input };
}

/** A hash of what a member computes; its files may have other names and places. */
export function memberFingerprint(entry: MemberEntry): string {
  const { architecture, config, weights, keyMap, input } = computationOf(entry);
  const files = [weights.sha256, ...weights.files.map((file) => file.sha256)];
  return shortHash([entry.name, architecture, config, weights.format, files, keyMap, input]);
}

function shortHash(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 16);
}

/** The same hub with these members only, in their order. */
export function withMembers<I extends MemberInput>(hub: Hub<I>, members: readonly MemberEntry<I>[]): Hub<I> {
  const manifest = { ...hub.manifest, members: [...members] };
  return { ...hub, manifest, fingerprint: hubFingerprint(members) };
}

/** Entries of all members, or of those named. @throws UserError when the hub has none of that name */
export function memberEntries<I extends MemberInput>(hub: Hub<I>, names?: readonly string[]): MemberEntry<I>[] {
  return names?.map((name) => memberEntry(hub, name)) ?? hub.manifest.members;
}

/** The entry of a member by its name. */
export function memberEntry<I extends MemberInput>(hub: Hub<I>, name: string): MemberEntry<I> {
  const entry = hub.manifest.members.find((member) => member.name === name);
  if (entry) return entry;
  const known = hub.manifest.members.map((member) => member.name).join(", ");
  throw new UserError(`${hub.dir} has no member "${name}"; it has: ${known}`);
}

export interface LoadMembersOptions {
  names?: readonly string[] | undefined;
  /** Draw new weights from this stream instead of loading the pre-trained ones (a control). */
  randomWeights?: Generator | undefined;
}

/** Loads all members, or those named, in the hub's order. */
export function loadMembers<I extends MemberInput>(hub: Hub<I>, options: LoadMembersOptions = {}): HubMember<I>[] {
  const { device, trust, residency } = hub;
  const load = (entry: MemberEntry<I>) => loadMember(hub.dir, entry, { ...options, device, trust });
  return loadEach(memberEntries(hub, options.names), load, (member) => {
    const again = { device, verified: true, trust };
    residency?.manage(member, options.randomWeights ? undefined : () => loadBackbone(hub.dir, member.entry, again));
  });
}

/**
 * A member for each entry; on failure those that were loaded are disposed.
 * @param use called with each member before the next is loaded
 */
export function loadEach<I extends MemberInput>(
  entries: readonly MemberEntry<I>[],
  load: (entry: MemberEntry<I>) => HubMember<I>,
  use?: (member: HubMember<I>) => void,
): HubMember<I>[] {
  const loaded: HubMember<I>[] = [];
  try {
    for (const entry of entries) {
      const member = load(entry);
      loaded.push(member);
      use?.(member);
    }
    return loaded;
  } catch (error) {
    for (const member of loaded) member.dispose();
    throw error;
  }
}

export interface MemberReport {
  name: string;
  architecture: string;
  paradigm: string;
  data: string;
  quality: string;
  licence: string;
  /** Input in words: the side of an image, or the shape of an observation. */
  input: string;
  /** Larger side of it. */
  inputSize: number;
  featureWidth: number;
  parameters: number;
  flops: number;
}

/** Table rows about every member. @throws UserError at the first member that does not load. */
export function describeHub(hub: Hub<MemberInput>): MemberReport[] {
  return hub.manifest.members.map((entry) => reportMember(hub, entry));
}

/** A table row about one member. @throws UserError when it does not load */
export function reportMember(hub: Pick<Hub, "dir" | "trust">, entry: MemberEntry): MemberReport {
  const member = loadMember(hub.dir, entry, { trust: hub.trust });
  try {
    return reportOf(member);
  } finally {
    member.dispose();
  }
}

/** A table row about a member that is loaded. */
export function reportOf({ entry, backbone, flops }: HubMember<MemberInput>): MemberReport {
  const quality = entry.pretraining.quality ?? "";
  return { ...describeEntry(entry), quality, parameters: countParameters(backbone.parameters()), flops };
}

/** Description of a member from hub.json alone, for a table row. */
export function describeEntry({ name, architecture, weights, input, featureWidth, pretraining, licence }: MemberEntry) {
  return {
    name,
    architecture: architecture === "graph" ? weights.format : architecture,
    paradigm: pretraining.paradigm,
    data: pretraining.data,
    licence,
    input: input.kind === "image" ? `${input.size} px` : input.shape.join("x"),
    inputSize: Math.max(...sidesOf(input)),
    featureWidth,
  };
}
