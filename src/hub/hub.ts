/** A hub: a folder with hub.json and weights. Nothing here ever writes into it. */
import { createHash } from "node:crypto";
import { type Generator, UserError } from "../torch/index.ts";
import { findHub } from "./find-hub.ts";
import { type HubManifest, type MemberEntry, readManifest } from "./manifest.ts";
import { type HubMember, loadBackbone, loadMember } from "./member.ts";
import type { Residency } from "./residency.ts";

export interface Hub {
  dir: string;
  manifest: HubManifest;
  /** Hash over architectures, configurations and weights of all members: a run belongs to exactly one. */
  fingerprint: string;
  /** Whether TorchScript members may be loaded. */
  trust: boolean;
  /** Keeps the members' weights in bounded memory, where that was asked for. */
  residency?: Residency;
  /** Where members are loaded to (default "cpu"). */
  device?: string | undefined;
}

export interface OpenHubOptions {
  /** Load TorchScript members too, which are programs (default: refuse). */
  trust?: boolean | undefined;
  residency?: Residency | undefined;
  /** Where members are loaded to (default "cpu"). */
  device?: string | undefined;
}

/** Opens a hub by its folder; a relative path that does not exist here is looked up in the package. */
export function openHub(dir: string, options: OpenHubOptions = {}): Hub {
  const resolved = findHub(dir);
  const manifest = readManifest(resolved);
  const fingerprint = hubFingerprint(manifest);
  const { trust = false, residency, device } = options;
  return { dir: resolved, manifest, fingerprint, trust, device, ...(residency ? { residency } : {}) };
}

function hubFingerprint({ members, agents }: HubManifest): string {
  const models = members.map((m) => [m.name, m.architecture, m.config, m.weights, m.keyMap, m.input]);
  const own = agents?.map((a) => [a.name, a.architecture, a.config, a.weights, a.observation, a.actions]);
  return shortHash(own ? [...models, own] : models);
}

/** A hash of what a member computes: network, weights and input; its files may have other names and places. */
export function memberFingerprint({ name, architecture, config, weights, keyMap, input }: MemberEntry): string {
  const files = [weights.sha256, ...weights.files.map((file) => file.sha256)];
  return shortHash([name, architecture, config, weights.format, files, keyMap, input]);
}

function shortHash(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 16);
}

/** The same hub with these members only, in their order. */
export function withMembers(hub: Hub, members: readonly MemberEntry[]): Hub {
  const manifest = { ...hub.manifest, members: [...members] };
  return { ...hub, manifest, fingerprint: hubFingerprint(manifest) };
}

/** The entry of a member by its name. */
export function memberEntry(hub: Hub, name: string): MemberEntry {
  const entry = hub.manifest.members.find((member) => member.name === name);
  if (entry) return entry;
  const known = hub.manifest.members.map((member) => member.name).join(", ");
  throw new UserError(`${hub.dir} has no member "${name}"; it has: ${known}`);
}

/** @throws UserError when a hub has only agents, which see an environment's observations */
export function requireImageMembers({ dir, manifest }: Hub): void {
  if (manifest.members.length > 0) return;
  throw new UserError(
    `the members of ${dir} are agents of games, not models of images: use them with \`rl train --hub\``,
  );
}

export interface LoadMembersOptions {
  names?: readonly string[];
  /** Draw new weights from this stream instead of loading the pre-trained ones (a control). */
  randomWeights?: Generator | undefined;
}

/** Loads all members, or those named, in the hub's order. */
export function loadMembers(hub: Hub, options: LoadMembersOptions = {}): HubMember[] {
  const entries = options.names ? options.names.map((name) => memberEntry(hub, name)) : hub.manifest.members;
  const { device, trust } = hub;
  const loaded: HubMember[] = [];
  try {
    for (const entry of entries) {
      const member = loadMember(hub.dir, entry, { ...options, device, trust });
      loaded.push(member);
      const again = { device, verified: true, trust };
      const reload = options.randomWeights ? undefined : () => loadBackbone(hub.dir, entry, again);
      hub.residency?.manage(member, reload);
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
  inputSize: number;
  featureWidth: number;
  parameters: number;
  flops: number;
}

/** Table rows about every member. @throws UserError at the first member that does not load. */
export function describeHub(hub: Hub): MemberReport[] {
  return hub.manifest.members.map((entry) => reportMember(hub, entry));
}

/** A table row about one member. @throws UserError when it does not load */
export function reportMember(hub: Hub, entry: MemberEntry): MemberReport {
  const member = loadMember(hub.dir, entry, { trust: hub.trust });
  try {
    return {
      name: entry.name,
      architecture: entry.architecture === "graph" ? entry.weights.format : entry.architecture,
      paradigm: entry.pretraining.paradigm,
      data: entry.pretraining.data,
      quality: entry.pretraining.quality ?? "",
      licence: entry.licence,
      inputSize: entry.input.size,
      featureWidth: entry.featureWidth,
      parameters: member.backbone.parameters().reduce((sum, parameter) => sum + parameter.numel(), 0),
      flops: member.flops,
    };
  } finally {
    member.dispose();
  }
}
