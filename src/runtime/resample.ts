/**
 * Images of any size as the squares that models take, with the numbers that libvips gives while a run is trained. It takes a box
 * filter by a whole factor, then Lanczos 3 for the rest, in fixed point; Catmull-Rom where an image is enlarged. Browsers' own
 * resizing has other kernels, and each browser another one.
 */

/** Interleaved bytes [height, width, 3], or 4 with alpha that is not premultiplied. */
export interface Pixels {
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
}

/** Values [height, width, 3]. */
interface Plain {
  readonly data: Uint8Array | Uint8ClampedArray | Int16Array;
  readonly width: number;
  readonly height: number;
}

/** Coefficients are rounded to 1 / 4096, positions between two pixels to 1 / 64, as libvips does. */
const one = 4096;
const steps = 64;
const lobes = 3;

/**
 * Bytes [size, size, 3]. What is transparent becomes white. Photographs are cropped to the square, drawings with transparent parts
 * are fitted into it.
 * @throws RangeError when the data is not that of such an image
 */
export function squared(pixels: Pixels, size: number): Uint8Array {
  const { width, height } = pixels;
  const { plain, hasTransparency } = overWhite(pixels);
  const [across, down] = [width / size, height / size];
  const isFitted = hasTransparency && width !== height;
  const shrink = isFitted ? Math.max(across, down) : Math.min(across, down);
  return framed(resized(plain, shrink), size);
}

function overWhite({ data, width, height }: Pixels): { plain: Plain; hasTransparency: boolean } {
  const count = width * height;
  const channels = data.length / count;
  if (!(count > 0) || (channels !== 3 && channels !== 4)) {
    throw new RangeError(
      `${data.length} bytes are not ${width} x ${height} pixels of red, green and blue, with or without alpha`,
    );
  }
  if (channels === 3) return { plain: { data: Uint8Array.from(data), width, height }, hasTransparency: false };
  const plain = new Uint8Array(3 * count);
  let hasTransparency = false;
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    const alpha = data[from + 3] ?? 255;
    if (alpha < 255) hasTransparency = true;
    const white = 255 * (255 - alpha);
    for (let c = 0; c < 3; c++) plain[to + c] = Math.floor(((data[from + c] ?? 0) * alpha + white) / 255);
  }
  return { plain: { data: plain, width, height }, hasTransparency };
}

function resized(image: Plain, shrink: number): Plain {
  const { data, width, height } = image;
  if (shrink < 1) {
    const wide = enlarged({ data, length: width, group: height, run: 3 }, shrink, Int16Array);
    const high = enlarged({ ...wide, length: height, group: 1, run: 3 * wide.length }, shrink, Uint8ClampedArray);
    return { data: high.data, width: wide.length, height: high.length };
  }
  const high = reduced({ data, length: height, group: 1, run: 3 * width }, Math.min(shrink, height));
  const wide = reduced({ ...high, length: width, group: high.length, run: 3 }, Math.min(shrink, width));
  return { data: wide.data, width: wide.length, height: high.length };
}

/** Values [group, length, run], of which the middle axis is resized. */
interface Axis {
  readonly data: Uint8Array | Uint8ClampedArray | Int16Array;
  readonly length: number;
  readonly group: number;
  readonly run: number;
}

/** The axis with round(length / shrink) pixels. @param shrink at least 1 */
function reduced(axis: Axis, shrink: number): Axis {
  const { length } = axis;
  const target = rounded(length / shrink);
  const factor = Math.max(1, Math.floor(length / target / 2));
  const rest = shrink / factor;
  if (rest === 1) return boxed(axis, factor);
  const points = 2 * nearestEven(lobes * rest) + 1;
  // Pixels that the rounded length adds or leaves out are shared between both ends.
  const added = (target * shrink - length) / factor;
  const start = 0.5 * rest - 0.5 - ((1 + added) / 2 - 1);
  return filtered(boxed(axis, factor), { target, start, step: rest, points, kernel: lanczos(rest) });
}

function enlarged(axis: Axis, shrink: number, values: Values): Axis {
  const target = rounded(axis.length / shrink);
  return filtered(axis, { target, start: -0.5, step: shrink, points: 4, kernel: catmullRom }, values);
}

