/** The directory of a TIFF file (TIFF 6.0): whether the file holds the pixels that it claims. */

const tags = {
  width: 256,
  height: 257,
  bits: 258,
  compression: 259,
  samples: 277,
  stripCounts: 279,
  tileCounts: 325,
} as const;

const typeBytes: Record<number, number> = { 1: 1, 3: 2, 4: 4 };
const uncompressed = 1;

/**
 * True when the parts of the first image are in the file, as far as its directory says. A file without them decodes to
 * zeros.
 * @returns false also for a directory that cannot be followed; true for BigTIFF, which is not looked into
 */
export function holdsItsPixels(bytes: Buffer): boolean {
  const big = bytes.toString("latin1", 0, 2) === "MM";
  const read = (offset: number, length: number): number =>
    big ? bytes.readUIntBE(offset, length) : bytes.readUIntLE(offset, length);
  try {
    if (read(2, 2) !== 42) return true;
    const directory = read(4, 4);
    const values = (wanted: number): number[] => {
      for (let i = 0, entry = directory + 2; i < read(directory, 2); i++, entry += 12) {
        if (read(entry, 2) !== wanted) continue;
        const [size, count] = [typeBytes[read(entry + 2, 2)] ?? 0, read(entry + 4, 4)];
        const start = size * count <= 4 ? entry + 8 : read(entry + 8, 4);
        if (size === 0 || start + size * count > bytes.length) return [];
        return Array.from({ length: count }, (_, n) => read(start + n * size, size));
      }
      return [];
    };
    const strips = values(tags.stripCounts);
    const parts = strips.length > 0 ? strips : values(tags.tileCounts);
    const held = parts.reduce((sum, count) => sum + count, 0);
    if (parts.length === 0 || parts.some((count) => count === 0) || held > bytes.length) return false;
    const [width = 0, height = 0] = [values(tags.width)[0], values(tags.height)[0]];
    const bits = (values(tags.bits)[0] ?? 1) * (values(tags.samples)[0] ?? 1);
    const isPlain = (values(tags.compression)[0] ?? uncompressed) === uncompressed;
    return !isPlain || held >= Math.ceil((width * bits) / 8) * height;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}
