/**
 * Prints of images, by which near-duplicates are found: 32 x 32 colour pixels, and a signature that says quickly which
 * prints may be alike. They are made while images are decoded and stay in a file: all signatures, then all prints.
 */
import { closeSync, openSync, readSync } from "node:fs";

/** Pixels on a side of a print; images under that size are their own prints. */
const largestSide = 32;
const thumbnailSide = 8;
/** A cell is darker than its neighbour by so much, of 255, before its bit counts: grain alone should set none. */
const edge = 2;

export interface PrintShape {
  side: number;
  /** Bytes of a print, [3, side, side]. */
  bytes: number;
}

/** A 64-bit difference hash and a thumbnail [3, 8, 8]. */
export const hashBytes = 8;
export const signatureBytes = hashBytes + 3 * thumbnailSide * thumbnailSide;

/** The prints of images of this side, pixels. */
export function printShape(size: number): PrintShape {
  const side = Math.min(largestSide, size);
  return { side, bytes: 3 * side * side };
}

/** The print of an image [C, size, size], of which the first three channels count. */
export function printOf(planes: Uint8Array, size: number): Uint8Array {
  const { side } = printShape(size);
  return side === size ? planes.slice(0, 3 * side * side) : pooled(planes, size, size, side, side);
}

/** The signature of a print. */
export function signatureOf(print: Uint8Array, side: number): Uint8Array {
  const signature = new Uint8Array(signatureBytes);
  signature.set(pooled(print, side, side, thumbnailSide, thumbnailSide), hashBytes);
  const cells = pooled(print, side, side, thumbnailSide, thumbnailSide + 1);
  const [width, area] = [thumbnailSide + 1, thumbnailSide * (thumbnailSide + 1)];
  const grey = (cell: number) => (cells[cell] ?? 0) + (cells[cell + area] ?? 0) + (cells[cell + 2 * area] ?? 0);
  for (let bit = 0; bit < 8 * hashBytes; bit++) {
    const cell = Math.floor(bit / thumbnailSide) * width + (bit % thumbnailSide);
    if (grey(cell + 1) > grey(cell) + 3 * edge) signature[bit >> 3] = (signature[bit >> 3] ?? 0) | (1 << (bit & 7));
  }
  return signature;
}

/** [3, height, width] to [3, rows, columns]: each cell is the mean of the pixels that it touches. */
function pooled(planes: Uint8Array, height: number, width: number, rows: number, columns: number): Uint8Array {
  const result = new Uint8Array(3 * rows * columns);
  for (let c = 0, at = 0; c < 3; c++) {
    for (let row = 0; row < rows; row++) {
      const [top, bottom] = [Math.floor((row * height) / rows), Math.ceil(((row + 1) * height) / rows)];
      for (let column = 0; column < columns; column++) {
        const [left, right] = [Math.floor((column * width) / columns), Math.ceil(((column + 1) * width) / columns)];
        let sum = 0;
        for (let y = top; y < bottom; y++) {
          const line = (c * height + y) * width;
          for (let x = line + left; x < line + right; x++) sum += planes[x] as number;
        }
        result[at++] = Math.round(sum / ((bottom - top) * (right - left)));
      }
    }
  }
  return result;
}

/** Prints by row. */
export interface Prints {
  /** The signatures of all rows, one after the other. */
  readonly signatures: Uint8Array;
  print(row: number): Uint8Array;
}

/** Bytes of the file with the prints of so many images. */
export function printFileBytes(rows: number, { bytes }: PrintShape): number {
  return rows * (signatureBytes + bytes);
}

/** Offsets of a row's signature and print in the file. */
export function printOffsets(row: number, rows: number, { bytes }: PrintShape): { signature: number; print: number } {
  return { signature: row * signatureBytes, print: rows * signatureBytes + row * bytes };
}

/** A file of prints, open until it is disposed. */
export class PrintFile implements Prints, Disposable {
  readonly signatures: Uint8Array;
  readonly #descriptor: number;
  readonly #rows: number;
  readonly #shape: PrintShape;

  constructor(path: string, rows: number, shape: PrintShape) {
    this.#descriptor = openSync(path, "r");
    this.#rows = rows;
    this.#shape = shape;
    this.signatures = this.#read(rows * signatureBytes, 0);
  }

  print(row: number): Uint8Array {
    return this.#read(this.#shape.bytes, printOffsets(row, this.#rows, this.#shape).print);
  }

  [Symbol.dispose](): void {
    closeSync(this.#descriptor);
  }

  #read(length: number, position: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const read = readSync(this.#descriptor, bytes, done, length - done, position + done);
      if (read === 0) throw new RangeError("a file of prints ends early");
      done += read;
    }
    return bytes;
  }
}
