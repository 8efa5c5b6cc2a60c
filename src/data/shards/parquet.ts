/**
 * Parquet files of images as Hugging Face writes them: a column {bytes, path}, labels as texts or as numbers of a ClassLabel,
 * whose names are in the file's "huggingface" metadata. They are read by row group; the images of each lie in the cache then.
 */
import { createHash } from "node:crypto";
import { basename } from "node:path";
import { setImmediate as eventLoopTurn } from "node:timers/promises";
import {
  type AsyncBuffer,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
} from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { z } from "zod";
import { quoted, reasonOf } from "../../io/index.ts";
import { UserError } from "../../torch/index.ts";
import { hotPlaces, labelColumns } from "../label-columns.ts";
import { columns, textOf } from "../labelled-list.ts";
import { IgnoredFiles } from "../scan-folder.ts";
import type { Bytes, TaskKind } from "../types.ts";
import { type ShardFormat, type ShardImage, shardFolder, shardKey } from "./index-file.ts";
import { Segment } from "./segments.ts";

/** Most bytes of a row group's images, which are in memory together. */
const maximumGroup = 2 ** 30;

const withoutBytes = "without the bytes of an image";

export const parquet: ShardFormat = {
  async index(shard, asked, onStep) {
    const table = await Table.open(shard, asked);
    const ignored = new IgnoredFiles("row");
    const images: ShardImage[] = [];
    for (let number = 0; number < table.groups; number++) {
      onStep(number / table.groups);
      const { bytes, rows } = packed(await table.rows(number));
      await segmentOf(shard, number).keep(bytes);
      for (const { reason, image, row } of rows) {
        if (image) images.push({ ...image, part: number });
        else ignored.add(reason ?? "", [basename(shard.name), `row ${row}`]);
      }
    }
    return {
      about: shard.name,
      images,
      ignored: ignored.list,
      labels: `the ${table.labels.length === 1 ? "column" : "columns"} ${table.labels.map(quoted).join(", ")}`,
    };
  },
  part(shard, number) {
    const segment = segmentOf(shard, number);
    return {
      name: shard.name,
      size: shard.size,
      version: `${shard.version} ${number}`,
      read: (offset, length) => segment.read(offset, length),
    };
  },
};

const tables = new WeakMap<Bytes, Promise<Table>>();

/** Once for all its row groups. */
function opened(shard: Bytes): Promise<Table> {
  const table = tables.get(shard) ?? Table.open(shard);
  tables.set(shard, table);
  return table;
}

function segmentOf(shard: Bytes, number: number): Segment {
  return new Segment(shardFolder(), `${shardKey(shard)}.${number}.bin`, async () => {
    const table = await opened(shard);
    return packed(await table.rows(number)).bytes;
  });
}

interface Row {
  /** Number in the file. */
  row: number;
  bytes: Uint8Array | undefined;
  /** Undefined where a cell is empty. */
  label: ShardImage["label"] | undefined;
  split: string;
  group: string;
}

interface PackedRow {
  row: number;
  image?: Omit<ShardImage, "part">;
  /** Why it is no image. */
  reason?: string;
}

/** The images of rows one after the other. */
function packed(rows: readonly Row[]): { bytes: Buffer; rows: PackedRow[] } {
  let offset = 0;
  const kept: Uint8Array[] = [];
  const result = rows.map(({ row, bytes, label, split, group }): PackedRow => {
    if (!bytes) return { row, reason: withoutBytes };
    // Whatever its label: a segment is made again without knowing which columns were asked for.
    const start = offset;
    kept.push(bytes);
    offset += bytes.length;
    if (!label) return { row, reason: "without a label" };
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const image = { key: String(row), offset: start, length: bytes.length, sha256, label };
    return { row, image: { ...image, ...(split && { split }), ...(group && { group }) } };
  });
  return { bytes: Buffer.concat(kept), rows: result };
}

/** A ClassLabel's names are in it, or one level below where there are several labels: {feature}, in older files [feature]. */
const featureSchema = z.preprocess(
  (value) => (Array.isArray(value) ? { feature: value[0] } : value),
  z.looseObject({
    _type: z.string().optional(),
    names: z.array(z.string()).optional(),
    feature: z.looseObject({ names: z.array(z.string()).optional() }).optional(),
  }),
);
const metadataSchema = z.object({ info: z.object({ features: z.record(z.string(), z.unknown()) }) });
type Features = Readonly<Record<string, z.infer<typeof featureSchema>>>;

