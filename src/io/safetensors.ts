/** Weights in the safetensors format: memory-mapped or streamed reading, atomic writing. */
import fs from "node:fs";
import {
  byteChunks,
  type Dtype,
  empty,
  ensureResident,
  fromFile,
  keep,
  noGrad,
  ops,
  scope,
  type Tensor,
  UserError,
} from "../torch/index.ts";
import { type WriteOptions, writeFileAtomic } from "./atomic-file.ts";
import { changed, FileSource, sameFile } from "./file-source.ts";
import { checkTruth, LazyTensor, tensorFrom, widths } from "./lazy-tensor.ts";
import { quoted, reasonOf } from "./quoted.ts";
import { openRegular } from "./regular-file.ts";
import { type Entry, encodeHeader, formatOf, maximumHeader, parseHeader } from "./safetensors-header.ts";
import { explainRead } from "./system-errors.ts";

export interface Weights {
  tensors: Map<string, Tensor>;
  metadata: Record<string, string>;
}

/**
 * Reads a file by mapping it into memory: tensors share the mapping and are read from disk when first used; writing to
 * them does not reach the file. The caller disposes them.
 * @throws UserError naming the file when it is missing or breaks any rule of the format
 */
export function readSafetensors(path: string): Weights {
  const descriptor = openRegular(path);
  try {
    const { text, start, stat } = readHeader(descriptor, path);
    const { entries, metadata } = parseHeader(text, stat.size - start, path);
    const tensors = scope(() =>
      noGrad(() => {
        const bytes = mapped(path, descriptor, stat);
        return new Map(entries.map((entry) => [entry.name, tensorAt(bytes, start, entry, path)]));
      }),
    );
    return { tensors, metadata };
  } finally {
    fs.closeSync(descriptor);
  }
}

/** The bytes of an open file, which another one may have replaced since. @throws UserError when it was written to */
function mapped(path: string, descriptor: number, before: fs.Stats): Tensor {
  const refuseChanged = () => {
    if (!sameFile(before, fs.fstatSync(descriptor))) throw changed(path);
  };
  try {
    const bytes = fromFile(path, { size: before.size, dtype: "uint8", descriptor });
    refuseChanged();
    return bytes;
  } catch (error) {
    if (error instanceof UserError) throw error;
    refuseChanged();
    throw new UserError(`cannot read ${path}: ${reasonOf(error)}`, { cause: error });
  }
}

export interface LazyWeights {
  tensors: Map<string, LazyTensor>;
  metadata: Record<string, string>;
}

/**
 * Reads the header only; each tensor is read into fresh memory when asked for, by ordinary reads: a file that loses bytes
 * meanwhile is an error, where a mapped one would be lost memory. The file is not kept open.
 * @throws UserError naming the file when it is missing or breaks any rule of the format
 */
export async function streamSafetensors(path: string): Promise<LazyWeights> {
  const descriptor = openRegular(path);
  try {
    const { text, start, stat } = readHeader(descriptor, path);
    const { entries, metadata } = parseHeader(text, stat.size - start, path);
    const source = new FileSource(path, stat);
    return { tensors: new Map(entries.map((entry) => [entry.name, new Streamed(source, start, entry)])), metadata };
  } finally {
    fs.closeSync(descriptor);
  }
}

class Streamed extends LazyTensor {
  readonly #source: FileSource;
  readonly #start: number;
  readonly #entry: Entry;

  constructor(source: FileSource, start: number, entry: Entry) {
    super();
    this.#source = source;
    this.#start = start;
    this.#entry = entry;
  }

  override get shape(): readonly number[] {
    return this.#entry.shape;
  }

  override get dtype(): Dtype {
    return this.#entry.dtype;
  }

  override async read(): Promise<Tensor> {
    const { name, dtype, shape, begin, end } = this.#entry;
    if (end === begin) return keep(empty(shape, { dtype }));
    const pieces = this.#source.pieces(this.#start + begin, end - begin);
    const count = (end - begin) / widths[dtype];
    using flat = await tensorFrom(pieces, count, dtype, { what: `${this.#source.path}, tensor ${quoted(name)},` });
    return keep(flat.view(shape));
  }
}

function readHeader(descriptor: number, path: string): { text: string; start: number; stat: fs.Stats } {
  try {
    const stat = fs.fstatSync(descriptor);
    const length = headerLength(readBytes(descriptor, 0, Math.min(stat.size, 8), path), stat.size, path);
    return { text: decode(readBytes(descriptor, 8, length, path), path), start: 8 + length, stat };
  } catch (error) {
    throw explainRead(error, path);
  }
}

/** Length of the header, from the file's first 8 bytes and its size. */
function headerLength(head: Buffer, size: number, path: string): number {
  const invalid = `${path} is not a valid safetensors file`;
  if (size < 10) throw new UserError(`${invalid}: it has only ${size} bytes`);
  const length = Number(head.readBigUInt64LE(0));
  if (length <= maximumHeader && length <= size - 8) return length;
  throw new UserError(`${invalid}: its header claims ${length} bytes, the file has ${size}; download it again`);
}

function readBytes(descriptor: number, position: number, length: number, path: string): Buffer {
  const bytes = Buffer.alloc(length);
  let done = 0;
  while (done < length) {
    const count = fs.readSync(descriptor, bytes, done, length - done, position + done);
    if (count === 0) throw changed(path);
    done += count;
  }
  return bytes;
}

function decode(bytes: Buffer, path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new UserError(
      `${path} is not a valid safetensors file: its header is not UTF-8; download or export it again`,
    );
  }
}

function tensorAt(bytes: Tensor, start: number, entry: Entry, path: string): Tensor {
  const { dtype, shape, begin, end } = entry;
  if (end === begin) return empty(shape, { dtype });
  const width = formatOf.get(dtype)?.width ?? 1;
  let part = bytes.narrow(0, start + begin, end - begin);
  if (dtype === "bool") checkTruth(part, `${path}, tensor ${quoted(entry.name)},`);
  // Files of other writers need not be aligned; an element must not straddle its natural boundary.
  if ((start + begin) % width !== 0) part = part.clone();
  return ops.viewDtype(part, dtype).view(shape);
}

const writeBuffer = new Uint8Array(4 << 20);

/**
 * Writes tensors (in row-major order, whatever their memory format) and metadata; the file appears complete or not at
 * all. Tensors with wider elements come first, so that all are aligned; else their order is kept.
 * @throws UserError when the file cannot be written
 */
export function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Record<string, string> = {},
  options: WriteOptions = {},
): void {
  const named = Array.from(tensors, ([name, tensor]) => ({
    name,
    tensor,
    dtype: tensor.dtype,
    width: widthOf(tensor),
  }));
  named.sort((a, b) => b.width - a.width);
  let end = 0;
  const entries = named.map(({ name, tensor, dtype, width }): Entry => {
    if (name === "__metadata__") throw new UserError('a tensor cannot be named "__metadata__" in a safetensors file');
    const begin = end;
    end += tensor.numel() * width;
    return { name, dtype, shape: tensor.shape, begin, end };
  });
  function* chunks(): Generator<Uint8Array> {
    yield encodeHeader({ entries, metadata });
    for (const { tensor } of named) {
      ensureResident(tensor, false);
      yield* byteChunks(tensor, writeBuffer);
    }
  }
  writeFileAtomic(path, chunks(), options);
}

function widthOf(tensor: Tensor): number {
  const format = formatOf.get(tensor.dtype as Dtype);
  if (!format) throw new UserError(`safetensors cannot hold ${tensor.dtype}`);
  return format.width;
}
