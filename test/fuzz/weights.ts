/** Formats of weights: safetensors and PyTorch's archives. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  isTorchScript,
  readSafetensors,
  readTorchArchive,
  stateDictOf,
  streamSafetensors,
} from "../../src/io/index.ts";
import { disposeTree, UserError } from "../../src/torch/index.ts";
import { op, torchZip, zipOf } from "../support/archive-writer.ts";
import { unpackedFixtures } from "../support/unpacked.ts";
import { interesting, mutateBytes } from "./bytes.ts";
import { contentOf, type Format } from "./format.ts";
import { mutateJson } from "./json.ts";
import { mutatePickle } from "./pickle.ts";
import type { Random } from "./random.ts";

const fixtures = fileURLToPath(new URL("../fixtures/", import.meta.url));

// ---- safetensors

const safetensorsName = "weights.safetensors";

function safetensors(header: string, data: Buffer, length: bigint = BigInt(Buffer.byteLength(header))): Buffer {
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt.asUintN(64, length));
  return Buffer.concat([size, Buffer.from(header), data]);
}

/** A safetensors file whose header is changed. */
export function mutateHeader(random: Random, bytes: Buffer): Buffer {
  const length = bytes.length < 8 ? 0 : Number(bytes.readBigUInt64LE());
  const header = mutateJson(random, bytes.subarray(8, 8 + length).toString());
  const data = bytes.subarray(8 + length);
  return random.chance(0.05) ? safetensors(header, data, random.pick(interesting)) : safetensors(header, data);
}

/** True when a reader accepts a file; it may refuse it only with an error for users. */
async function accepts(read: () => void | Promise<void>): Promise<boolean> {
  try {
    await read();
    return true;
  } catch (error) {
    if (error instanceof UserError) return false;
    throw error;
  }
}

function mapAll(path: string): void {
  const { tensors } = readSafetensors(path);
  for (const tensor of tensors.values()) tensor.toBytes();
  disposeTree(tensors);
}

async function streamAll(path: string): Promise<void> {
  for (const lazy of (await streamSafetensors(path)).tensors.values()) (await lazy.read()).dispose();
}

export const safetensorsFormat: Format = {
  name: "safetensors",
  seeds: () => {
    const entry = (dtype: string, shape: number[], data_offsets: number[]) => ({ dtype, shape, data_offsets });
    const header = {
      __metadata__: { format: "pt" },
      "a.weight": entry("F32", [2, 3], [0, 24]),
      b: entry("I64", [], [24, 32]),
      flags: entry("BOOL", [3], [32, 35]),
      none: entry("F16", [0, 4], [35, 35]),
    };
    const files = [
      readFileSync(`${fixtures}types.safetensors`),
      safetensors(JSON.stringify(header), Buffer.alloc(35, 1)),
      safetensors("{}      ", Buffer.alloc(0)),
    ];
    return files.map((bytes) => new Map([[safetensorsName, bytes]]));
  },
  mutate: (random, files, other) => {
    let bytes = contentOf(files, safetensorsName);
    for (let i = random.int(3); i >= 0; i--) {
      bytes = random.chance(0.6)
        ? mutateHeader(random, bytes)
        : mutateBytes(random, bytes, contentOf(other, safetensorsName));
    }
    return new Map([[safetensorsName, bytes]]);
  },
  open: async (path) => {
    const mapped = await accepts(() => mapAll(path));
    const streamed = await accepts(() => streamAll(path));
    if (mapped !== streamed) throw new Error(`mapping accepts it: ${mapped}; streaming accepts it: ${streamed}`);
    if (!mapped) mapAll(path);
  },
};

// ---- PyTorch

const archiveName = "weights.pth";
const directorySignature = 0x02014b50;

interface Part {
  name: string;
  content: Buffer;
}

