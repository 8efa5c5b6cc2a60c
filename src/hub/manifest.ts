/**
 * hub.json: what the members of a hub are, where their weights lie, and what they see. Version 1 kept networks over
 * observations in a list of their own, `agents`; it is read as version 2, which any change of the hub writes.
 */
import { existsSync } from "node:fs";
import { join, posix } from "node:path";
import { z } from "zod";
import { parseJson, proposeName, readRegular, safeName, writeFileAtomic } from "../io/index.ts";
import { graphFormats } from "../models/index.ts";
import { UserError } from "../torch/index.ts";
import { starterHub } from "./find-hub.ts";

export const manifestVersion = 2;

const manifestName = "hub.json";

/** A manifest is a page of text a member; anything near this is no manifest. */
const maximumBytes = 16e6;

export const imageInput = z.strictObject({
  kind: z.literal("image"),
  /** Side of the square input, or the larger side of another, pixels. */
  size: z.number().int().min(8).max(4096),
  /** Height and width of an input that is not square. */
  sides: z.tuple([z.number().int().min(8).max(4096), z.number().int().min(8).max(4096)]).optional(),
  /** Per channel, of values in [0, 1]. */
  mean: z.array(z.number()).length(3),
  std: z.array(z.number().positive()).length(3),
  interpolation: z.enum(["bilinear", "bicubic", "nearest"]).default("bilinear"),
  channelOrder: z.enum(["rgb", "bgr"]).default("rgb"),
});

const observationInput = z.strictObject({
  kind: z.literal("observation"),
  /** Name of the environment that it was trained in. */
  environment: z.string(),
  /** [C, H, W]; a vector is [C, 1, 1]. */
  shape: z.tuple([z.int().positive(), z.int().positive(), z.int().positive()]),
  /** Names of the C channels; other environments' channels are matched by them. */
  channels: z.array(z.string().min(1)).min(1),
});

/** Meaning of the outputs of a policy's head. */
const policySchema = z.strictObject({
  /** Names of the actions, by index. */
  actions: z.array(z.string()).min(1),
  /** Action preferences and then the state's value, or a value for each action. */
  outputs: z.enum(["policy-and-value", "action-values"]),
});

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, "64 lower-case hexadecimal digits");

/** A file of the hub, in one spelling: below its folder, whatever the manifest's author wishes, and no file of our own. */
export const hubPath = z
  .string()
  .min(1)
  .max(1000)
  .refine(
    (path) => !/^\/|^[a-z]:|\\|\p{Cc}/iu.test(path),
    "must be relative to the hub's folder, printable, and have / between folders",
  )
  .transform((path) => posix.normalize(path))
  .refine((path) => !/^\.\.(?:\/|$)/.test(path), "must not leave the hub's folder")
  .refine(
    (path) => !path.startsWith(".") && !path.endsWith("/") && path.toLowerCase() !== "hub.json",
    "must be a file of a member: no folder, no hidden file, not hub.json",
  );

const weightsSchema = z.strictObject({
  file: hubPath,
  format: z.enum(["safetensors", ...graphFormats]),
  sha256,
  /** Further files that the first one names: external data, shards. */
  files: z.array(z.strictObject({ file: hubPath, sha256 })).default([]),
});

/** From the file's keys to the architecture's, in this order. */
const keyMapSchema = z.strictObject({
  /** Only keys that start with it are used; it is stripped. */
  prefix: z.string().default(""),
  /** Beginnings of (stripped) keys that are left out: heads, detectors, optimizers. */
  drop: z.array(z.string().min(1)).default([]),
  /** Beginnings that are renamed. */
  rename: z.record(z.string(), z.string()).default({}),
  /** A whole state dict's naming that is converted, by the name of its layout (src/models/checkpoints/key-layouts.ts). */
  layout: z.string().optional(),
});

const memberSchema = z
  .strictObject({
    name: safeName,
    /** Name of an architecture; "graph" for a format that brings its own network. */
    architecture: z.string(),
    config: z.record(z.string(), z.unknown()).default({}),
    weights: weightsSchema,
    keyMap: keyMapSchema.default({ prefix: "", drop: [], rename: {} }),
    /** Key of the pre-training classifier or policy head in the weights file, without ".weight" and ".bias". */
    classifier: z.string().optional(),
    featureWidth: z.number().int().positive(),
    input: z.discriminatedUnion("kind", [imageInput, observationInput]),
    policy: policySchema.optional(),
    pretraining: z.strictObject({
      /** Images, or the environment. */
      data: z.string(),
      paradigm: z.string(),
      /** Measured quality on held-out source data, or the mean return, in words with its figure. */
      quality: z.string().optional(),
    }),
    licence: z.string(),
    source: z.string(),
  })
  .refine(({ input, weights }) => input.kind === "image" || weights.format === "safetensors", {
    path: ["weights", "format"],
    message: "must be safetensors for a network over observations",
  });

