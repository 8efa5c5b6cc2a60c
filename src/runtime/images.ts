/** Whatever a caller has as an image, as the numbers that a bundle's files take: [3, S, S] in [0, 1]. */
import { BundleError } from "./check.ts";
import { type Drawable, platform } from "./platform.ts";
import { type Pixels, squared } from "./resample.ts";

/** Numbers that were prepared already: dims [3, S, S] or [1, 3, S, S], red, green and blue from 0 to 1. */
export interface ImageTensor {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

/** ImageData and other upright pixels, an encoded file where there is a browser, a bitmap or canvas, or a tensor. */
export type ImageInput = Pixels | Blob | Drawable | ImageTensor;

/** @throws BundleError when it is no image, or cannot be read here */
export async function planesOf(image: ImageInput, size: number): Promise<Float32Array> {
  if ("dims" in image) return tensorOf(image, size);
  try {
    return planes(squared(await pixelsOf(image), size));
  } catch (error) {
    if (error instanceof RangeError) throw new BundleError(error.message, { cause: error });
    throw error;
  }
}

function tensorOf({ data, dims }: ImageTensor, size: number): Float32Array {
  const wanted = [3, size, size];
  const own = dims.length === 4 && dims[0] === 1 ? dims.slice(1) : dims;
  if (own.join() === wanted.join() && data.length === 3 * size * size) return data;
  throw new BundleError(
    `the image has dims [${dims.join(", ")}] and ${data.length} numbers: [${wanted.join(", ")}] is expected`,
  );
}

async function pixelsOf(image: Pixels | Blob | Drawable): Promise<Pixels> {
  if ("data" in image) return image;
  if (!("size" in image)) return drawn(image);
  if (!platform.createImageBitmap) {
    throw new BundleError("an encoded image cannot be read here: decode it, and give its pixels with width and height");
  }
  // Upright and in sRGB, which are the defaults of createImageBitmap.
  const bitmap = await platform.createImageBitmap(image).catch((cause: unknown) => {
    throw new BundleError("the file is no image that this browser reads", { cause });
  });
  try {
    return drawn(bitmap);
  } finally {
    bitmap.close();
  }
}

function drawn(image: Drawable): Pixels {
  const { width, height } = image;
  const canvas = platform.OffscreenCanvas && new platform.OffscreenCanvas(width, height);
  const context = canvas?.getContext("2d", { willReadFrequently: true });
  if (!context) throw new BundleError("images cannot be drawn here: give pixels with width and height");
  context.drawImage(image, 0, 0);
  return { data: context.getImageData(0, 0, width, height).data, width, height };
}

/** [S, S, 3] bytes to [3, S, S] in [0, 1]. */
export function planes(interleaved: Uint8Array): Float32Array {
  const count = interleaved.length / 3;
  const result = new Uint8Array(interleaved.length);
  for (let c = 0; c < 3; c++) {
    for (let p = 0; p < count; p++) result[c * count + p] = interleaved[3 * p + c] ?? 0;
  }
  return unit(result);
}

/** Bytes as numbers from 0 to 1, as they are computed while training. */
export function unit(bytes: Uint8Array): Float32Array {
  return Float32Array.from(bytes, (value) => value * Math.fround(1 / 255));
}
