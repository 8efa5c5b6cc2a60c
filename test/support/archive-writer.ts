/** Writes zip archives and pickles byte by byte, right or wrong as a test asks. */
import { crc32, deflateRawSync } from "node:zlib";

export interface ZipPart {
  name: string;
  content: Buffer;
  deflate?: boolean;
  /** False values in the headers. */
  lies?: Partial<Record<"method" | "flags" | "crc" | "size" | "compressedSize" | "offset" | "localMethod", number>> & {
    localName?: string;
    /** Sizes and offset stand in the zip64 field of the directory. */
    zip64?: boolean;
  };
}

export interface ZipLies {
  count?: number;
  directoryOffset?: number;
  comment?: Buffer;
  /** Ends with zip64 records as torch writes them; a number is the offset that they give for the directory. */
  zip64?: true | bigint;
}

/** A zip archive. */
export function zipOf(parts: readonly ZipPart[], lies: ZipLies = {}): Buffer {
  const bodies: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const part of parts) {
    const { local, central } = headers(part, offset);
    bodies.push(local);
    directory.push(central);
    offset += local.length;
  }
  const size = directory.reduce((total, entry) => total + entry.length, 0);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(lies.count ?? parts.length, 8);
  end.writeUInt16LE(lies.count ?? parts.length, 10);
  end.writeUInt32LE(size, 12);
  end.writeUInt32LE(lies.directoryOffset ?? offset, 16);
  end.writeUInt16LE(lies.comment?.length ?? 0, 20);
  const wide = lies.zip64 === undefined ? [] : zip64End(parts.length, size, offset, lies.zip64);
  return Buffer.concat([...bodies, ...directory, ...wide, end, lies.comment ?? Buffer.alloc(0)]);
}

function headers({ name, content, deflate, lies = {} }: ZipPart, offset: number): { local: Buffer; central: Buffer } {
  const data = deflate ? deflateRawSync(content) : content;
  const method = lies.method ?? (deflate ? 8 : 0);
  const crc = lies.crc ?? crc32(content);
  const sizes = [lies.compressedSize ?? data.length, lies.size ?? content.length];
  const localName = Buffer.from(lies.localName ?? name);
  const local = Buffer.alloc(30);
  local.writeUInt32LE(0x04034b50, 0);
  local.writeUInt16LE(0x800 | (lies.flags ?? 0), 6);
  local.writeUInt16LE(lies.localMethod ?? method, 8);
  local.writeUInt32LE(crc, 14);
  local.writeUInt16LE(localName.length, 26);
  const central = Buffer.alloc(46);
  central.writeUInt32LE(0x02014b50, 0);
  central.writeUInt16LE(0x800 | (lies.flags ?? 0), 8);
  central.writeUInt16LE(method, 10);
  central.writeUInt32LE(crc, 16);
  central.writeUInt16LE(Buffer.byteLength(name), 28);
  const wide = [sizes[1] ?? 0, sizes[0] ?? 0, lies.offset ?? offset];
  const extra = lies.zip64 ? zip64Field(wide) : Buffer.alloc(0);
  central.writeUInt16LE(extra.length, 30);
  for (const [i, at] of [24, 20, 42].entries()) central.writeUInt32LE(lies.zip64 ? 0xffffffff : (wide[i] ?? 0), at);
  return {
    local: Buffer.concat([local, localName, data]),
    central: Buffer.concat([central, Buffer.from(name), extra]),
  };
}

function zip64Field(values: readonly number[]): Buffer {
  const field = Buffer.alloc(4 + 8 * values.length);
  field.writeUInt16LE(1, 0);
  field.writeUInt16LE(8 * values.length, 2);
  for (const [i, value] of values.entries()) field.writeBigUInt64LE(BigInt(value), 4 + 8 * i);
  return field;
}

function zip64End(count: number, size: number, offset: number, lie: true | bigint): Buffer[] {
  const record = Buffer.alloc(56);
  record.writeUInt32LE(0x06064b50, 0);
  record.writeBigUInt64LE(44n, 4);
  record.writeBigUInt64LE(BigInt(count), 24);
  record.writeBigUInt64LE(BigInt(count), 32);
  record.writeBigUInt64LE(BigInt(size), 40);
  record.writeBigUInt64LE(lie === true ? BigInt(offset) : lie, 48);
  const locator = Buffer.alloc(20);
  locator.writeUInt32LE(0x07064b50, 0);
  locator.writeBigUInt64LE(BigInt(offset + size), 8);
  locator.writeUInt32LE(1, 16);
  return [record, locator];
}

