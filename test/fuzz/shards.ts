/** Formats of shards with images and labels: Parquet files and tars of WebDataset. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { decodeImage, openDataset, UnreadableImage } from "../../src/data/index.ts";
import { mutateBytes } from "./bytes.ts";
import { contentOf, type Files, type Format } from "./format.ts";
import type { Random } from "./random.ts";

/** Reads labels and all pixels, through a cache that goes with the case. Damaged images are refused one by one, by their names in the set. */
async function openShard(path: string): Promise<void> {
  const cache = join(dirname(path), "cache");
  process.env["HUB_PATHWAY_CACHE"] = cache;
  try {
    const { items } = await openDataset(path);
    for (const item of items) {
      await decodeImage(item, { size: 4, channels: 3, pixelLimit: 1e6 }).catch((error: unknown) => {
        if (!(error instanceof UnreadableImage)) throw error;
      });
    }
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
}

// ---- Parquet

const parquetName = "set.parquet";
const parquetFolder = new URL("../fixtures/parquet/", import.meta.url);

/** A part of a file changed: of the footer, which ends eight bytes before the file does, or of the pages. */
function mutateParquet(random: Random, bytes: Buffer, other: Buffer): Buffer {
  if (bytes.length < 16 || random.chance(0.3)) return mutateBytes(random, bytes, other);
  const start = Math.max(4, bytes.length - 8 - bytes.readUInt32LE(bytes.length - 8));
  const [footer, end] = [bytes.subarray(start, -8), Buffer.from(bytes.subarray(-8))];
  if (footer.length === 0) return mutateBytes(random, bytes, other);
  const changed = mutateBytes(random, footer, footer);
  // The right length lets readers into what is wrong.
  end.writeUInt32LE(changed.length);
  return Buffer.concat([bytes.subarray(0, start), changed, end]);
}

const parquetFormat: Format = {
  name: "parquet",
  seeds: () =>
    readdirSync(parquetFolder)
      .sort()
      .map((name) => new Map([[parquetName, readFileSync(new URL(name, parquetFolder))]])),
  mutate: (random, files, other) =>
    new Map([[parquetName, mutateParquet(random, contentOf(files, parquetName), contentOf(other, parquetName))]]),
  open: openShard,
};

// ---- tar

const tarName = "set-000.tar";
const block = 512;
const png = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC",
  "base64",
);

/** Where a header has its parts: name, size, kind, checksum, magic, prefix. */
const fields = [
  [0, 100],
  [124, 12],
  [156, 1],
  [148, 8],
  [257, 8],
  [345, 155],
] as const;

/** A header with one of its parts changed, its checksum right mostly. */
function mutateTar(random: Random, bytes: Buffer, other: Buffer): Buffer {
  const headers = Array.from({ length: Math.floor(bytes.length / block) }, (_, i) => i * block).filter(
    (at) => bytes.toString("latin1", at + 257, at + 262) === "ustar",
  );
  if (headers.length === 0 || random.chance(0.3)) return mutateBytes(random, bytes, other);
  const copy = Buffer.from(bytes);
  const at = random.pick(headers);
  const [start, length] = random.pick(fields);
  const field = copy.subarray(at + start, at + start + length);
  if (length === 12 && random.chance(0.5))
    field.write(
      random
        .int(2 ** 31)
        .toString(8)
        .padStart(11, "0"),
    );
  else if (length === 1) field[0] = random.pick([...Buffer.from("0123457xgLKS\0")]);
  else field.set(mutateBytes(random, field, field).subarray(0, length));
  if (random.chance(0.8)) writeChecksum(copy.subarray(at, at + block));
  return copy;
}

function writeChecksum(header: Buffer): void {
  header.fill(0x20, 148, 156);
  header.write(
    `${header
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, "0")}\0`,
    148,
  );
}

const tarFiles: Readonly<Record<string, string | Buffer>> = {
  "a/00.png": png,
  "a/00.cls": "1",
  "a/01.png": png,
  "a/01.json": '{"label": "fox", "labels": ["fox", "red"], "value": 2.5}',
  [`${"long/".repeat(30)}02.png`]: png,
  [`${"long/".repeat(30)}02.cls`]: "2",
};

/** The files as the system's program packs them, the same on every day. */
function tarOf(format: string): Files {
  const folder = mkdtempSync(join(tmpdir(), "hub-pathway-fuzz-seed-"));
  try {
    for (const [name, content] of Object.entries(tarFiles)) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), content);
    }
    const fixed = ["--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--pax-option=delete=atime,delete=ctime"];
    const packed = ["-cf", "-", "-C", folder, "--", ...Object.keys(tarFiles)];
    const own = format === "pax" ? fixed : fixed.slice(0, -1);
    return new Map([[tarName, execFileSync("tar", [`--format=${format}`, ...own, ...packed])]]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const tarFormat: Format = {
  name: "tar",
  seeds: () => ["gnu", "pax", "ustar"].map(tarOf),
  mutate: (random, files, other) =>
    new Map([[tarName, mutateTar(random, contentOf(files, tarName), contentOf(other, tarName))]]),
  open: openShard,
};

export const shardFormats: readonly Format[] = [parquetFormat, tarFormat];
