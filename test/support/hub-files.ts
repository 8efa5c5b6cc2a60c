/** Hubs of random networks on disk: weight files, and a manifest that says what is in them. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeSafetensors } from "../../src/io/index.ts";
import type { Tensor } from "../../src/torch/index.ts";

export interface MemberFiles {
  name: string;
  architecture: string;
  config: Record<string, unknown>;
  featureWidth: number;
  /** Side of the inputs, pixels. */
  size: number;
  tensors: ReadonlyMap<string, Tensor>;
  /** Further fields of its entry in the manifest. */
  more?: Record<string, unknown>;
}

/** Writes a member's weights into an existing folder; returns its entry in the manifest. */
export function writeMember(dir: string, member: MemberFiles): Record<string, unknown> {
  const { name, architecture, config, featureWidth, size, tensors, more = {} } = member;
  const file = `${name}.safetensors`;
  writeSafetensors(join(dir, file), new Map(tensors));
  const sha256 = createHash("sha256")
    .update(readFileSync(join(dir, file)))
    .digest("hex");
  return {
    name,
    architecture,
    config,
    weights: { file, format: "safetensors", sha256 },
    ...more,
    featureWidth,
    input: { kind: "image", size, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
    pretraining: { data: "none", paradigm: "random" },
    licence: "test",
    source: "test",
  };
}

/** Writes DIR/hub.json with the members that `write` makes; returns DIR. */
export function writeHub(dir: string, name: string, write: (dir: string) => Record<string, unknown>[]): string {
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, "hub.json"), JSON.stringify({ version: 2, name, members: write(dir) }));
  return dir;
}