/** The stored entries of a sound archive, by its directory. */
function partsOf(zip: Buffer): Part[] {
  const parts: Part[] = [];
  let at = zip.readUInt32LE(zip.length - 6);
  while (at + 46 <= zip.length && zip.readUInt32LE(at) === directorySignature) {
    const [size, nameLength, extra, comment] = [
      zip.readUInt32LE(at + 20),
      ...[28, 30, 32].map((i) => zip.readUInt16LE(at + i)),
    ];
    const name = zip.toString("utf8", at + 46, at + 46 + (nameLength ?? 0));
    const local = zip.readUInt32LE(at + 42);
    const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
    parts.push({ name, content: zip.subarray(start, start + (size ?? 0)) });
    at += 46 + (nameLength ?? 0) + (extra ?? 0) + (comment ?? 0);
  }
  return parts;
}

function isZip(bytes: Buffer): boolean {
  return bytes.length > 50 && bytes.readUInt32LE(0) === 0x04034b50 && bytes.readUInt16LE(8) === 0;
}

/** The archive with one entry changed, left out, doubled, renamed or lied about. */
function mutateParts(random: Random, parts: Part[]): Buffer {
  const at = random.int(parts.length);
  const part = parts[at] as Part;
  const number = () => Number(random.pick(interesting) & 0xffffffffn);
  const lie = random.pick(["method", "flags", "crc", "size", "compressedSize", "offset", "localMethod"]);
  const bits16 = /method|flags/i.test(lie) ? 0xffff : 0xffffffff;
  const lies = random.chance(0.15) ? { [lie]: number() % (bits16 + 1) } : {};
  const name = random.pick(["a/data.pkl", "../x", "/x", "a/data/0", "a/byteorder", "data.pkl", "a/code/x.py", ""]);
  const changed = random.pick<() => (Part & { deflate?: boolean })[]>([
    () => parts.with(at, { ...part, content: mutateBytes(random, part.content, part.content) }),
    () => parts.with(at, { ...part, name }),
    () => parts.toSpliced(at, 1),
    () => [...parts, part],
    () => parts.map((each) => ({ ...each, deflate: true })),
    () => [...parts, { name, content: part.content }],
  ])();
  const count = random.chance(0.05) ? { count: number() & 0xffff } : {};
  const offset = random.chance(0.05) ? { directoryOffset: number() } : {};
  const wide = random.chance(0.1)
    ? { zip64: random.chance(0.5) ? (true as const) : random.pick(interesting) & (2n ** 64n - 1n) }
    : {};
  return zipOf(
    changed.map((each, i) => (i === at ? { ...each, lies } : each)),
    { ...count, ...offset, ...wide },
  );
}

function mutateArchive(random: Random, bytes: Buffer): Buffer {
  const parts = partsOf(bytes);
  if (parts.length === 0) return mutateBytes(random, bytes, bytes);
  if (random.chance(0.3)) return mutateParts(random, parts);
  return zipOf(
    parts.map((part) =>
      part.name.endsWith("data.pkl") ? { ...part, content: mutatePickle(random, part.content) } : part,
    ),
  );
}

function mutateTorch(random: Random, bytes: Buffer, other: Buffer): Buffer {
  if (random.chance(0.25)) return mutateBytes(random, bytes, other);
  return isZip(bytes) ? mutateArchive(random, bytes) : mutatePickle(random, bytes);
}

/** Views may repeat their storage; no more than this is read of one file. */
const maximumRead = 1 << 26;

export const torchFormat: Format = {
  name: "torch",
  seeds: () => {
    const folder = unpackedFixtures("torch-archive");
    const files: Buffer[] = readdirSync(folder)
      .filter((name) => /\.(pth|pt)$/.test(name))
      .map((name) => readFileSync(join(folder, name)));
    files.push(torchZip(op.pickle(op.dict({ a: op.tensor([2, 2], [1, 2]) }))));
    return files.map((bytes) => new Map([[archiveName, bytes]]));
  },
  mutate: (random, files, other) =>
    new Map([[archiveName, mutateTorch(random, contentOf(files, archiveName), contentOf(other, archiveName))]]),
  open: async (path) => {
    await isTorchScript(path);
    const archive = await readTorchArchive(path);
    let left = maximumRead;
    for (const lazy of archive.tensors.values()) {
      left -= lazy.byteLength;
      if (left < 0) break;
      (await lazy.read()).dispose();
    }
    stateDictOf(archive);
  },
};
