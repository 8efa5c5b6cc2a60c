/**
 * Shards elsewhere, of addresses and of repositories of data on the Hugging Face Hub, where the user names one. They are read
 * in parts: blocks of tars, and the row groups of Parquet files, lie in the cache as long as it has room.
 */
import { basename } from "node:path";
import { datasetFiles, openRemote, parseDataset, type RangeOptions } from "../../fetch/index.ts";
import { listed } from "../../io/index.ts";
import { UserError } from "../../torch/index.ts";
import { splitNamed } from "../split-names.ts";
import type { Bytes } from "../types.ts";
import { shardEnding } from "./ending.ts";
import { shardFolder, shardKey } from "./index-file.ts";
import { expanded } from "./pattern.ts";
import { Segment } from "./segments.ts";
import type { ShardPlace } from "./shard-set.ts";

/**
 * The shards that an address or hf:datasets/owner/name names; undefined for what is neither.
 * @throws UserError when it has none, or the Hub cannot be asked
 */
export async function remoteShards(source: string, options: RangeOptions): Promise<ShardPlace[] | undefined> {
  if (/^hf:/i.test(source)) return hubShards(source, options);
  if (!/^https?:\/\//i.test(source)) return undefined;
  return expanded(source).map((address) => {
    if (!URL.canParse(address)) throw new UserError(`${address} is not a valid address`);
    const { pathname } = new URL(address);
    if (!shardEnding.test(pathname)) {
      throw new UserError(`${address} is no address of images: it must end with .parquet or .tar`);
    }
    const name = decodeURIComponent(basename(pathname));
    return { name, open: async () => stored(name, await openRemote(address, options)) };
  });
}

async function hubShards(source: string, options: RangeOptions): Promise<ShardPlace[]> {
  const parsed = parseDataset(source);
  if (!parsed) throw new UserError(`${source} names a model: data are hf:datasets/owner/name`);
  const files = await datasetFiles(parsed, options);
  const shards = files.filter(({ path }) => shardEnding.test(path));
  if (shards.length === 0) {
    const converted = `hf:datasets/${parsed.repo}@refs/convert/parquet`;
    throw new UserError(
      `${source} has no Parquet files and no tars among its ${files.length} files: the Hub may have made some, try ${converted}`,
    );
  }
  refuseConfigurations(
    source,
    shards.map(({ path }) => path.slice(parsed.path ? parsed.path.length + 1 : 0)),
  );
  return shards
    .sort((a, b) => (a.path < b.path ? -1 : 1))
    .map(({ path, open }) => ({ name: path, open: async () => stored(path, await open()) }));
}

/** Folders at the top that are no splits are configurations, of other images or other labels. */
function refuseConfigurations(source: string, paths: readonly string[]): void {
  const tops = new Set(paths.flatMap((path) => (path.includes("/") ? [path.split("/")[0] ?? ""] : [])));
  const names = [...tops].filter((name) => splitNamed(name) === undefined);
  if (names.length < 2) return;
  const at = source.includes("@") || /^hf:datasets\/[^/]+\/[^/]+\//.test(source) ? source : `${source}@main`;
  throw new UserError(
    `${source} has several configurations (${listed(names)}): name one of them, as ${at}/${names[0]}`,
  );
}

const blockBytes = 8 << 20;

/** Parquet files are read once, by row group; of others each block is kept. */
function stored(name: string, file: Bytes): Bytes {
  return /\.parquet$/i.test(name) ? file : new Blocks(file);
}

class Blocks implements Bytes {
  readonly name: string;
  readonly size: number;
  readonly version: string;
  readonly #blocks: Segment[];

  constructor(file: Bytes) {
    this.name = file.name;
    this.size = file.size;
    this.version = file.version;
    const folder = shardFolder();
    const key = shardKey(file);
    this.#blocks = Array.from({ length: Math.ceil(file.size / blockBytes) }, (_, i) => {
      const length = Math.min(blockBytes, file.size - i * blockBytes);
      return new Segment(folder, `${key}.${i}.bin`, () => file.read(i * blockBytes, length));
    });
  }

  async read(offset: number, length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let at = offset; at < offset + length; ) {
      const block = Math.floor(at / blockBytes);
      const end = Math.min(offset + length, (block + 1) * blockBytes);
      const part = await this.#blocks[block]?.read(at - block * blockBytes, end - at);
      if (part?.length !== end - at) throw new RangeError("a part that is not there");
      parts.push(part);
      at = end;
    }
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
  }
}