class Table {
  /** Columns with labels, and what they are. */
  readonly labels: readonly string[];
  readonly #kind: TaskKind;
  readonly #shard: Bytes;
  readonly #file: AsyncBuffer;
  readonly #metadata: FileMetaData;
  readonly #image: string;
  readonly #features: Features;
  readonly #columns: readonly string[];

  private constructor(shard: Bytes, file: AsyncBuffer, metadata: FileMetaData, asked: TaskKind | undefined) {
    const features = featuresOf(metadata);
    this.#features = features;
    this.#shard = shard;
    this.#file = file;
    this.#metadata = metadata;
    this.#columns = parquetSchema(metadata).children.map(({ element }) => element.name);
    this.#image = this.#imageColumn(features);
    const { kind, names } = this.#labelColumns(features, asked);
    this.#kind = kind;
    this.labels = names;
  }

  /** @throws UserError when it is damaged, or has no columns with images and labels */
  static async open(shard: Bytes, asked?: TaskKind): Promise<Table> {
    const read = async (start: number, end: number): Promise<ArrayBuffer> => {
      if (!(start >= 0 && start <= end && end <= shard.size)) throw new RangeError("a part lies outside of the file");
      return arrayOf(await shard.read(start, end - start));
    };
    const file: AsyncBuffer = {
      byteLength: shard.size,
      slice: (start, end = shard.size) => read(start, end),
    };
    return readable(shard, async () => new Table(shard, file, await parquetMetadataAsync(file), asked));
  }

  get groups(): number {
    return this.#metadata.row_groups.length;
  }

