/** hub.json: what the members of a hub are, where their weights lie, and how their inputs must look. */
import { existsSync } from "node:fs";
import { join, posix } from "node:path";
import { z } from "zod";
import { parseJson, proposeName, readRegular, safeName, writeFileAtomic } from "../io/index.ts";
import { graphFormats } from "../models/index.ts";
import { UserError } from "../torch/index.ts";
import { starterHub } from "./find-hub.ts";

export const manifestVersion = 1;

const manifestName = "hub.json";

/** A manifest is a page of text a member; anything near this is no manifest. */
const maximumBytes = 16e6;

const inputSchema = z.strictObject({
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

const memberSchema = z.strictObject({
  name: safeName,
  /** Name of an architecture; "graph" for a format that brings its own network. */
  architecture: z.string(),
  config: z.record(z.string(), z.unknown()).default({}),
  weights: weightsSchema,
  keyMap: keyMapSchema.default({ prefix: "", drop: [], rename: {} }),
  /** Key of the pre-training classifier in the weights file, without ".weight" and ".bias"; for ranking only. */
  classifier: z.string().optional(),
  featureWidth: z.number().int().positive(),
  input: inputSchema,
  pretraining: z.strictObject({
    data: z.string(),
    paradigm: z.string(),
    /** Measured quality on held-out source data, in words with its figure. */
    quality: z.string().optional(),
  }),
  licence: z.string(),
  source: z.string(),
});

/** What a network over an environment's observations sees. */
const observationSchema = z.strictObject({
  /** Name of the environment that it was trained in. */
  environment: z.string(),
  /** [C, H, W]; a vector is [C, 1, 1]. */
  shape: z.tuple([z.int().positive(), z.int().positive(), z.int().positive()]),
  /** What each of the C channels shows; other environments' channels are matched by it. */
  channels: z.array(z.string().min(1)).min(1),
});

/** A policy that was trained in an environment. */
const agentSchema = z.strictObject({
  name: safeName,
  /** Name of a network over observations. */
  architecture: z.string(),
  config: z.record(z.string(), z.unknown()).default({}),
  /** Keys "network.…" and "head.weight", "head.bias". */
  weights: z.strictObject({ file: hubPath, sha256 }),
  featureWidth: z.number().int().positive(),
  observation: observationSchema,
  /** What each action does, by index. */
  actions: z.array(z.string()).min(1),
  /** Outputs of its head: action preferences and then the state's value, or a value for each action. */
  outputs: z.enum(["policy-and-value", "action-values"]),
  training: z.strictObject({
    algorithm: z.string(),
    steps: z.number().int().nonnegative(),
    /** Mean return of its last episodes in training. */
    meanReturn: z.number().optional(),
  }),
  licence: z.string(),
  source: z.string(),
});

const manifestSchema = z
  .strictObject({
    version: z.literal(manifestVersion),
    /** A part of the paths of results and caches, so that any other name counts as the safe one that is most like it. */
    name: z.string().max(1000).transform(proposeName),
    /** Models of images. */
    members: z.array(memberSchema).max(10_000),
    /** Models of an environment's observations. */
    agents: z.array(agentSchema).max(10_000).optional(),
  })
  .refine(({ members, agents = [] }) => members.length + agents.length > 0, {
    path: ["members"],
    message: "a hub has at least one member or agent",
  });

export type MemberEntry = z.infer<typeof memberSchema>;
export type MemberInput = z.infer<typeof inputSchema>;
export type AgentEntry = z.infer<typeof agentSchema>;
export type HubManifest = z.infer<typeof manifestSchema>;

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
  const manifest = parseJson(text, manifestSchema, path, "a hub's manifest");
  const { members, agents = [] } = manifest;
  const names = new Set<string>();
  for (const { name } of [...members, ...agents]) {
    if (names.has(name)) throw new UserError(`${path} lists the member "${name}" twice`);
    names.add(name);
  }
  return manifest;
}

/** Side in pixels of the largest images that a member of the hub takes. */
export const largestInput = ({ members }: HubManifest): number => Math.max(...members.map(({ input }) => input.size));

/** Writes DIR/hub.json, complete or not at all. @throws UserError when it breaks the schema or cannot be written */
export function writeManifest(dir: string, manifest: HubManifest, name = manifestName): void {
  const path = join(dir, name);
  const checked = parseManifest(JSON.stringify(manifest), path);
  writeFileAtomic(path, `${JSON.stringify(checked, null, 2)}\n`);
}
