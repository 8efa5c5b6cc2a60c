/**
 * Presets: lists of published networks that make a hub, in hubs/presets. networks.json describes each network once; every
 * other file is a preset, whose members stand in the order of their worth.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { parseSource } from "../fetch/index.ts";
import { megabytes, readJsonFile, safeName, shown, similarNames } from "../io/index.ts";
import { architectures } from "../models/index.ts";
import { ConfigError, UserError } from "../torch/index.ts";
import { imageInput } from "./manifest.ts";

/** The presets that come with the package. */
const shippedPresets = fileURLToPath(new URL("../../hubs/presets", import.meta.url));

const networksName = "networks.json";

const placeSchema = z.strictObject({
  /** An address, or hf:owner/name/file. */
  source: z.string().refine(isPublic, "neither an https address nor hf:owner/name/file"),
  /** Its hash as its publishers state it, or the first digits. Files of hf: have one there, which fetching checks. */
  sha256: z
    .string()
    .regex(/^[0-9a-f]{8,64}$/, "8 to 64 hexadecimal digits")
    .optional(),
  md5: z
    .string()
    .regex(/^[0-9a-f]{6,32}$/, "6 to 32 hexadecimal digits")
    .optional(),
});

const networkSchema = placeSchema
  .extend({
    /** Another place of the same weights. */
    alternative: placeSchema.optional(),
    /** Size of the file. */
    bytes: z.int().positive(),
    /** True where its publishers state no size: bytes are those of the parameters. */
    about: z.literal(true).optional(),
    architecture: z.string().refine(isKnown, "no architecture of this program"),
    /** Options that neither the names nor the shapes of the weights tell. */
    config: z.record(z.string(), z.unknown()).optional(),
    /** Without the classifier. */
    parameters: z.int().positive(),
    /** Of one image, a multiply-add as two. */
    flops: z.int().positive(),
    input: imageInput.pick({ size: true, mean: true, std: true, interpolation: true }).strict(),
    data: z.string(),
    paradigm: z.string(),
    /** Its name in the SPDX list. */
    licence: z.string(),
    paper: z.string(),
  })
  .refine(({ source, md5 }) => md5 === undefined || !source.startsWith("hf:"), "hf: states SHA-256, not MD5");

const presetSchema = z.strictObject({
  summary: z.string(),
  /** Names in networks.json, or a name of the member's own and that one. */
  members: z.array(z.union([safeName, z.strictObject({ name: safeName, network: z.string() })])).min(1),
});

export type PublishedPlace = z.infer<typeof placeSchema>;
type Network = z.infer<typeof networkSchema>;

/** A published network as a member of a preset. */
export interface PresetMember extends Network {
  name: string;
  /** Its name in networks.json. */
  network: string;
}

export interface HubPreset {
  name: string;
  summary: string;
  /** In the order of their worth. */
  members: readonly PresetMember[];
}

function isPublic(source: string): boolean {
  try {
    const parsed = parseSource(source);
    return parsed.kind === "url" ? source.startsWith("https:") : parsed.kind === "hub" && parsed.path !== undefined;
  } catch {
    return false;
  }
}

function isKnown(architecture: string): boolean {
  return architectures().some(({ name }) => name === architecture);
}

/** Names of the presets in a folder. */
export function presetNames(folder = shippedPresets): string[] {
  const files = readdirSync(folder).filter((file) => file.endsWith(".json") && file !== networksName);
  return files.map((file) => file.slice(0, -".json".length)).sort();
}

/** A preset by its name. @throws ConfigError for an unknown one, with those that may be meant; UserError for a wrong file */
export function readPreset(name: string, folder = shippedPresets): HubPreset {
  const names = presetNames(folder);
  if (!names.includes(name)) throw unknownName("preset", name, names);
  const networks = readJsonFile(join(folder, networksName), z.record(safeName, networkSchema), "a list of networks");
  const path = join(folder, `${name}.json`);
  const { summary, members } = readJsonFile(path, presetSchema, "a preset of hubs");
  const named = members.map((member) => (typeof member === "string" ? { name: member, network: member } : member));
  const found = named.map(({ name: own, network }): PresetMember => {
    const described = networks[network];
    if (described) return { name: own, network, ...described };
    throw new UserError(`${path}: there is no network "${shown(network)}" in ${networksName}`);
  });
  if (new Set(named.map((member) => member.name)).size === named.length) return { name, summary, members: found };
  throw new UserError(`${path} names a member twice`);
}

function unknownName(what: string, name: string, known: readonly string[]): ConfigError {
  const similar = similarNames(name, known);
  const hint = similar.length > 0 ? `is ${similar.join(" or ")} meant? ` : "";
  return new ConfigError(`there is no ${what} "${shown(name)}": ${hint}There are ${known.join(", ")}`);
}

/** Choice among a preset's members. */
export interface MemberChoice {
  /** Names of the only members to take. */
  only?: readonly string[] | undefined;
  /** Bytes that their files may have in all. */
  budget?: number | undefined;
}

/**
 * The members that a choice takes, in the preset's order; of a budget each one takes its bytes if it still fits.
 * @throws ConfigError for an unknown name, and when nothing is left
 */
export function chooseMembers({ name, members }: HubPreset, { only, budget }: MemberChoice): PresetMember[] {
  const names = members.map((member) => member.name);
  for (const wanted of only ?? []) {
    if (!names.includes(wanted)) throw unknownName(`member of ${name}`, wanted, names);
  }
  const wanted = members.filter((member) => only?.includes(member.name) ?? true);
  let left = budget ?? Number.POSITIVE_INFINITY;
  const chosen = wanted.filter(({ bytes }) => {
    if (bytes > left) return false;
    left -= bytes;
    return true;
  });
  if (chosen.length > 0) return chosen;
  const [smallest] = wanted.toSorted((a, b) => a.bytes - b.bytes);
  throw new ConfigError(
    `no member of ${name} fits into ${megabytes(budget ?? 0)}: the smallest, ${smallest?.name}, has ` +
      megabytes(smallest?.bytes ?? 0),
  );
}

/** True for a licence that forbids commercial use. */
export function forbidsCommercialUse({ licence }: Pick<PresetMember, "licence">): boolean {
  return /\bNC\b/.test(licence);
}