  /** The rows of a row group. */
  async rows(number: number): Promise<Row[]> {
    const group = this.#metadata.row_groups[number];
    if (!group) throw new RangeError(`no row group ${number}`);
    const first = this.#metadata.row_groups.slice(0, number).reduce((sum, { num_rows }) => sum + Number(num_rows), 0);
    const named = (all: readonly string[]) => this.#columns.find((name) => all.includes(name.toLowerCase()));
    const [split, own] = [named(columns.split), named(columns.group)];
    const wanted = [this.#image, ...this.labels, split, own].filter((name) => name !== undefined);
    const rows = await readable(this.#shard, () => {
      this.#refuseLarge(group);
      return whileWanted(this.#file, (file) =>
        parquetReadObjects({
          file,
          // Alone, since each call looks at all that there are.
          metadata: { ...this.#metadata, row_groups: [group] },
          columns: [...new Set(wanted)],
          compressors,
          utf8: false,
        }),
      );
    });
    return rows.map((row, i): Row => {
      const where = `${this.#shard.name}, row ${first + i}`;
      const cell = (name: string | undefined, column: "split" | "group") =>
        name === undefined ? "" : textOf(where, column, row[name]);
      const label = this.#labelOf(where, row);
      const bytes = bytesOf(row[this.#image]);
      return { row: first + i, bytes, label, split: cell(split, "split"), group: cell(own, "group") };
    });
  }

  #imageColumn(features: Features): string {
    const { children } = parquetSchema(this.#metadata);
    const holdsBytes = children.filter(({ element, children: inner }) => {
      const bytes = inner.find((child) => child.element.name === "bytes")?.element;
      return isBinary(inner.length > 0 ? bytes : element);
    });
    const names = holdsBytes.map(({ element }) => element.name);
    const found =
      names.find((name) => features[name]?._type === "Image") ??
      names.find((name) => [...columns.path, "bytes", "image_bytes", "jpg", "png"].includes(name.toLowerCase())) ??
      (names.length === 1 ? names[0] : undefined);
    if (found !== undefined) return found;
    throw new UserError(
      `${this.#shard.name} has no column with image bytes ({bytes, path} as Hugging Face writes them, or binary): its columns ` +
        `are ${this.#columns.map(quoted).join(", ")}; paths and labels of files can be given as a CSV`,
    );
  }

  #labelColumns(features: Features, asked: TaskKind | undefined): { kind: TaskKind; names: string[] } {
    const found = labelColumns(this.#columns, asked);
    const names = (found?.at ?? []).map((at) => this.#columns[at] ?? "");
    const isClass = (name: string) => features[name]?._type === "ClassLabel";
    const [only] = names;
    if (found && only !== undefined) {
      // A column "labels" with a single one each.
      const isSingle = asked === undefined && names.length === 1 && isClass(only);
      return { kind: isSingle ? "classification" : found.kind, names };
    }
    const other = this.#columns.find(isClass);
    if (other !== undefined) return { kind: asked ?? "classification", names: [other] };
    const several = this.#columns.find((name) => features[name]?.feature?.names);
    if (several !== undefined) return { kind: asked ?? "multi-label", names: [several] };
    throw new UserError(
      `${this.#shard.name} has no column with labels (label, class, labels, value, ...): its columns are ` +
        this.#columns.map(quoted).join(", "),
    );
  }

  #labelOf(where: string, row: Readonly<Record<string, unknown>>): ShardImage["label"] | undefined {
    const cells = this.labels.map((name): [string, string | string[]] => [name, this.#cellOf(where, name, row[name])]);
    const isEmpty = cells.some(([, cell]) => cell === "");
    return isEmpty ? undefined : { kind: this.#kind, cells };
  }

  /** "" for none: -1 stands for labels that are kept secret. */
  #cellOf(where: string, column: string, value: unknown): string | string[] {
    const feature = this.#features[column];
    const names = feature?.names ?? feature?.feature?.names;
    const named = (one: unknown): string => {
      const text = textOf(where, column, one instanceof Uint8Array ? Buffer.from(one).toString("utf8") : one);
      if (!names || text === "") return text;
      if (text === "-1") return "";
      const name = names[Number(text)];
      if (name !== undefined) return name;
      throw new UserError(`${where}: the label ${text} has no name: there are ${names.length}`);
    };
    if (!Array.isArray(value)) return named(value);
    const ones = names && hotPlaces(value.map(String), names.length);
    return ones ? ones.map((place) => names[place] ?? "") : value.map(named);
  }

  #refuseLarge({ columns: chunks }: FileMetaData["row_groups"][number]): void {
    const own = chunks.filter(({ meta_data }) => meta_data?.path_in_schema[0] === this.#image);
    const bytes = own.reduce((sum, { meta_data }) => sum + Number(meta_data?.total_uncompressed_size ?? 0), 0);
    if (bytes <= maximumGroup) return;
    throw new UserError(
      `${this.#shard.name} has ${Math.round(bytes / 1e6)} MB of images in one row group, which is read at once: ` +
        "write it with smaller ones (row_group_size=100)",
    );
  }
}

const isBinary = (element: { type?: string | undefined; converted_type?: string | undefined } | undefined): boolean =>
  element?.type === "BYTE_ARRAY" && element.converted_type !== "UTF8";

function arrayOf({ buffer, byteOffset, byteLength }: Buffer): ArrayBuffer {
  const isWhole = byteOffset === 0 && byteLength === buffer.byteLength;
  return (isWhole ? buffer : buffer.slice(byteOffset, byteOffset + byteLength)) as ArrayBuffer;
}

function bytesOf(cell: unknown): Uint8Array | undefined {
  const bytes = cell instanceof Uint8Array ? cell : (cell as { bytes?: unknown } | null | undefined)?.bytes;
  return bytes instanceof Uint8Array && bytes.length > 0 ? bytes : undefined;
}

/** Features by column, as the library `datasets` describes them. */
function featuresOf({ key_value_metadata: entries = [] }: FileMetaData): Features {
  const text = entries.find(({ key }) => key === "huggingface")?.value;
  try {
    const { features } = metadataSchema.parse(JSON.parse(text ?? "")).info;
    return Object.fromEntries(
      Object.entries(features).flatMap(([name, value]) => {
        const feature = featureSchema.safeParse(value);
        return feature.success ? [[name, feature.data]] : [];
      }),
    );
  } catch {
    return {};
  }
}

/**
 * Reads a file whose parts are asked for ahead. Where the reader gives up, nobody waits for the others: they stay unsettled, since what
 * came of them could only fail without a handler.
 */
async function whileWanted<T>(file: AsyncBuffer, read: (file: AsyncBuffer) => Promise<T>): Promise<T> {
  let isWanted = true;
  const asked: unknown[] = [];
  const partOf = async (start: number, end?: number): Promise<ArrayBuffer> => {
    const [own, turn] = [file.slice(start, end), eventLoopTurn()];
    asked.push(own);
    const [part] = await Promise.allSettled([own, turn]);
    if (!isWanted) return new Promise(() => {});
    if (part.status === "rejected") throw part.reason;
    return part.value;
  };
  const slice: AsyncBuffer["slice"] = (start, end) => {
    const part = partOf(start, end);
    // A part that nobody has come to yet may fail.
    part.catch(() => {});
    return part;
  };
  try {
    return await read({ ...file, slice });
  } finally {
    isWanted = false;
    // Their files are open until they come.
    await Promise.allSettled(asked);
  }
}

async function readable<T>({ name }: Bytes, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${name} cannot be read as Parquet: ${reasonOf(error)}`, { cause: error });
  }
}
