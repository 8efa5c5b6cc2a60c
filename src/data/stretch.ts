/** Images of other numbers than 8-bit and full 16-bit ones, as microscopes and satellites make them, in 8 bits. */
import sharp, { type Metadata, type Sharp, type SharpOptions } from "sharp";

/** Full scale of 12-bit sensors, whose numbers come in 16 bits. */
const twelveBits = 4095;
/** Numbers from 0 to 1 that reach this far are taken as parts of full brightness. */
const unitRange = 0.1;

/** True when an image has to be brought into a range that shows something. */
export function isUnusualDepth({ depth, format }: Metadata): boolean {
  return depth !== "uchar" && (depth !== "ushort" || format === "tiff");
}

/**
 * The image in 8 bits, upright: numbers from 0 to 1 times 255, 12-bit numbers by their full scale, others by the range of
 * the image itself.
 * @throws Error when it holds no finite number
 */
export async function stretched(bytes: Buffer, metadata: Metadata, options: SharpOptions): Promise<Sharp | undefined> {
  const isWide = metadata.depth === "ushort";
  const upright = sharp(bytes, options).rotate();
  // libvips would bend the brightness of colours otherwise, which it takes for linear light.
  const hasColour = metadata.channels > 2;
  if (isWide) upright.toColourspace(hasColour ? "rgb16" : "grey16");
  else if (hasColour) upright.toColourspace("scrgb");
  const { data, info } = await upright.raw({ depth: "float" }).toBuffer({ resolveWithObject: true });
  const values = new Float32Array(data.buffer, data.byteOffset, data.length / 4);
  const range = rangeOf(values);
  if (!range) throw new Error("it holds no finite numbers");
  if (isWide && range.high > twelveBits) return undefined;
  const { low, high } = isWide ? { low: 0, high: twelveBits } : shown(range);
  const scale = 255 / (high - low);
  const pixels = Uint8Array.from(values, (value) => (Number.isFinite(value) ? Math.round((value - low) * scale) : 0));
  const { width, height, channels } = info;
  return sharp(pixels, { raw: { width, height, channels } });
}

interface Range {
  low: number;
  high: number;
}

function rangeOf(values: Float32Array): Range | undefined {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? { low, high } : undefined;
}

/** Values that become black and white; an image of one number becomes grey. */
function shown({ low, high }: Range): Range {
  if (low >= 0 && high <= 1 && high >= unitRange) return { low: 0, high: 1 };
  return low === high ? { low: low - 1, high: high + 1 } : { low, high };
}