/** Means of `factor` pixels each; the last one repeats the edge. */
function boxed(axis: Axis, factor: number): Axis {
  if (factor === 1) return axis;
  const { data, length, group, run } = axis;
  const target = Math.ceil(length / factor);
  const result = new Uint8Array(group * target * run);
  const sums = new Uint32Array(run);
  // The division of libvips' vector code.
  const inverse = Math.floor(2 ** 24 / factor);
  for (let g = 0; g < group; g++) {
    for (let i = 0; i < target; i++) {
      sums.fill(factor >> 1);
      for (let j = i * factor; j < (i + 1) * factor; j++) {
        const from = (g * length + Math.min(j, length - 1)) * run;
        for (let r = 0; r < run; r++) sums[r] = (sums[r] ?? 0) + (data[from + r] ?? 0);
      }
      const to = (g * target + i) * run;
      for (let r = 0; r < run; r++) result[to + r] = Math.floor(((sums[r] ?? 0) * inverse) / 2 ** 24);
    }
  }
  return { data: result, length: target, group, run };
}

/** Weight of a pixel at a distance from the middle, before the weights are made to sum to 1. */
type Kernel = (distance: number) => number;
type Values = typeof Uint8ClampedArray | typeof Int16Array;

interface Filter {
  readonly target: number;
  /** Where the first new pixel lies: its middle, or the edge before it when the number of points is odd. */
  readonly start: number;
  readonly step: number;
  /** Pixels that a new one is made of. */
  readonly points: number;
  readonly kernel: Kernel;
}

/** Weighted sums of pixels around each position; the edges are repeated. */
function filtered(axis: Axis, filter: Filter, values: Values = Uint8ClampedArray): Axis {
  const { data, length, group, run } = axis;
  const { target, start, step, points, kernel } = filter;
  const result = new values(group * target * run);
  const tables = new Map<number, Int32Array>();
  const sums = new Int32Array(run);
  const before = Math.ceil(points / 2) - 1;
  for (let i = 0, position = start; i < target; i++, position += step) {
    const whole = Math.floor(position);
    const part = (Math.trunc((position - whole) * steps * 2) + 1) >> 1;
    const weights = tables.get(part) ?? tableOf(kernel, points, points / 2 - 1 + part / steps);
    tables.set(part, weights);
    for (let g = 0; g < group; g++) {
      sums.fill(one >> 1);
      for (let p = 0; p < points; p++) {
        const weight = weights[p] ?? 0;
        const from = (g * length + Math.min(Math.max(whole - before + p, 0), length - 1)) * run;
        for (let r = 0; r < run; r++) sums[r] = (sums[r] ?? 0) + weight * (data[from + r] ?? 0);
      }
      const to = (g * target + i) * run;
      for (let r = 0; r < run; r++) result[to + r] = (sums[r] ?? 0) >> 12;
    }
  }
  return { data: result, length: target, group, run };
}

/** Weights of the points of a filter whose middle lies at `middle`, in parts of 4096. */
function tableOf(kernel: Kernel, points: number, middle: number): Int32Array {
  const weights = Array.from({ length: points }, (_, p) => kernel(p - middle));
  const sum = weights.reduce((a, b) => a + b, 0);
  return Int32Array.from(weights, (weight) => Math.trunc((weight / sum) * one));
}

function lanczos(width: number): Kernel {
  return (distance) => {
    const x = (Math.PI * distance) / width;
    if (x === 0) return 1;
    return Math.abs(x) > lobes * Math.PI ? 0 : (lobes * Math.sin(x) * Math.sin(x / lobes)) / (x * x);
  };
}

function catmullRom(distance: number): number {
  const x = Math.abs(distance);
  if (x >= 2) return 0;
  return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : ((2.5 - 0.5 * x) * x - 4) * x + 2;
}

/** The middle of a larger image, or the image in the middle of white. */
function framed({ data, width, height }: Plain, size: number): Uint8Array {
  const result = new Uint8Array(3 * size * size).fill(255);
  const [left, top] = [offsetOf(width, size), offsetOf(height, size)];
  const from = Math.max(left, 0);
  const columns = Math.min(width, size);
  for (let y = 0; y < Math.min(height, size); y++) {
    const row = ((y + Math.max(top, 0)) * width + from) * 3;
    result.set(data.subarray(row, row + 3 * columns), ((y + Math.max(-top, 0)) * size + Math.max(-left, 0)) * 3);
  }
  return result;
}

/** Pixels that are cut off before the square; below 0 those that are added. */
const offsetOf = (length: number, size: number): number =>
  length > size ? (length - size + 1) >> 1 : -((size - length) >> 1);

const rounded = (value: number): number => Math.floor(value + 0.5);

/** The nearest whole number, halves to the even one. */
function nearestEven(value: number): number {
  const whole = rounded(value);
  return whole - value === 0.5 && whole % 2 !== 0 ? whole - 1 : whole;
}