function join(...parts: (Buffer | string)[]): Buffer {
  return Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part, "latin1") : part)));
}

/** Bytes after a little-endian length of `width` bytes. */
function sized(
  code: number | string,
  width: 1 | 4 | 8,
  content: Buffer,
  length: number | bigint = content.length,
): Buffer {
  const head = Buffer.alloc(1 + width);
  head[0] = typeof code === "string" ? code.charCodeAt(0) : code;
  if (width === 8) head.writeBigUInt64LE(BigInt(length), 1);
  else head.writeUIntLE(Number(length), 1, width);
  return Buffer.concat([head, content]);
}

function text(value: string): Buffer {
  return sized("X", 4, Buffer.from(value));
}

function int(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(9);
  bytes.writeBigInt64LE(BigInt(value));
  return sized(0x8a, 1, bytes);
}

function global(module: string, name: string): Buffer {
  return Buffer.from(`c${module}\n${name}\n`);
}

function tuple(...items: Buffer[]): Buffer {
  return join("(", ...items, "t");
}

function ints(values: readonly (number | bigint)[]): Buffer {
  return tuple(...values.map(int));
}

function call(module: string, name: string, ...args: Buffer[]): Buffer {
  return join(global(module, name), tuple(...args), "R");
}

function dict(items: Record<string, Buffer>): Buffer {
  return join("}(", ...Object.entries(items).flatMap(([key, value]) => [text(key), value]), "u");
}

function storage(key = "0", count: number | bigint = 4, type = "FloatStorage"): Buffer {
  return join(tuple(text("storage"), global("torch", type), text(key), text("cpu"), int(count)), "Q");
}

function tensor(
  shape: readonly (number | bigint)[],
  stride: readonly (number | bigint)[],
  view: { offset?: number | bigint; storage?: Buffer } = {},
): Buffer {
  const place = [view.storage ?? storage(), int(view.offset ?? 0), ints(shape), ints(stride)];
  return call("torch._utils", "_rebuild_tensor_v2", ...place, Buffer.from([0x89]), Buffer.from("N"));
}

/** A whole pickle. */
function pickle(value: Buffer | string): Buffer {
  return join("\x80\x02", value, ".");
}

/** Instructions of Python's pickle, to be joined. */
export const op = { join, sized, text, int, global, tuple, ints, call, dict, storage, tensor, pickle };

/** An archive of torch.save with this pickle and these storages. */
export function torchZip(pickle: Buffer, storages: Record<string, Buffer> = { 0: Buffer.alloc(16) }): Buffer {
  return zipOf(torchParts(pickle, storages));
}

export function torchParts(pickle: Buffer, storages: Record<string, Buffer> = { 0: Buffer.alloc(16) }): ZipPart[] {
  const data = Object.entries(storages).map(([key, content]) => ({ name: `a/data/${key}`, content }));
  return [{ name: "a/data.pkl", content: pickle }, { name: "a/byteorder", content: Buffer.from("little") }, ...data];
}

/** A file of torch.save before PyTorch 1.6. */
export function torchLegacy(content: Buffer, keys: readonly string[], storages: Buffer): Buffer {
  const number = op.sized(0x8a, 1, Buffer.from("6cfc9c46f9206aa85019", "hex"));
  const machine = op.dict({ little_endian: Buffer.from([0x88]) });
  return Buffer.concat([
    op.pickle(number),
    op.pickle(op.join("M", Buffer.from([0xe9, 0x03]))),
    op.pickle(machine),
    op.pickle(content),
    op.pickle(op.join("](", ...keys.map(op.text), "e")),
    storages,
  ]);
}

/** A raw storage as the old format ends with: the number of elements, then the elements. */
export function legacyStorage(content: Buffer, count: number | bigint): Buffer {
  const size = Buffer.alloc(8);
  size.writeBigInt64LE(BigInt(count));
  return Buffer.concat([size, content]);
}
