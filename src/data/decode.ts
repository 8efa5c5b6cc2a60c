/** From an item's source to square pixels. sharp works in threads of its own, so many decodes run at once. */
import { open } from "node:fs/promises";
import sharp, { type Region, type Sharp } from "sharp";
import { UserError } from "../torch/index.ts";
import type { Crop, ImageSource, Item } from "./types.ts";

export interface DecodeOptions {
  /** Side of the result, pixels. */
  size: number;
  /** 3: over white; 4: with alpha. */
  channels: 3 | 4;
  /** Largest width x height that is decoded. */
  pixelLimit: number;
}

export const defaultPixelLimit = 100_000_000;

/** sharp's own limit is lower, and its message does not say which file. */
const sharpOptions = (pixelLimit: number) => ({ limitInputPixels: pixelLimit, failOn: "truncated" as const });

/**
 * One image as interleaved bytes [size, size, channels]. Photographs are cropped to the square, drawings with alpha are
 * fitted into it (this project's choice).
 * @throws UserError naming the file when it is unreadable, truncated, or larger than the limit
 */
export async function decodeImage(item: Item, options: DecodeOptions): Promise<Uint8Array> {
  try {
    return await decode(item.source, options);
  } catch (error) {
    if (error instanceof UserError) throw error;
    const reason = (error instanceof Error ? error.message : String(error)).split("\n")[0];
    throw new UserError(
      `${describeSource(item)} cannot be read as an image: ${reason}; repair or remove it, or use --skip-bad`,
    );
  }
}

/** The file that an item comes from, for messages. */
export function describeSource(item: Item): string {
  if (item.source.kind === "part") return `${item.id} in ${item.source.path}`;
  return item.source.kind === "file" ? item.source.path : item.id;
}

async function decode(source: ImageSource, options: DecodeOptions): Promise<Uint8Array> {
  const { size, channels } = options;
  const { image, hasAlpha } = await openImage(source, options);
  const background = { r: 255, g: 255, b: 255, alpha: channels === 4 ? 0 : 1 };
  const square = image.resize(size, size, { fit: hasAlpha ? "contain" : "cover", background }).toColourspace("srgb");
  const shaped = channels === 4 ? square.ensureAlpha() : square.flatten({ background: "#fff" }).removeAlpha();
  const { data, info } = await shaped.raw({ depth: "uchar" }).toBuffer({ resolveWithObject: true });
  if (info.channels === channels) return data;
  if (info.channels === 1) return expandGrey(data, channels);
  throw new UserError(`an image with ${info.channels} channels where ${channels} are expected`);
}

async function openImage(source: ImageSource, options: DecodeOptions): Promise<{ image: Sharp; hasAlpha: boolean }> {
  if (source.kind === "raw") return { image: await rawImage(source), hasAlpha: false };
  if (source.kind === "glyph") {
    const text = {
      text: escapeMarkup(source.text),
      fontfile: source.fontFile,
      font: fontName(source.fontFile),
      rgba: true,
      dpi: 300,
    };
    const margin = 8;
    const transparent = { r: 0, g: 0, b: 0, alpha: 0 };
    const rendered = await sharp({ text })
      .extend({ top: margin, bottom: margin, left: margin, right: margin, background: transparent })
      .png()
      .toBuffer();
    return { image: sharp(rendered), hasAlpha: true };
  }
  const input = source.kind === "part" ? await bytesAt(source.path, source.offset, source.length) : source.path;
  const image = sharp(input, sharpOptions(options.pixelLimit));
  const { width, height, hasAlpha, orientation } = await sharp(input, { limitInputPixels: false }).metadata();
  if (width * height > options.pixelLimit) {
    throw new UserError(
      `${source.path} has ${Math.round((width * height) / 1e6)} megapixels, more than the limit of ${Math.round(options.pixelLimit / 1e6)}: ` +
        "make it smaller or remove it, or use --skip-bad",
    );
  }
  if (source.kind === "file" && source.crop) {
    return { image: image.extract(boxOf(source.crop, width, height, source.path)), hasAlpha: hasAlpha ?? false };
  }
  if (source.kind === "file" && source.trim && hasAlpha) return { image: await trimmed(image), hasAlpha };
  return { image: orientation ? image.rotate() : image, hasAlpha: hasAlpha ?? false };
}

/** Without transparent margins; an image of one colour stays as it is. */
async function trimmed(image: Sharp): Promise<Sharp> {
  try {
    const background = { r: 0, g: 0, b: 0, alpha: 0 };
    return sharp(await image.clone().trim({ background, threshold: 8 }).png().toBuffer());
  } catch {
    return image;
  }
}

/** The box of a crop in an image of this size. */
function boxOf(crop: Crop, width: number, height: number, path: string): Region {
  const box = "bottom" in crop ? { left: 0, top: 0, width, height: height - crop.bottom } : crop;
  const fits = box.height >= 1 && box.left + box.width <= width && box.top + box.height <= height;
  if (fits) return box;
  const part = "bottom" in crop ? `${crop.bottom} rows at the bottom` : JSON.stringify(crop);
  throw new UserError(`${path} has ${width} x ${height} pixels, which do not hold ${part}: is it the right image?`);
}

async function rawImage(source: Extract<ImageSource, { kind: "raw" }>): Promise<Sharp> {
  const { width, height, channels, planar } = source;
  const bytes = await bytesAt(source.path, source.offset, width * height * channels);
  return sharp(planar ? interleaved(bytes, channels) : bytes, { raw: { width, height, channels } });
}

/** [C, P] to [P, C]. */
function interleaved(planes: Buffer, channels: number): Buffer {
  const pixels = planes.length / channels;
  const result = Buffer.alloc(planes.length);
  for (let c = 0; c < channels; c++) {
    for (let p = 0; p < pixels; p++) result[p * channels + c] = planes[c * pixels + p] ?? 0;
  }
  return result;
}

async function bytesAt(path: string, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  const file = await open(path, "r");
  try {
    const { bytesRead } = await file.read(bytes, 0, length, offset);
    if (bytesRead < length) throw new UserError(`${path} ends inside an image: it changed since it was opened`);
  } finally {
    await file.close();
  }
  return bytes;
}

function expandGrey(grey: Uint8Array, channels: 3 | 4): Uint8Array {
  const result = new Uint8Array(grey.length * channels).fill(255);
  for (let i = 0; i < grey.length; i++) result.fill(grey[i] ?? 0, i * channels, i * channels + 3);
  return result;
}

function fontName(path: string): string {
  const base =
    path
      .split("/")
      .at(-1)
      ?.replace(/\.ttf$/, "") ?? "";
  return base
    .replace(/([a-z])([A-Z])/g, "$1 $2")
    .replace("-", " ")
    .replace("Regular", "");
}

function escapeMarkup(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
