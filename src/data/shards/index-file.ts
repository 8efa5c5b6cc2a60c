/**
 * The index of a shard, a file that holds many images: place, content and label of each. It is made once by reading all of
 * the shard, and kept in the cache under the shard's version.
 */
import { utimesSync } from "node:fs";
import { basename, join } from "node:path";
import { z } from "zod";
import { ensureCacheDirectory, readJsonFile, writeFileAtomic } from "../../io/index.ts";
import { Interrupted } from "../../torch/index.ts";
import type { Watched } from "../concurrent.ts";
import { hashOf } from "../decoded-set.ts";
import { type Bytes, type TaskKind, taskKinds } from "../types.ts";

/** Raised when indexes hold something else. */
const indexVersion = 2;

const imageSchema = z.object({
  /** Name in the shard. */
  key: z.string(),
  /** Number of the part that holds it; a shard whose images lie in it as they are has one. */
  part: z.int().nonnegative(),
  /** Place in the part, bytes. */
  offset: z.int().nonnegative(),
  length: z.int().nonnegative(),
  sha256: z.string().length(64),
  label: z.object({
    kind: z.enum(taskKinds),
    cells: z.array(z.tuple([z.string(), z.union([z.string(), z.array(z.string())])])),
  }),
  split: z.string().optional(),
  group: z.string().optional(),
});
const indexSchema = z.object({
  /** The shard, for people. */
  about: z.string(),
  images: z.array(imageSchema),
  ignored: z.array(
    z.object({
      unit: z.enum(["row", "sample"]).optional(),
      reason: z.string(),
      count: z.int(),
      examples: z.array(z.string()),
    }),
  ),
  /** Where the labels come from, for people. */
  labels: z.string(),
});

export type ShardImage = z.infer<typeof imageSchema>;
export type ShardIndex = z.infer<typeof indexSchema>;

/** A kind of shard. */
export interface ShardFormat {
  /**
   * Reads all of a shard.
   * @param asked kind that the labels must have
   * @param onStep called before each step with the part that is done, 0 … 1; may throw to end the work
   * @throws UserError naming the shard when it is damaged, or holds no images at all
   */
  index(shard: Bytes, asked: TaskKind | undefined, onStep: (done: number) => void): Promise<ShardIndex>;
  /** The bytes that offsets of images of a part refer to. */
  part(shard: Bytes, number: number): Bytes;
}

/** Name of a shard's files in the cache. */
export const shardKey = ({ version }: Bytes): string => hashOf([indexVersion, version]).slice(0, 32);

/** Folder of indexes and of images taken out of shards. */
export const shardFolder = (): string => ensureCacheDirectory("shards");

/**
 * The index of a shard, from the cache or made now.
 * @throws UserError as `ShardFormat.index`; Interrupted after the signal
 */
export async function openIndex(
  shard: Bytes,
  format: ShardFormat,
  { task, signal, onProgress }: Watched & { task?: TaskKind | undefined },
): Promise<ShardIndex> {
  const path = join(shardFolder(), `${shardKey(shard)}.${task ? `${task}.` : ""}json`);
  const known = readIndex(path);
  if (known) return known;
  const onStep = (done: number): void => {
    if (signal?.aborted) throw new Interrupted("indexing of images");
    onProgress?.(Math.floor(done * 100), 100, `indexing ${basename(shard.name)}`);
  };
  const index = await format.index(shard, task, onStep);
  writeFileAtomic(path, JSON.stringify(index), { scratch: true });
  return index;
}

/** What cannot be read is as if there were nothing. */
function readIndex(path: string): ShardIndex | undefined {
  try {
    const index = readJsonFile(path, indexSchema, "an index of images", { maximumBytes: 2 ** 29 });
    const now = new Date();
    utimesSync(path, now, now);
    return index;
  } catch {
    return undefined;
  }
}
