/**
 * Name and characters of a font file, from its tables `name` and `cmap` (OpenType 1.9). Text in a character that the font
 * lacks, or under another name, would be drawn in some other font of the machine.
 */
import { readFileSync } from "node:fs";

export interface FontFile {
  /** Family and style as Pango takes them. */
  font: string;
  /** Code points that the font maps to a glyph. */
  characters: ReadonlySet<number>;
}

/** @throws RangeError for a file that ends early, or has no name */
export function readFontFile(path: string): FontFile {
  const bytes = readFileSync(path);
  const family = nameOf(bytes, 1);
  if (family === undefined) throw new RangeError(`${path} does not name its family`);
  return { font: `${family.trim()}, ${styleOf(nameOf(bytes, 2) ?? "")}`, characters: charactersOf(bytes) };
}

/** Pango's words for a style: each family here has no other weights. */
function styleOf(style: string): string {
  const words = { Bold: /bold/i, Italic: /italic/i, Oblique: /oblique|slanted/i };
  const own = Object.entries(words).flatMap(([word, pattern]) => (pattern.test(style) ? [word] : []));
  return own.join(" ") || "Regular";
}

function tableOffset(bytes: Buffer, name: string): number | undefined {
  for (let i = 0; i < bytes.readUInt16BE(4); i++) {
    const record = 12 + 16 * i;
    if (bytes.toString("latin1", record, record + 4) === name) return bytes.readUInt32BE(record + 8);
  }
  return undefined;
}

const [windows, english] = [3, 0x409];

/** The English name of an identifier, in UTF-16. */
function nameOf(bytes: Buffer, wanted: number): string | undefined {
  const table = tableOffset(bytes, "name");
  if (table === undefined) return undefined;
  const texts = table + bytes.readUInt16BE(table + 4);
  for (let i = 0; i < bytes.readUInt16BE(table + 2); i++) {
    const fields = [0, 4, 6, 8, 10].map((at) => bytes.readUInt16BE(table + 6 + 12 * i + at));
    const [platform, language, identifier, length = 0, offset = 0] = fields;
    if (platform !== windows || language !== english || identifier !== wanted) continue;
    return Buffer.from(bytes.subarray(texts + offset, texts + offset + length))
      .swap16()
      .toString("utf16le");
  }
  return undefined;
}

/** Unicode encodings: platform 0, and platform 3 with 16 or 32 bits. */
const isUnicode = (platform: number, encoding: number) =>
  platform === 0 || (platform === windows && [1, 10].includes(encoding));

function charactersOf(bytes: Buffer): Set<number> {
  const points = new Set<number>();
  const cmap = tableOffset(bytes, "cmap");
  if (cmap === undefined) return points;
  for (let i = 0; i < bytes.readUInt16BE(cmap + 2); i++) {
    const record = cmap + 4 + 8 * i;
    if (!isUnicode(bytes.readUInt16BE(record), bytes.readUInt16BE(record + 2))) continue;
    const table = cmap + bytes.readUInt32BE(record + 4);
    const format = bytes.readUInt16BE(table);
    if (format === 4) addSegments(bytes, table, points);
    if (format === 12) addGroups(bytes, table, points);
  }
  return points;
}

/** Format 4: segments of 16-bit code points. */
function addSegments(bytes: Buffer, table: number, points: Set<number>): void {
  const length = bytes.readUInt16BE(table + 6);
  const [ends, starts] = [table + 14, table + 16 + length];
  for (let at = 0; at < length; at += 2) {
    const [end, start] = [bytes.readUInt16BE(ends + at), bytes.readUInt16BE(starts + at)];
    const delta = bytes.readUInt16BE(starts + length + at);
    const place = starts + 2 * length + at;
    const offset = bytes.readUInt16BE(place);
    for (let point = start; point <= end && point !== 0xffff; point++) {
      const entry = offset === 0 ? point : bytes.readUInt16BE(place + offset + 2 * (point - start));
      if ((offset === 0 || entry !== 0) && ((entry + delta) & 0xffff) !== 0) points.add(point);
    }
  }
}

/** Format 12: groups of 32-bit code points. */
function addGroups(bytes: Buffer, table: number, points: Set<number>): void {
  for (let i = 0; i < bytes.readUInt32BE(table + 12); i++) {
    const group = table + 16 + 12 * i;
    const [start, end, glyph] = [0, 4, 8].map((at) => bytes.readUInt32BE(group + at)) as [number, number, number];
    if (end > 0x10ffff) throw new RangeError(`a group of characters ends at ${end}, beyond Unicode`);
    for (let point = start; point <= end; point++) if (glyph + point - start !== 0) points.add(point);
  }
}
