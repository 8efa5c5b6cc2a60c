/** Weights in the safetensors format: memory-mapped reading, atomic writing. */
import fs from "node:fs";
import { type Dtype, empty, fromFile, noGrad, ops, scope, type Tensor, UserError } from "../torch/index.ts";
import { writeFileAtomic } from "./atomic-file.ts";
import { type Entry, encodeHeader, formatOf, maximumHeader, parseHeader } from "./safetensors-header.ts";

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
  const { text, start, size } = readHeader(path);
  const { entries, metadata } = parseHeader(text, size - start, path);
  try {
    const tensors = scope(() =>
      noGrad(() => {
        const bytes = fromFile(path, { size, dtype: "uint8" });
        return new Map(entries.map((entry) => [entry.name, tensorAt(bytes, start, entry, path)]));
      }),
    );
    return { tensors, metadata };
  } catch (error) {
    if (error instanceof UserError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new UserError(`cannot read ${path}: ${reason}`, { cause: error });
  }
}

function readHeader(path: string): { text: string; start: number; size: number } {
  let descriptor: number | undefined;
  try {
    descriptor = fs.openSync(path, "r");
    const stat = fs.fstatSync(descriptor);
    if (!stat.isFile()) throw new UserError(`${path} is not a file: give the path of a safetensors file`);
    const invalid = `${path} is not a valid safetensors file`;
    if (stat.size < 10) throw new UserError(`${invalid}: it has only ${stat.size} bytes`);
    const length = Number(readBytes(descriptor, 0, 8, path).readBigUInt64LE(0));
    if (length > maximumHeader || length > stat.size - 8) {
      throw new UserError(
        `${invalid}: its header claims ${length} bytes, the file has ${stat.size}; download it again`,
      );
    }
    const bytes = readBytes(descriptor, 8, length, path);
    return { text: decode(bytes, invalid), start: 8 + length, size: stat.size };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException | undefined)?.code;
    if (code === undefined) throw error;
    const reason = code === "ENOENT" ? "there is no such file" : String((error as Error).message);
    throw new UserError(`cannot read ${path}: ${reason}`, { cause: error });
  } finally {
    if (descriptor !== undefined) fs.closeSync(descriptor);
  }
}

function readBytes(descriptor: number, position: number, length: number, path: string): Buffer {
  const bytes = Buffer.alloc(length);
  let done = 0;
  while (done < length) {
    const count = fs.readSync(descriptor, bytes, done, length - done, position + done);
    if (count === 0) throw new UserError(`${path} ended while it was read: is something writing to it?`);
    done += count;
  }
  return bytes;
}

function decode(bytes: Buffer, invalid: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new UserError(`${invalid}: its header is not UTF-8; download or export it again`);
  }
}

function tensorAt(bytes: Tensor, start: number, entry: Entry, path: string): Tensor {
  const { dtype, shape, begin, end } = entry;
  if (end === begin) return empty(shape, { dtype });
  const width = formatOf.get(dtype)?.width ?? 1;
  let part = bytes.narrow(0, start + begin, end - begin);
  if (dtype === "bool" && part.max().item() > 1) {
    throw new UserError(`${path} is not a valid safetensors file: tensor "${entry.name}" has truth values above 1`);
  }
  // Files of other writers need not be aligned; an element must not straddle its natural boundary.
  if ((start + begin) % width !== 0) part = part.clone();
  return ops.viewDtype(part, dtype).view(shape);
}

/**
 * Writes tensors (in row-major order, whatever their memory format) and metadata; the file appears complete or not at
 * all. Tensors with wider elements come first, so that all are aligned.
 * @throws UserError when the file cannot be written
 */
export function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Record<string, string> = {},
): void {
  const named = Array.from(tensors, ([name, tensor]) => ({
    name,
    tensor,
    dtype: tensor.dtype,
    width: widthOf(tensor),
  }));
  named.sort((a, b) => b.width - a.width || (a.name < b.name ? -1 : 1));
  let end = 0;
  const entries = named.map(({ name, tensor, dtype, width }): Entry => {
    if (name === "__metadata__") throw new UserError('a tensor cannot be named "__metadata__" in a safetensors file');
    const begin = end;
    end += tensor.numel() * width;
    return { name, dtype, shape: tensor.shape, begin, end };
  });
  function* chunks(): Generator<Uint8Array> {
    yield encodeHeader({ entries, metadata });
    for (const { tensor } of named) yield tensor.toBytes();
  }
  writeFileAtomic(path, chunks());
}

function widthOf(tensor: Tensor): number {
  const format = formatOf.get(tensor.dtype as Dtype);
  if (!format) throw new UserError(`safetensors cannot hold ${tensor.dtype}`);
  return format.width;
}
