/**
 * Content hashes of items: equal for equal bytes, wherever the files lie. Files are remembered by path, size and times,
 * so that a second run does not read them all again.
 */
import { createHash } from "node:crypto";
import { type BigIntStats, statSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { ensureCacheDirectory, explainRead, openRegularHandle, readJsonFile, writeFileAtomic } from "../io/index.ts";
import { UserError } from "../torch/index.ts";
import { forEachConcurrently, type Watched } from "./concurrent.ts";
import { isOfMachine } from "./decode.ts";
import type { ImageSource, Item } from "./types.ts";

/** The hash of each item, or why its file could not be read. */
export type ContentHash = { hash: string } | { problem: UserError };

export interface HashOptions extends Watched {
  /** The time in milliseconds since 1970, for tests. */
  now?: () => number;
}

/** A file changed so shortly before it was read that a later change might leave its times the same. */
const settledMs = 2000;
const chunkBytes = 1 << 18;

/** [stamp, hash] by path. */
const memorySchema = z.record(z.string(), z.tuple([z.string(), z.string().length(64)]));
type Memory = z.infer<typeof memorySchema>;

/**
 * SHA-256 of each item's bytes, as hexadecimal digits. For a plain file these are the file's own, else also where in the
 * file the item lies and how it is cut out.
 * @throws Interrupted after the signal; UserError when the machine, and not a file, is the reason
 */
export async function contentHashes(items: readonly Item[], options: HashOptions = {}): Promise<ContentHash[]> {
  const paths = [...new Set(items.flatMap(({ source }) => pathOf(source) ?? []))];
  const files = await hashFiles(paths, options);
  return items.map(({ source }): ContentHash => {
    const path = pathOf(source);
    const file = path === undefined ? undefined : files.get(path);
    if (file instanceof UserError) return { problem: file };
    return { hash: itemHash(source, file) };
  });
}

function pathOf(source: ImageSource): string | undefined {
  if (source.kind === "bytes" || source.kind === "shard") return undefined;
  return source.kind === "glyph" ? source.fontFile : source.path;
}

function itemHash(source: ImageSource, file: string | undefined): string {
  if (source.kind === "bytes") return createHash("sha256").update(source.bytes).digest("hex");
  if (source.kind === "shard") return source.sha256;
  if (file === undefined) throw new RangeError("a file without a hash");
  const where = Object.entries(source).filter(([name]) => !["kind", "path", "fontFile"].includes(name));
  if (where.length === 0) return file;
  return createHash("sha256")
    .update(JSON.stringify([file, source.kind, where.sort()]))
    .digest("hex");
}

async function hashFiles(paths: readonly string[], options: HashOptions): Promise<Map<string, string | UserError>> {
  if (paths.length === 0) return new Map();
  const { now = Date.now, signal, onProgress } = options;
  const file = memoryFile(paths);
  const before = recall(file);
  const after: Memory = {};
  const hashes = new Map<string, string | UserError>();
  let read = 0;
  await forEachConcurrently(
    paths,
    async (path) => {
      try {
        const known = before[path];
        if (known && known[0] === stampOf(statSync(path, { bigint: true, throwIfNoEntry: false }))) {
          hashes.set(path, known[1]);
          after[path] = known;
          return;
        }
        await using handle = await openRegularHandle(path);
        const stat = await handle.stat({ bigint: true });
        const hash = await hashOf(handle, path);
        read += 1;
        hashes.set(path, hash);
        if (now() - Number(stat.ctimeNs / 1_000_000n) > settledMs) after[path] = [stampOf(stat), hash];
      } catch (error) {
        if (!(error instanceof UserError) || isOfMachine(error)) throw error;
        hashes.set(path, error);
      }
    },
    { signal, onProgress: (done, total) => read > 0 && onProgress?.(done, total, "reading") },
  );
  if (read > 0) writeFileAtomic(file, JSON.stringify(after), { scratch: true });
  return hashes;
}

/** Mark of a regular file; "" of what is none, which no memory has. */
export function stampOf(stat: BigIntStats | undefined): string {
  return stat?.isFile() ? `${stat.size} ${stat.ino} ${stat.mtimeNs} ${stat.ctimeNs}` : "";
}

async function hashOf(handle: FileHandle, path: string): Promise<string> {
  const hash = createHash("sha256");
  const buffer = Buffer.alloc(chunkBytes);
  try {
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, chunkBytes, null);
      if (bytesRead === 0) return hash.digest("hex");
      hash.update(buffer.subarray(0, bytesRead));
    }
  } catch (error) {
    throw explainRead(error, path);
  }
}

/** One file for each folder that holds all files of a data set. */
function memoryFile(paths: readonly string[]): string {
  let folder = dirname(paths[0] ?? "");
  for (const path of paths)
    while (folder !== dirname(folder) && !path.startsWith(join(folder, "/"))) folder = dirname(folder);
  return join(ensureCacheDirectory("hashes"), `${createHash("sha256").update(folder).digest("hex").slice(0, 20)}.json`);
}

/** It only saves time: what cannot be read is as if there were nothing. */
function recall(path: string): Memory {
  try {
    return readJsonFile(path, memorySchema, "hashes of files", { maximumBytes: 2 ** 29 });
  } catch (error) {
    if (error instanceof UserError) return {};
    throw error;
  }
}
