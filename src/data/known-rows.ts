/** Pixels that other sets of decoded images hold already: a set with one more image, or a part of one, decodes no image again. */
import fs from "node:fs";

/** A complete set: its pixels, row after row, and the content of each; undefined for rows without pixels. */
export interface KnownSet {
  path: string;
  contents: readonly (string | undefined)[];
}

export class KnownRows implements Disposable {
  readonly #bytes: number;
  readonly #places = new Map<string, { file: number; row: number }>();
  readonly #files: number[] = [];

  /**
   * @param wanted contents that are looked for
   * @param bytes of one row
   */
  constructor(sets: Iterable<KnownSet>, wanted: readonly string[], bytes: number) {
    this.#bytes = bytes;
    const missing = new Set(wanted);
    for (const { path, contents } of sets) {
      const found = contents.flatMap((content, row) => (content !== undefined && missing.has(content) ? [row] : []));
      const file = found.length > 0 ? openComplete(path, contents.length * bytes) : undefined;
      if (file === undefined) continue;
      this.#files.push(file);
      for (const row of found) {
        const content = contents[row] ?? "";
        this.#places.set(content, { file, row });
        missing.delete(content);
      }
      if (missing.size === 0) break;
    }
  }

  /** The pixels of a content; undefined when no set has them. */
  read(content: string): Uint8Array | undefined {
    const place = this.#places.get(content);
    if (!place) return undefined;
    const pixels = new Uint8Array(this.#bytes);
    return fs.readSync(place.file, pixels, 0, this.#bytes, place.row * this.#bytes) === this.#bytes
      ? pixels
      : undefined;
  }

  [Symbol.dispose](): void {
    for (const file of this.#files) fs.closeSync(file);
  }
}

/** It stays readable while it is open, whatever becomes of its name. */
function openComplete(path: string, size: number): number | undefined {
  let file: number;
  try {
    file = fs.openSync(path, "r");
  } catch {
    return undefined;
  }
  if (fs.fstatSync(file).size === size) return file;
  fs.closeSync(file);
  return undefined;
}