const manifestSchema = z.strictObject({
  version: z.literal(manifestVersion),
  /** A part of the paths of results and caches, so that any other name counts as the safe one that is most like it. */
  name: z.string().max(1000).transform(proposeName),
  members: z.array(memberSchema).min(1, "a hub has at least one member").max(10_000),
});

/** As much of version 1 as says what becomes of it; the schema of version 2 checks the rest. */
const versionOne = z.looseObject({
  version: z.literal(1),
  members: z.array(z.looseObject({ input: z.looseObject({}) })),
  agents: z
    .array(
      z.looseObject({
        weights: z.looseObject({}),
        observation: z.looseObject({ environment: z.string() }),
        training: z.object({ algorithm: z.string(), steps: z.number(), meanReturn: z.number().optional() }),
      }),
    )
    .default([]),
});

export type HubManifest = z.infer<typeof manifestSchema>;
export type MemberInput = HubManifest["members"][number]["input"];
export type ImageInput = z.infer<typeof imageInput>;
export type ObservationInput = z.infer<typeof observationInput>;

/** A member of a hub, over one kind of input or over any. */
export interface MemberEntry<I extends MemberInput = MemberInput> extends Omit<z.infer<typeof memberSchema>, "input"> {
  input: I;
}

/** Narrows a member to one over images. */
export function isImageMember(entry: MemberEntry): entry is MemberEntry<ImageInput> {
  return entry.input.kind === "image";
}

/** A manifest of version 1 as one of version 2, any other value as it is. */
function upgraded(json: unknown): unknown {
  const one = versionOne.safeParse(json);
  if (!one.success) return json;
  const { members, agents, ...rest } = one.data;
  const images = members.map((entry) => ({ ...entry, input: { kind: "image", ...entry.input } }));
  const observers = agents.map(({ observation, actions, outputs, training, weights, ...entry }) => ({
    ...entry,
    weights: { ...weights, format: "safetensors" },
    ...headedNetwork,
    input: { kind: "observation", ...observation },
    policy: { actions, outputs },
    pretraining: trainingOf(observation.environment, training),
  }));
  return { ...rest, version: manifestVersion, members: [...images, ...observers] };
}

/** Key map of a network with a head over its features in one file. */
export const headedNetwork = { keyMap: { prefix: "network.", drop: [], rename: {} }, classifier: "head" };

/** Training of an agent, as the pre-training of a member. @param meanReturn of its last episodes in training */
export function trainingOf(
  environment: string,
  { algorithm, steps, meanReturn }: { algorithm: string; steps: number; meanReturn?: number | undefined },
): MemberEntry["pretraining"] {
  const quality = meanReturn === undefined ? {} : { quality: `mean return ${meanReturn.toFixed(2)}` };
  return { data: environment, paradigm: `${algorithm}, ${steps} steps`, ...quality };
}

/**
 * Reads and checks DIR/hub.json, or a file of the same form and another name.
 * @throws UserError when there is none, or it breaks the schema, naming the file and the field.
 */
export function readManifest(dir: string, name = manifestName): HubManifest {
  const text = manifestText(dir, name);
  if (text !== undefined) return parseManifest(text, join(dir, name));
  throw new UserError(`${dir} is not a hub: it has no ${name} (the starter hub is ${starterHub})`);
}

/** The text of DIR/hub.json; undefined where there is none. */
export function manifestText(dir: string, name = manifestName): string | undefined {
  const path = join(dir, name);
  if (!existsSync(path)) return undefined;
  return readRegular(path, { maximumBytes, what: "a hub's manifest" }).toString("utf8");
}

function parseManifest(text: string, path: string): HubManifest {
  const manifest = parseJson(text, z.preprocess(upgraded, manifestSchema), path, "a hub's manifest");
  const names = new Set<string>();
  for (const { name } of manifest.members) {
    if (names.has(name)) throw new UserError(`${path} lists the member "${name}" twice`);
    names.add(name);
  }
  return manifest;
}

/** Side in pixels of the largest images that a member of the hub takes. */
export const largestInput = ({ members }: { members: readonly MemberEntry[] }): number =>
  Math.max(...members.filter(isImageMember).map(({ input }) => input.size));

/** Writes DIR/hub.json, complete or not at all. @throws UserError when it breaks the schema or cannot be written */
export function writeManifest(dir: string, manifest: HubManifest, name = manifestName): void {
  const path = join(dir, name);
  const checked = parseManifest(JSON.stringify(manifest), path);
  writeFileAtomic(path, `${JSON.stringify(checked, null, 2)}\n`);
}
