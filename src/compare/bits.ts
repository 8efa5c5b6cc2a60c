/** Lists of yes and no in little space: eight a byte, the first in the lowest bit, base64. */

export function packBits(values: readonly boolean[]): string {
  const bytes = new Uint8Array(Math.ceil(values.length / 8));
  for (const [i, value] of values.entries()) if (value) bytes[i >> 3] = (bytes[i >> 3] ?? 0) | (1 << (i & 7));
  return Buffer.from(bytes).toString("base64");
}

/** @param count number of values that were packed */
export function unpackBits(text: string, count: number): boolean[] {
  const bytes = Buffer.from(text, "base64");
  if (bytes.length !== Math.ceil(count / 8)) throw new RangeError(`${bytes.length} bytes do not hold ${count} values`);
  return Array.from({ length: count }, (_, i) => (((bytes[i >> 3] ?? 0) >> (i & 7)) & 1) === 1);
}
