/** A hub: a folder with hub.json and weights. Nothing here ever writes into it. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Generator, inferenceMode, scope, UserError, zeros } from "../torch/index.ts";
import { type HubManifest, type MemberEntry, readManifest } from "./manifest.ts";
import { type HubMember, loadMember } from "./member.ts";

export interface Hub {
  dir: string;
  manifest: HubManifest;
  /** Hash over architectures, configurations and weights of all members: a run belongs to exactly one. */
  fingerprint: string;
}

/** Opens a hub by its folder; a relative path that does not exist here is looked up in the package. */
export function openHub(dir: string): Hub {
  const resolved = findHub(dir);
  const manifest = readManifest(resolved);
  const identity = manifest.members.map((m) => [m.name, m.architecture, m.config, m.weights.sha256, m.input]);
  const fingerprint = createHash("sha256").update(JSON.stringify(identity)).digest("hex").slice(0, 16);
  return { dir: resolved, manifest, fingerprint };
}

function findHub(dir: string): string {
  if (existsSync(dir) || isAbsolute(dir)) return dir;
  for (const candidate of [dir, join("hubs", dir)]) {
    const shipped = fileURLToPath(new URL(`../../${candidate}`, import.meta.url));
    if (existsSync(join(shipped, "hub.json"))) return shipped;
  }
  return dir;
}

/** The entry of a member by its name. */
export function memberEntry(hub: Hub, name: string): MemberEntry {
  const entry = hub.manifest.members.find((member) => member.name === name);
  if (entry) return entry;
  const known = hub.manifest.members.map((member) => member.name).join(", ");
  throw new UserError(`${hub.dir} has no member "${name}"; it has: ${known}`);
}

/** Loads all members, or those named, in the hub's order. */
export function loadMembers(
  hub: Hub,
  options: { names?: readonly string[]; device?: string | undefined; randomWeights?: Generator | undefined } = {},
): HubMember[] {
  const entries = options.names ? options.names.map((name) => memberEntry(hub, name)) : hub.manifest.members;
  const loaded: HubMember[] = [];
  try {
    for (const entry of entries) {
      loaded.push(loadMember(hub.dir, entry, { device: options.device, randomWeights: options.randomWeights }));
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
  return hub.manifest.members.map((entry) => {
    const member = loadMember(hub.dir, entry);
    try {
      return {
        name: entry.name,
        architecture: entry.architecture,
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
  });
}

/** Problems of each member: hash, keys, and a forward pass that must be finite. Empty lists mean all is well. */
export function verifyHub(hub: Hub): { name: string; problems: string[] }[] {
  return hub.manifest.members.map((entry) => ({ name: entry.name, problems: verifyMember(hub, entry) }));
}

function verifyMember(hub: Hub, entry: MemberEntry): string[] {
  let member: HubMember;
  try {
    member = loadMember(hub.dir, entry);
  } catch (error) {
    if (error instanceof UserError) return [error.message];
    throw error;
  }
  try {
    member.backbone.eval();
    return scope(() =>
      inferenceMode(() => {
        const features = member.features(zeros([2, 3, entry.input.size, entry.input.size]).add(0.5));
        const finite = features.isnan().logical_not().all().item() === 1;
        return finite ? [] : [`member "${entry.name}": its features are not finite on a grey image`];
      }),
    );
  } finally {
    member.dispose();
  }
}
