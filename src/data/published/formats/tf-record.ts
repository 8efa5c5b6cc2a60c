/**
 * TFRecord files and the tf.Example messages in them (TensorFlow's example.proto). A record is its length in 8 bytes, least
 * byte first, the length's checksum in 4, its bytes, and their checksum in 4.
 */
import { open } from "node:fs/promises";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { reasonOf } from "../../../io/index.ts";
import { UserError } from "../../../torch/index.ts";

export interface TfRecord {
  /** From 0. */
  number: number;
  /** Offset of its bytes in the file. */
  offset: number;
  /** Valid until the next record is asked for. */
  bytes: Uint8Array;
}

/** Content of a feature; floats are left out. */
export interface Feature {
  /** Place of each byte string in the message. */
  bytes: { begin: number; end: number }[];
  integers: number[];
}

/** Far above any image. */
const maximumRecord = 1 << 28;
const lengthBytes = 8;
const checksumBytes = 4;

/**
 * The records of a file, one in memory at a time.
 * @throws UserError naming the file and the record when it ends too early or a checksum does not fit
 */
export async function* tfRecords(path: string): AsyncGenerator<TfRecord> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    const head = Buffer.alloc(lengthBytes + checksumBytes);
    for (let number = 0, at = 0; at < size; number++) {
      const fail = (what: string): never => {
        throw new UserError(`${path}: record ${number} ${what}: the file is damaged or no TFRecord file, get it again`);
      };
      if (at + head.length > size) fail("ends too early");
      await file.read(head, 0, head.length, at);
      if (maskedChecksum(head.subarray(0, lengthBytes)) !== head.readUInt32LE(lengthBytes)) fail("has a wrong length");
      const length = Number(head.readBigUInt64LE());
      const offset = at + head.length;
      if (length > maximumRecord) fail(`has ${length} bytes`);
      if (offset + length + checksumBytes > size) fail("ends too early");
      const body = Buffer.alloc(length + checksumBytes);
      await file.read(body, 0, body.length, offset);
      const bytes = body.subarray(0, length);
      if (maskedChecksum(bytes) !== body.readUInt32LE(length)) fail("has a wrong checksum");
      yield { number, offset, bytes };
      at = offset + length + checksumBytes;
    }
  } finally {
    await file.close();
  }
}

/**
 * The features of a tf.Example by name.
 * @throws UserError naming the file and the record when it is none
 */
export function parseExample(bytes: Uint8Array, path: string, where: string): Map<string, Feature> {
  const features = new Map<string, Feature>();
  try {
    // Example.features, Features.feature (a map of name and value).
    eachField(new BinaryReader(bytes), bytes.length, { 1: (reader, end) => featureMap(reader, end, bytes, features) });
  } catch (error) {
    throw new UserError(`${path}: ${where} is no tf.Example (${reasonOf(error)}): is it another file?`);
  }
  return features;
}

/** Handler of a field's content, which ends before `end`; other fields are passed over. */
type Fields = Record<number, (reader: BinaryReader, end: number) => void>;

function eachField(reader: BinaryReader, end: number, fields: Fields): void {
  while (reader.pos < end) {
    const [number, type] = reader.tag();
    const field = fields[number];
    if (!field || type !== WireType.LengthDelimited) {
      reader.skip(type, number);
      continue;
    }
    const length = reader.uint32();
    const fieldEnd = reader.pos + length;
    if (fieldEnd > end) throw new RangeError("a field is longer than its message");
    field(reader, fieldEnd);
    if (reader.pos !== fieldEnd) throw new RangeError("a field is longer or shorter than it says");
  }
}

function featureMap(reader: BinaryReader, end: number, bytes: Uint8Array, features: Map<string, Feature>): void {
  eachField(reader, end, {
    1: (entry, entryEnd) => {
      let name = "";
      const feature: Feature = { bytes: [], integers: [] };
      eachField(entry, entryEnd, {
        1: (key, keyEnd) => {
          name = Buffer.from(bytes.subarray(key.pos, keyEnd)).toString("utf8");
          key.pos = keyEnd;
        },
        // BytesList is 1 and Int64List is 3.
        2: (value, valueEnd) => eachField(value, valueEnd, { 1: bytesInto(feature), 3: integersInto(feature) }),
      });
      features.set(name, feature);
    },
  });
}

function bytesInto(feature: Feature): Fields[number] {
  return (list, listEnd) =>
    eachField(list, listEnd, {
      1: (reader, end) => {
        feature.bytes.push({ begin: reader.pos, end });
        reader.pos = end;
      },
    });
}

/** Packed or one by one: both are valid. */
function integersInto(feature: Feature): Fields[number] {
  return (reader, end) => {
    while (reader.pos < end) {
      const [number, type] = reader.tag();
      if (number !== 1) reader.skip(type, number);
      else if (type === WireType.Varint) feature.integers.push(Number(reader.int64()));
      else {
        const length = reader.uint32();
        const packedEnd = reader.pos + length;
        if (packedEnd > end) throw new RangeError("a field is longer than its message");
        while (reader.pos < packedEnd) feature.integers.push(Number(reader.int64()));
      }
    }
  };
}

/** CRC-32C (Castagnoli): the polynomial 0x1EDC6F41, reflected. */
const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value >>> 0;
});

export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) {
    crc = (table[(crc ^ (bytes[i] as number)) & 0xff] as number) ^ (crc >>> 8);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** Turned by 15 bits and shifted by a constant, as TFRecord stores checksums. */
function maskedChecksum(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
