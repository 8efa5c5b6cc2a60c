/** From an item's source to square pixels. sharp works in threads of its own, so many decodes run at once. */
import type { FileHandle } from "node:fs/promises";
import { basename } from "node:path";
import sharp, { type Metadata, type Region, type Sharp } from "sharp";
import { explainRead, openRegularHandle, reasonOf, systemCode } from "../io/index.ts";
import { UserError } from "../torch/index.ts";
import { bitmapHeader, isBitmap, readBitmap } from "./bmp.ts";
import { ByteGate } from "./concurrent.ts";
import { damageOf } from "./formats.ts";
import { heicSize, isHeic, readHeic, readsHeic } from "./heic.ts";
import { isUnusualDepth, stretched } from "./stretch.ts";
import { holdsItsPixels } from "./tiff.ts";
import type { Crop, ImageSource, Item } from "./types.ts";

export interface DecodeOptions {
  /** Side of the result, pixels. */
  size: number;
  /** 3: over white; 4: with alpha. */
  channels: 3 | 4;
  /** Largest width x height that is decoded. */
  pixelLimit: number;
  /** `squash` changes the aspect ratio to the square's; left out, see `decodeImage`. */
  fit?: "squash" | undefined;
}

export const defaultPixelLimit = 100_000_000;

/** Bytes of files, and of what is decoded from them, that all decodes together hold at most. */
const files = new ByteGate(2 ** 28);
const decodes = new ByteGate(2 ** 29);

/** An image that cannot be used; `reason` says why, without its name. */
export class UnreadableImage extends UserError {
  readonly reason: string;

  constructor(where: string, reason: string, options?: ErrorOptions) {
    super(`${where} cannot be used: ${reason}`, options);
    this.reason = reason;
  }
}

/**
 * One image as interleaved bytes [size, size, channels]. Photographs are cropped to the square, drawings with transparent
 * parts are fitted into it (this project's choice), unless the options say otherwise.
 * @throws UnreadableImage naming the file when it is missing, damaged, or larger than the limits
 */
export async function decodeImage(item: Item, options: DecodeOptions): Promise<Uint8Array> {
  try {
    return await decode(item.source, options);
  } catch (error) {
    if (error instanceof UnreadableImage || isOfMachine(error)) throw error;
    throw new UnreadableImage(describeSource(item), reasonWithout(item.source, error), { cause: error });
  }
}

/** Pixels [height, width, 3] as `decodeImage` shapes those of a file. @returns the same bytes where they have the size already */
export async function squarePixels(
  bytes: Uint8Array,
  { width, height }: { width: number; height: number },
  options: DecodeOptions & { channels: 3 },
): Promise<Uint8Array> {
  if (width === options.size && height === options.size) return bytes;
  const image = sharp(bytes, { raw: { width, height, channels: 3 }, limitInputPixels: options.pixelLimit });
  return squared({ image, fit: "cover" }, options);
}

/** Why an image cannot be read, in words that do not name its file once more. */
export function reasonWithout(source: ImageSource, error: unknown): string {
  const reason = reasonOf(error);
  return "path" in source
    ? reason.replace(`cannot read ${source.path}: `, "").replace(`${source.path} is `, "it is ")
    : reason;
}

/** No other image would fare better. */
export function isOfMachine(error: unknown): boolean {
  const cause = error instanceof UserError ? error.cause : error;
  return ["EMFILE", "ENFILE", "ENOMEM"].includes(systemCode(cause) ?? "");
}

/** The file that an item comes from, for messages. */
export function describeSource({ id, source }: Item): string {
  if (source.kind === "shard") return `${id} in ${source.shard.name}`;
  if (source.kind === "part" || source.kind === "raw") return `${id} in ${source.path}`;
  return source.kind === "file" ? source.path : id;
}

async function decode(source: ImageSource, options: DecodeOptions): Promise<Uint8Array> {
  if (source.kind === "raw") return squared({ image: await rawImage(source), fit: "cover" }, options);
  if (source.kind === "glyph") return squared({ image: await glyph(source), fit: "contain" }, options);
  return withBytes(source, (bytes) => decodeFile(bytes, source, options));
}

type Encoded = Exclude<ImageSource, { kind: "raw" } | { kind: "glyph" }>;

interface Opened {
  image: Sharp;
  fit: "cover" | "contain";
}

