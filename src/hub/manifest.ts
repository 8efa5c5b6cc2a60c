/** hub.json: what the members of a hub are, where their weights lie, and how their inputs must look. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { UserError } from "../torch/index.ts";

export const manifestVersion = 1;

const inputSchema = z.strictObject({
  /** Side of the square input, pixels. */
  size: z.number().int().min(8).max(4096),
  /** Per channel, of values in [0, 1]. */
  mean: z.array(z.number()).length(3),
  std: z.array(z.number().positive()).length(3),
  interpolation: z.enum(["bilinear", "bicubic", "nearest"]).default("bilinear"),
  channelOrder: z.enum(["rgb", "bgr"]).default("rgb"),
});

const memberSchema = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9._-]*$/i, "letters, digits, dot, dash and underscore only"),
  architecture: z.string(),
  config: z.record(z.string(), z.unknown()).default({}),
  weights: z.strictObject({
    file: z.string(),
    format: z.enum(["safetensors"]),
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
  }),
  /** From the file's keys to the architecture's: first the prefix is stripped, then beginnings are renamed. */
  keyMap: z
    .strictObject({ prefix: z.string().default(""), rename: z.record(z.string(), z.string()).default({}) })
    .default({ prefix: "", rename: {} }),
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

const manifestSchema = z.strictObject({
  version: z.literal(manifestVersion),
  name: z.string(),
  members: z.array(memberSchema).min(1),
});

export type MemberEntry = z.infer<typeof memberSchema>;
export type HubManifest = z.infer<typeof manifestSchema>;

/**
 * Reads and checks DIR/hub.json.
 * @throws UserError when there is none, or it breaks the schema, naming the file and the field.
 */
export function readManifest(dir: string): HubManifest {
  const path = join(dir, "hub.json");
  if (!existsSync(path)) {
    throw new UserError(`${dir} is not a hub: it has no hub.json (the starter hub is hubs/starter)`);
  }
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new UserError(`${path} is not JSON: ${error instanceof Error ? error.message : error}`);
  }
  const parsed = manifestSchema.safeParse(json);
  if (!parsed.success) {
    const issues = parsed.error.issues.map((issue) => `${issue.path.join(".") || "the file"}: ${issue.message}`);
    throw new UserError(`${path} does not fit the hub format: ${issues.join("; ")}`);
  }
  const names = parsed.data.members.map((member) => member.name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new UserError(`${path} lists the member "${twice}" twice`);
  return parsed.data;
}
