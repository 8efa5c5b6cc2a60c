/** Pixels and prints that other sets of decoded images hold already: a set with one more image, or a part of one, makes neither again. */
import fs from "node:fs";
import { type PrintShape, printFileBytes, printOffsets, signatureBytes } from "./prints.ts";

/** A complete set: its pixels and prints, row after row, and the content of each; undefined for rows without pixels. */
export interface KnownSet {
  pixels: string;
  prints: string;
  contents: readonly (string | undefined)[];
}

/** What is known of one content. */
export interface KnownRow {
  /** Undefined where they are not wanted. */
  pixels: Uint8Array | undefined;
  signature: Uint8Array;
  print: Uint8Array;
}

interface Place {
  pixels: number | undefined;
  prints: number;
  row: number;
  rows: number;
}

export interface WantedRows {
  contents: readonly string[];
  /** Bytes of the pixels of one row; undefined where only prints are wanted. */
  pixelBytes: number | undefined;
  shape: PrintShape;
}

export class KnownRows implements Disposable {
  readonly #wanted: WantedRows;
  readonly #places = new Map<string, Place>();
  readonly #files: number[] = [];

  constructor(sets: Iterable<KnownSet>, wanted: WantedRows) {
    this.#wanted = wanted;
    const missing = new Set(wanted.contents);
    for (const { pixels, prints, contents } of sets) {
      const found = contents.flatMap((content, row) => (content !== undefined && missing.has(content) ? [row] : []));
      if (found.length === 0) continue;
      const rows = contents.length;
      const { pixelBytes, shape } = wanted;
      const pixelFile = pixelBytes === undefined ? undefined : this.#open(pixels, rows * pixelBytes);
      if (pixelBytes !== undefined && pixelFile === undefined) continue;
      const printFile = this.#open(prints, printFileBytes(rows, shape));
      if (printFile === undefined) continue;
      for (const row of found) {
        const content = contents[row] ?? "";
        this.#places.set(content, { pixels: pixelFile, prints: printFile, row, rows });
        missing.delete(content);
      }
      if (missing.size === 0) break;
    }
  }

  /** Undefined when no set has the content. */
  read(content: string): KnownRow | undefined {
    const place = this.#places.get(content);
    if (!place) return undefined;
    const { pixelBytes = 0, shape } = this.#wanted;
    const at = printOffsets(place.row, place.rows, shape);
    const signature = bytesAt(place.prints, at.signature, signatureBytes);
    const print = bytesAt(place.prints, at.print, shape.bytes);
    const pixels = place.pixels === undefined ? undefined : bytesAt(place.pixels, place.row * pixelBytes, pixelBytes);
    if (!signature || !print || (place.pixels !== undefined && !pixels)) return undefined;
    return { pixels, signature, print };
  }

  [Symbol.dispose](): void {
    for (const file of this.#files) fs.closeSync(file);
  }

  /** It stays readable while it is open, whatever becomes of its name. */
  #open(path: string, size: number): number | undefined {
    let file: number;
    try {
      file = fs.openSync(path, "r");
    } catch {
      return undefined;
    }
    if (fs.fstatSync(file).size !== size) {
      fs.closeSync(file);
      return undefined;
    }
    this.#files.push(file);
    return file;
  }
}

function bytesAt(file: number, position: number, length: number): Uint8Array | undefined {
  const bytes = new Uint8Array(length);
  return fs.readSync(file, bytes, 0, length, position) === length ? bytes : undefined;
}
