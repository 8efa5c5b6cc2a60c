/** Zip archives as torch.save writes them: the directory through yauzl, entries by their place in the file. */
import { promisify } from "node:util";
import zlib from "node:zlib";
import yauzl from "yauzl";
import { UserError } from "../../torch/index.ts";
import type { FileSource } from "../file-source.ts";
import { quoted, reasonOf } from "../quoted.ts";

export interface ZipEntry {
  readonly name: string;
  readonly size: number;
  readonly compressedSize: number;
  readonly method: number;
  /** 0 when the writer did not compute it. */
  readonly crc: number;
  /** Offset of the local header. */
  readonly offset: number;
  /** The name's bytes, as the local header must repeat them. */
  readonly rawName: Buffer;
}

const stored = 0;
const deflated = 8;
const localHeaderSize = 30;
const maximumEntries = 100_000;
/** Above this size an entry that shrank more than a hundredfold is taken for a bomb: weights do not. */
const suspiciousSize = 1 << 24;
const suspiciousRatio = 100;
/** Compressed entries are unpacked in one piece. */
const maximumInflated = 2 ** 31;

/** Tensors that view parts of one compressed entry unpack all of it each: so much in all, beside once for everything. */
const maximumRepeats = 2 ** 33;

const inflateRaw = promisify<Buffer, zlib.ZlibOptions, Buffer>(zlib.inflateRaw);

/** Absent from Node before 20.15: checksums are not compared there. */
const crc32 = zlib.crc32 as typeof zlib.crc32 | undefined;

/** yauzl's own reader would let positions outside the file reach Node, which throws where nothing can catch it. */
class BoundedReader extends yauzl.RandomAccessReader {
  readonly #source: FileSource;
  readonly #handle: Awaited<ReturnType<FileSource["open"]>>;

  constructor(source: FileSource, handle: Awaited<ReturnType<FileSource["open"]>>) {
    super();
    this.#source = source;
    this.#handle = handle;
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null, count?: number) => void,
  ): void {
    if (!Number.isSafeInteger(position) || position + length > this.#source.size) {
      process.nextTick(callback, new Error("its directory points outside the file"));
      return;
    }
    const done = this.#source.fill(this.#handle, buffer.subarray(offset, offset + length), position);
    // A throw inside yauzl's callback must not come back as a rejection that calls it again.
    done.then(
      () => process.nextTick(callback, null, length),
      (error: Error) => process.nextTick(callback, error),
    );
  }
}

export class ZipArchive {
  readonly source: FileSource;
  readonly entries: ReadonlyMap<string, ZipEntry>;
  /** Bytes that may still be unpacked. */
  #unpackable: number;

  constructor(source: FileSource, entries: ReadonlyMap<string, ZipEntry>) {
    this.source = source;
    this.entries = entries;
    this.#unpackable = Array.from(entries.values()).reduce((total, { size }) => total + size, maximumRepeats);
  }

  /**
   * Reads the directory.
   * @throws UserError for a directory that is damaged, or lists entries that are doubled, overlapping, encrypted or
   *   suspiciously compressed
   */
  static async open(source: FileSource): Promise<ZipArchive> {
    const handle = await source.open();
    try {
      const reader = new BoundedReader(source, handle);
      const zip = await yauzl.fromRandomAccessReaderPromise(reader, source.size, { autoClose: false });
      const entries = new Map<string, ZipEntry>();
      if (!(zip.entryCount <= maximumEntries)) throw new Error(`its directory claims ${zip.entryCount} entries`);
      for await (const entry of zip.eachEntry()) {
        if (entries.has(entry.fileName)) throw new Error(`it has two entries ${quoted(entry.fileName)}`);
        entries.set(entry.fileName, checked(entry));
      }
      checkPlaces([...entries.values()], source.size);
      return new ZipArchive(source, entries);
    } catch (error) {
      throw damaged(source, error);
    } finally {
      await handle.close();
    }
  }