async function decodeFile(file: Buffer, source: Encoded, options: DecodeOptions): Promise<Uint8Array> {
  const bytes = await readableBytes(file, options);
  const metadata = await sharp(bytes, { limitInputPixels: false })
    .metadata()
    .catch((error) => refuse(damageOf(bytes) ?? reasonOf(error)));
  const pixels = pixelsWithin(options, metadata);
  if (metadata.format === "tiff" && !holdsItsPixels(bytes)) {
    refuse(
      `it claims ${metadata.width} x ${metadata.height} pixels, which its ${bytes.length} bytes do not hold: it is cut off or damaged`,
    );
  }
  const needed = decodeBytes(metadata, source);
  if (needed > decodes.limit) {
    refuse(
      `a ${kindOf(metadata)} of ${megapixels(pixels)} megapixels takes ${megapixels(needed)} MB to decode: make it smaller`,
    );
  }
  return decodes.run(needed, async () => {
    try {
      return await squared(await openImage(bytes, source, metadata, options), options);
    } catch (error) {
      return refuse(damageOf(bytes) ?? reasonOf(error), error);
    }
  });
}

/** The pixels of an image. @throws Error when they are more than the limit */
function pixelsWithin({ pixelLimit }: DecodeOptions, { width, height }: { width: number; height: number }): number {
  const pixels = width * height;
  if (pixels <= pixelLimit) return pixels;
  return refuse(
    `it has ${megapixels(pixels)} megapixels, more than the limit of ${megapixels(pixelLimit)}: make it smaller`,
  );
}

/** A file as sharp reads it. */
async function readableBytes(file: Buffer, options: DecodeOptions): Promise<Buffer> {
  if (isBitmap(file)) return asPng(file, options);
  if (!isHeic(file) || !readsHeic()) return file;
  const held = pixelsWithin(options, heicSize(file)) * (wholeImage["heif"] ?? 0);
  return decodes.run(Math.min(held, decodes.limit), async () => {
    const { width, height, data } = await readHeic(file).catch((error) =>
      refuse(damageOf(file) ?? reasonOf(error), error),
    );
    const raw = { width, height, channels: 4 } as const;
    return sharp(data, { raw }).png({ compressionLevel: 0 }).toBuffer();
  });
}

/** A bitmap as a PNG file that is not compressed, which sharp reads. */
function asPng(file: Buffer, options: DecodeOptions): Promise<Buffer> {
  const held = 7 * pixelsWithin(options, bitmapHeader(file));
  return decodes.run(Math.min(held, decodes.limit), () => {
    const { width, height, pixels } = readBitmap(file);
    return sharp(pixels, { raw: { width, height, channels: 3 } })
      .png({ compressionLevel: 0 })
      .toBuffer();
  });
}

function refuse(reason: string, cause?: unknown): never {
  throw new Error(reason, { cause });
}

const megapixels = (pixels: number) => (pixels / 1e6).toFixed(pixels < 1e7 ? 1 : 0);

const kindOf = ({ format, isProgressive }: Metadata) => `${isProgressive ? "interlaced " : ""}${format.toUpperCase()}`;

const depthBytes: Record<string, number> = { uchar: 1, char: 1, ushort: 2, short: 2, uint: 4, int: 4, float: 4 };
/** Bytes for each pixel that libvips held at most in a decode, measured, where it does not read line by line. */
const wholeImage: Record<string, number> = { heif: 20, gif: 5, webp: 9 };

/** Bytes that a decode holds at most. */
function decodeBytes(metadata: Metadata, source: Encoded): number {
  const { width, height, channels, depth, format, isProgressive, orientation = 1 } = metadata;
  const whole = channels * (depthBytes[depth] ?? 16);
  let each = wholeImage[format] ?? (isProgressive || format === "tiff" || orientation > 1 ? whole : 1);
  if (isUnusualDepth(metadata)) each += 3 * 4 + 3;
  if (metadata.hasAlpha) each += source.kind === "file" && source.trim ? 2 * whole : 1;
  return width * height * each;
}

async function squared({ image, fit: usual }: Opened, options: DecodeOptions): Promise<Uint8Array> {
  const { size, channels } = options;
  const fit = options.fit === "squash" ? "fill" : usual;
  const background = { r: 255, g: 255, b: 255, alpha: channels === 4 ? 0 : 1 };
  const square = image.resize(size, size, { fit, background }).toColourspace("srgb");
  const shaped = channels === 4 ? square.ensureAlpha() : square.flatten({ background: "#fff" }).removeAlpha();
  const { data, info } = await shaped.raw({ depth: "uchar" }).toBuffer({ resolveWithObject: true });
  if (info.channels === channels) return data;
  if (info.channels === 1) return expandGrey(data, channels);
  throw new Error(`it has ${info.channels} channels where ${channels} are expected`);
}

