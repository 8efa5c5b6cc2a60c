/**
 * Windows bitmaps, which sharp does not read: uncompressed ones of 1, 4, 8, 16, 24 and 32 bits for a pixel. Source: the headers
 * BITMAPFILEHEADER, BITMAPINFOHEADER and BITMAPV5HEADER as Microsoft documents them. H height, W width.
 */

/** Pixels of an image as interleaved bytes [H, W, 3]. */
export interface Bitmap {
  width: number;
  height: number;
  pixels: Uint8Array;
}

export interface BitmapHeader {
  width: number;
  height: number;
  /** The first row is the top one. */
  isTopDown: boolean;
  bits: number;
  /** Offset of the first pixel in the file. */
  start: number;
  /** Red, green and blue in a pixel of 16 or 32 bits. */
  masks: readonly [number, number, number];
  /** Bytes [colours, 4] of blue, green, red and nothing, of a pixel of up to 8 bits. */
  palette: Uint8Array;
}

const fileHeader = 14;
/** Length of the oldest header, of OS/2, which has sides of 16 bits and a palette of three bytes a colour. */
const coreHeader = 12;
const infoHeader = 40;
const compressions: Readonly<Record<number, string>> = { 1: "run lengths", 2: "run lengths", 4: "JPEG", 5: "PNG" };
const bitFields = [3, 6];

export function isBitmap(bytes: Buffer): boolean {
  return (
    bytes.length >= fileHeader + coreHeader && bytes.toString("latin1", 0, 2) === "BM" && bytes.readUInt32LE(6) === 0
  );
}

/** @throws Error saying what is wrong with the file, or which kind it is that is not read */
export function bitmapHeader(bytes: Buffer): BitmapHeader {
  const length = bytes.readUInt32LE(fileHeader);
  const isCore = length === coreHeader;
  if ((!isCore && length < infoHeader) || bytes.length < fileHeader + length) throw new Error("its header is damaged");
  const height = isCore ? bytes.readInt16LE(20) : bytes.readInt32LE(22);
  const width = isCore ? bytes.readUInt16LE(18) : bytes.readInt32LE(18);
  const bits = bytes.readUInt16LE(isCore ? 24 : 28);
  const compression = isCore ? 0 : bytes.readUInt32LE(30);
  if (width < 1 || height === 0 || ![1, 4, 8, 16, 24, 32].includes(bits)) throw new Error("its header is damaged");
  const packed = compressions[compression];
  if (packed !== undefined) throw new Error(`it is a BMP compressed by ${packed}: convert it to PNG or JPEG`);
  if (compression !== 0 && !bitFields.includes(compression)) throw new Error("its header is damaged");
  const masks = compression === 0 ? usualMasks(bits) : masksOf(bytes);
  const colours = bits > 8 ? 0 : (isCore ? 0 : bytes.readUInt32LE(46)) || 2 ** bits;
  const start = bytes.readUInt32LE(10);
  const sides = { width, height: Math.abs(height), isTopDown: height < 0 };
  return {
    ...sides,
    bits,
    start,
    masks,
    palette: paletteOf(bytes, length, Math.min(colours, 2 ** bits), isCore ? 3 : 4),
  };
}

const usualMasks = (bits: number): BitmapHeader["masks"] =>
  bits === 16 ? [0x7c00, 0x3e0, 0x1f] : [0xff0000, 0xff00, 0xff];

/** They follow the oldest header that has them, and stand at the same place inside all longer ones. */
function masksOf(bytes: Buffer): BitmapHeader["masks"] {
  const at = fileHeader + infoHeader;
  if (bytes.length < at + 12) throw new Error("its header is damaged");
  return [bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4), bytes.readUInt32LE(at + 8)];
}

function paletteOf(bytes: Buffer, header: number, colours: number, step: number): Uint8Array {
  const palette = new Uint8Array(colours * 4);
  const from = fileHeader + header;
  for (let i = 0; i < colours; i++) palette.set(bytes.subarray(from + i * step, from + i * step + 3), i * 4);
  return palette;
}

/**
 * The pixels of a bitmap; what an alpha channel says is left out, since most programs leave zeros there.
 * @throws Error when the file ends before its pixels do
 */
export function readBitmap(bytes: Buffer): Bitmap {
  const header = bitmapHeader(bytes);
  const { width, height, bits, start, isTopDown } = header;
  const stride = Math.ceil((width * bits) / 32) * 4;
  const lastRow = Math.ceil((width * bits) / 8);
  if (start + (height - 1) * stride + lastRow > bytes.length) {
    throw new Error(`it ends early: a BMP cut off after ${bytes.length} bytes`);
  }
  const pixels = new Uint8Array(width * height * 3);
  const copy = rowReader(header);
  for (let row = 0; row < height; row++) {
    const from = start + (isTopDown ? row : height - 1 - row) * stride;
    copy(bytes.subarray(from, from + lastRow), pixels.subarray(row * width * 3, (row + 1) * width * 3));
  }
  return { width, height, pixels };
}

type RowReader = (from: Buffer, to: Uint8Array) => void;

function rowReader({ bits, width, masks, palette }: BitmapHeader): RowReader {
  if (bits <= 8) {
    return (from, to) => {
      for (let x = 0; x < width; x++) {
        const shift = 8 - bits - ((x * bits) % 8);
        const index = ((from[(x * bits) >> 3] ?? 0) >> shift) & (2 ** bits - 1);
        for (let c = 0; c < 3; c++) to[x * 3 + c] = palette[index * 4 + 2 - c] ?? 0;
      }
    };
  }
  const step = bits / 8;
  if (bits === 24) {
    return (from, to) => {
      for (let x = 0; x < width; x++) for (let c = 0; c < 3; c++) to[x * 3 + c] = from[x * step + 2 - c] ?? 0;
    };
  }
  const channels = masks.map(channelOf);
  return (from, to) => {
    for (let x = 0; x < width; x++) {
      const value = bits === 16 ? from.readUInt16LE(x * step) : from.readUInt32LE(x * step);
      for (const [c, channel] of channels.entries()) to[x * 3 + c] = channel(value);
    }
  };
}

/** The part of a pixel under a mask, spread over 0 to 255. */
function channelOf(mask: number): (value: number) => number {
  if (mask === 0) return () => 0;
  const shift = 31 - Math.clz32(mask & -mask);
  const most = mask >>> shift;
  return (value) => Math.round((((value & mask) >>> shift) * 255) / most);
}