  /**
   * Part of an entry's content in pieces; checked against the checksum when it is all of it.
   * @throws UserError when the entry is damaged
   */
  async *pieces(entry: ZipEntry, start: number, length: number): AsyncGenerator<Buffer> {
    if (entry.method === deflated) {
      const content = await this.#inflate(entry);
      yield content.subarray(start, start + length);
      return;
    }
    const whole = start === 0 && length === entry.size;
    const position = (await this.#contentStart(entry)) + start;
    let sum = 0;
    for await (const piece of this.source.pieces(position, length)) {
      if (whole && crc32) sum = crc32(piece, sum);
      yield piece;
    }
    if (whole) this.#checkSum(entry, sum);
  }

  /** An entry's whole content, which may have at most `limit` bytes. */
  async bytes(entry: ZipEntry, limit: number): Promise<Buffer> {
    if (entry.size > limit) {
      throw damaged(this.source, new Error(`its entry ${quoted(entry.name)} has ${entry.size} bytes, over ${limit}`));
    }
    if (entry.method === deflated) return this.#inflate(entry);
    const content = await this.source.bytes(await this.#contentStart(entry), entry.size);
    if (crc32) this.#checkSum(entry, crc32(content));
    return content;
  }

  async #inflate(entry: ZipEntry): Promise<Buffer> {
    this.#unpackable -= entry.size;
    if (entry.size > maximumInflated || this.#unpackable < 0) {
      throw new UserError(
        `${this.source.path}: its entry ${quoted(entry.name)} is compressed, and too large to unpack ` +
          `${entry.size > maximumInflated ? "at once" : "again and again"}; ` +
          "pack the archive again without compression (zip -0), as torch.save does",
      );
    }
    const packed = await this.source.bytes(await this.#contentStart(entry), entry.compressedSize);
    try {
      const content = await inflateRaw(packed, { maxOutputLength: Math.max(entry.size, 1) });
      if (content.length !== entry.size) {
        throw new Error(`its entry ${quoted(entry.name)} has ${content.length} bytes, not ${entry.size}`);
      }
      if (crc32) this.#checkSum(entry, crc32(content));
      return content;
    } catch (error) {
      if (error instanceof RangeError) {
        const what = `its entry ${quoted(entry.name)} unpacks to more than the ${entry.size} bytes it claims`;
        throw damaged(this.source, new Error(what));
      }
      throw damaged(this.source, error);
    }
  }

  #checkSum(entry: ZipEntry, sum: number): void {
    if (!crc32 || entry.crc === 0 || entry.crc === sum) return;
    throw damaged(this.source, new Error(`the checksum of its entry ${quoted(entry.name)} is wrong`));
  }

  /** Offset of the content: the local header repeats name and method, and must agree with the directory. */
  async #contentStart(entry: ZipEntry): Promise<number> {
    const fail = (what: string): never => {
      throw damaged(this.source, new Error(`its entry ${quoted(entry.name)} ${what}`));
    };
    if (entry.offset + localHeaderSize > this.source.size) return fail("lies outside the file");
    const header = await this.source.bytes(entry.offset, localHeaderSize);
    if (header.readUInt32LE(0) !== 0x04034b50) return fail("does not start where the directory says");
    const nameLength = header.readUInt16LE(26);
    const start = entry.offset + localHeaderSize + nameLength + header.readUInt16LE(28);
    if (start + entry.compressedSize > this.source.size) return fail("ends outside the file");
    const name = await this.source.bytes(entry.offset + localHeaderSize, nameLength);
    if (!name.equals(entry.rawName)) return fail(`has another name in place, ${quoted(name.toString())}`);
    if (header.readUInt16LE(8) !== entry.method) return fail("has two compression methods");
    if ((header.readUInt16LE(6) & 1) !== 0) return fail("is encrypted");
    return start;
  }
}

function checked(entry: yauzl.Entry): ZipEntry {
  const { fileName: name, uncompressedSize: size, compressedSize, compressionMethod: method } = entry;
  const offset = entry.relativeOffsetOfLocalHeader;
  const shown = `its entry ${quoted(name)}`;
  if (entry.isEncrypted()) throw new Error(`${shown} is encrypted: unpack it with its password, and save it without`);
  if (method !== stored && method !== deflated) throw new Error(`${shown} has the unknown compression ${method}`);
  if (![size, compressedSize, offset].every(Number.isSafeInteger)) throw new Error(`${shown} has impossible sizes`);
  if (size > suspiciousSize && size > suspiciousRatio * compressedSize) {
    throw new Error(`${shown} claims to unpack from ${compressedSize} to ${size} bytes, as only a zip bomb does`);
  }
  return { name, size, compressedSize, method, crc: entry.crc32, offset, rawName: entry.fileNameRaw };
}

/** Entries that share bytes are how small archives unpack to huge ones. */
function checkPlaces(entries: ZipEntry[], fileSize: number): void {
  entries.sort((a, b) => a.offset - b.offset);
  for (const [i, entry] of entries.entries()) {
    const end = entry.offset + localHeaderSize + entry.rawName.length + entry.compressedSize;
    const next = entries[i + 1];
    if (end > fileSize) throw new Error(`its entry ${quoted(entry.name)} lies outside the file`);
    if (next && end > next.offset)
      throw new Error(`its entries ${quoted(entry.name)} and ${quoted(next.name)} overlap`);
  }
}

function damaged(source: FileSource, error: unknown): UserError {
  if (error instanceof UserError) return error;
  return new UserError(`${source.path} is not a sound zip archive: ${reasonOf(error)}; download or save it again`, {
    cause: error,
  });
}