async function openImage(bytes: Buffer, source: Encoded, metadata: Metadata, options: DecodeOptions): Promise<Opened> {
  // sharp's own limit is lower, and its message says neither file nor number.
  const limits = { limitInputPixels: options.pixelLimit, failOn: "truncated" as const };
  const { width, height, hasAlpha } = metadata;
  const [crop, trim] = source.kind === "file" ? [source.crop, source.trim] : [];
  if (isUnusualDepth(metadata) && !crop) {
    const image = await stretched(bytes, metadata, limits);
    if (image) return { image, fit: "cover" };
  }
  const image = sharp(bytes, limits);
  if (crop) return { image: image.extract(boxOf(crop, width, height)), fit: hasAlpha ? "contain" : "cover" };
  if (trim && hasAlpha) return { image: await trimmed(image), fit: "contain" };
  // In a square image there is nothing to crop or to fill.
  const isDrawing = hasAlpha && width !== height && (await hasTransparency(image));
  return { image: isPlain(metadata) ? image : whole(image, metadata), fit: isDrawing ? "contain" : "cover" };
}

/** True when libvips resizes all pixels of a file as they are in it. */
function isPlain({ format, orientation = 1 }: Metadata): boolean {
  return orientation === 1 && format !== "jpeg" && format !== "webp";
}

/**
 * Upright before it is resized, and decoded at its own size. sharp would have JPEG and WebP files decoded at a fraction of it.
 * That takes no mean of the pixels, and `squared` in src/runtime, which gets pixels from elsewhere, could not repeat it.
 */
function whole(image: Sharp, { width, height, orientation = 1 }: Metadata): Sharp {
  const [across, down] = orientation > 4 ? [height, width] : [width, height];
  return image.autoOrient().extract({ left: 0, top: 0, width: across, height: down });
}

/** Many photographs have an alpha channel that is opaque everywhere. */
async function hasTransparency(image: Sharp): Promise<boolean> {
  const alpha = await image.clone().extractChannel("alpha").raw({ depth: "uchar" }).toBuffer();
  return alpha.some((value) => value < 255);
}

async function glyph({
  text,
  fontFile,
  font = fontName(fontFile),
}: Extract<ImageSource, { kind: "glyph" }>): Promise<Sharp> {
  const input = { text: escapeMarkup(text), fontfile: fontFile, font, rgba: true, dpi: 300 };
  const margin = 8;
  const transparent = { r: 0, g: 0, b: 0, alpha: 0 };
  const rendered = await sharp({ text: input })
    .extend({ top: margin, bottom: margin, left: margin, right: margin, background: transparent })
    .png()
    .toBuffer();
  return sharp(rendered);
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
function boxOf(crop: Crop, width: number, height: number): Region {
  const box = "bottom" in crop ? { left: 0, top: 0, width, height: height - crop.bottom } : crop;
  const fits = box.height >= 1 && box.left + box.width <= width && box.top + box.height <= height;
  if (fits) return box;
  const part = "bottom" in crop ? `${crop.bottom} rows at the bottom` : JSON.stringify(crop);
  return refuse(`it has ${width} x ${height} pixels, which do not hold ${part}: is it the right image?`);
}

async function rawImage(source: Extract<ImageSource, { kind: "raw" }>): Promise<Sharp> {
  const { width, height, channels, planar, path, offset } = source;
  const bytes = await withFile(path, (file) => readAt(file, offset, width * height * channels));
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

/** Runs a function on the encoded bytes, whose memory is counted meanwhile. */
async function withBytes<T>(source: Encoded, fn: (bytes: Buffer) => Promise<T>): Promise<T> {
  if (source.kind === "bytes") return fn(viewOf(source.bytes));
  const within = (length: number, read: () => Promise<Buffer>) => {
    if (length > files.limit)
      refuse(`the file has ${megapixels(length)} MB, more than the ${megapixels(files.limit)} that are read`);
    return files.run(length, async () => fn(await read()));
  };
  if (source.kind === "shard") return within(source.length, () => source.shard.read(source.offset, source.length));
  return withFile(source.path, async (file) => {
    const [offset, length] = source.kind === "part" ? [source.offset, source.length] : [0, (await file.stat()).size];
    return within(length, () => readAt(file, offset, length));
  });
}

const viewOf = ({ buffer, byteOffset, byteLength }: Uint8Array) => Buffer.from(buffer, byteOffset, byteLength);

async function readAt(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(bytes, done, length - done, offset + done);
    if (bytesRead === 0) refuse("it ends inside an image: it changed since it was opened");
    done += bytesRead;
  }
  return bytes;
}

async function withFile<T>(path: string, fn: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await openRegularHandle(path);
  try {
    return await fn(file);
  } catch (error) {
    throw explainRead(error, path);
  } finally {
    await file.close();
  }
}

function expandGrey(grey: Uint8Array, channels: 3 | 4): Uint8Array {
  const result = new Uint8Array(grey.length * channels).fill(255);
  for (let i = 0; i < grey.length; i++) result.fill(grey[i] ?? 0, i * channels, i * channels + 3);
  return result;
}

function fontName(path: string): string {
  return basename(path, ".ttf")
    .replace(/([a-z])([A-Z])/g, "$1 $2")
    .replace("-", " ")
    .replace("Regular", "");
}

function escapeMarkup(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
