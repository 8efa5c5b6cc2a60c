/**
 * Resizing: nearest, linear, cubic, with every convention of where pixels lie but cropping. Images in libtorch's own two
 * ways go to its kernels; everything else goes one dimension after the other.
 */
import { quoted } from "../../../io/index.ts";
import { ops, type Tensor, tensor } from "../../../torch/index.ts";
import { sizeOf } from "../../values.ts";
import type { Call, Result } from "../call.ts";
import { upTo } from "./support.ts";

interface Along {
  readonly dim: number;
  readonly from: number;
  readonly to: number;
  readonly scale: number;
}

interface Options {
  readonly mode: string;
  readonly coordinates: string;
  readonly nearest: string;
  readonly antialias: boolean;
  readonly excludes: boolean;
  readonly cubic: number;
}

/** Up to operator set 10 only scales, as `Upsample` had them; then also sizes. */
export function Resize(call: Call): Result {
  const old = call.opset < 11;
  const mode = call.string("mode", "nearest");
  const options: Options = {
    mode,
    coordinates: call.string("coordinate_transformation_mode", old ? "asymmetric" : "half_pixel"),
    nearest: call.string("nearest_mode", old ? "floor" : "round_prefer_floor"),
    antialias: call.flag("antialias"),
    excludes: call.flag("exclude_outside"),
    cubic: call.float("cubic_coeff_a", -0.75),
  };
  if (mode !== "nearest" && mode !== "linear" && mode !== "cubic") return call.fail(`has the mode ${quoted(mode)}`);
  if (!known.has(options.coordinates)) {
    return call.fail(`places pixels by ${quoted(options.coordinates)}, which is not supported`);
  }
  if (call.string("keep_aspect_ratio_policy", "stretch") !== "stretch") {
    return call.fail("keeps the aspect ratio, which is not supported: export the network with fixed sizes");
  }
  return resized(call, sidesOf(call, old ? 1 : 2, 3), options);
}
Resize.fixed = [1, 2, 3];

/** The operator before `Resize`. */
export function Upsample(call: Call): Result {
  const coordinates = "asymmetric";
  const mode = call.string("mode", "nearest");
  const options = { mode, coordinates, nearest: "floor", antialias: false, excludes: false, cubic: -0.75 };
  if (mode !== "nearest" && mode !== "linear") return call.fail(`has the mode ${quoted(mode)}`);
  return resized(call, sidesOf(call, 1, 2), options);
}
Upsample.fixed = [1];

const known: ReadonlySet<string> = new Set([
  "half_pixel",
  "half_pixel_symmetric",
  "pytorch_half_pixel",
  "align_corners",
  "asymmetric",
  "tf_half_pixel_for_nn",
]);

/** Changes along each dimension whose size changes, or that is named. */
function sidesOf(call: Call, scalesAt: number, sizesAt: number): Along[] {
  const shape = call.shape(0);
  const axes = call.ints("axes")?.map((axis) => call.dimension(axis, shape.length)) ?? upTo(shape.length);
  const hasScales = call.has(scalesAt) && sizeOf(call.shape(scalesAt)) > 0;
  const values = hasScales ? call.numbers(scalesAt) : call.has(sizesAt) ? call.numbers(sizesAt) : [];
  if (values.length !== axes.length) return call.fail(`has ${values.length} sizes for ${axes.length} dimensions`);
  return axes.flatMap((dim, i) => {
    const [from, value] = [shape[dim] ?? 0, values[i] ?? 1];
    const fixed = call.reference?.inputs[0]?.[dim] ?? from;
    // The batch of the file stands for this run's.
    const stays = hasScales ? value === 1 : value === fixed;
    if (stays) return [];
    call.along(dim);
    const to = hasScales ? Math.floor(from * value) : value;
    if (!(to > 0) || from === 0) return call.fail(`resizes ${from} pixels to ${to}`);
    return [{ dim, from, to, scale: hasScales ? value : to / from }];
  });
}

function resized(call: Call, sides: readonly Along[], options: Options): Tensor {
  const x = call.tensor(0);
  const shape = [...x.shape];
  for (const { dim, to } of sides) shape[dim] = to;
  call.allow(shape);
  const fast = sides.every(({ dim }) => dim >= 2) && x.dim() === 4 ? libtorchs(x, sides, options) : undefined;
  if (fast) return fast;
  return sides.reduce((made, side) => along(call, made, side, options), x.mul(1));
}

function libtorchs(x: Tensor, sides: readonly Along[], options: Options): Tensor | undefined {
  const { mode, coordinates, nearest, antialias } = options;
  const side = (dim: number): Along | undefined => sides.find((one) => one.dim === dim);
  const size = [side(2)?.to ?? x.size(2), side(3)?.to ?? x.size(3)];
  const [vertical, horizontal] = [side(2)?.scale ?? 1, side(3)?.scale ?? 1];
  if (antialias || size.includes(1)) return undefined;
  if (mode === "nearest" && coordinates === "asymmetric" && nearest === "floor") {
    return ops.upsample_nearest2d(x, size, vertical, horizontal);
  }
  if (mode !== "linear") return undefined;
  if (coordinates === "align_corners") return ops.upsample_bilinear2d(x, size, true);
  const isHalf = coordinates === "half_pixel" || coordinates === "pytorch_half_pixel";
  return isHalf ? ops.upsample_bilinear2d(x, size, false, vertical, horizontal) : undefined;
}

/** Position in the input of pixel i of the result. */
function source(i: number, { from, to, scale }: Along, coordinates: string): number {
  if (coordinates === "align_corners") return to === 1 ? 0 : (i * (from - 1)) / (to - 1);
  if (coordinates === "asymmetric") return i / scale;
  if (coordinates === "tf_half_pixel_for_nn") return (i + 0.5) / scale;
  if (coordinates === "pytorch_half_pixel" && to === 1) return 0;
  if (coordinates === "half_pixel_symmetric") {
    // The part of the last pixel that rounding cut off is shared by both sides.
    const center = from / 2;
    return center * (1 - to / (from * scale)) + (i + 0.5) / scale - 0.5;
  }
  return (i + 0.5) / scale - 0.5;
}

/** Free of what the arithmetic left behind the binary point, which would decide between neighbours. */
function settled(place: number): number {
  return Math.round(place * 2 ** 20) / 2 ** 20;
}

const roundings: Readonly<Record<string, (x: number) => number>> = {
  round_prefer_floor: (x) => Math.ceil(x - 0.5),
  round_prefer_ceil: (x) => Math.floor(x + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
};

function along(call: Call, x: Tensor, side: Along, options: Options): Tensor {
  const { dim, from, to } = side;
  const clamp = (i: number): number => Math.min(Math.max(i, 0), from - 1);
  const at = Array.from({ length: to }, (_, i) => source(i, side, options.coordinates));
  if (options.mode === "nearest") {
    const rounding = roundings[options.nearest] ?? call.fail(`rounds by ${quoted(options.nearest)}`);
    const picked = BigInt64Array.from(at, (place) => BigInt(clamp(rounding(settled(place)))));
    return ops.index_select(x, dim, tensor(picked, { device: x.device }));
  }
  call.allow([from, to], sizeOf(x.shape) * to);
  const weights = new Float64Array(from * to);
  for (const [i, place] of at.entries()) {
    for (const [tap, weight] of taps(place, side, options)) {
      if (options.excludes && tap !== clamp(tap)) continue;
      const j = clamp(tap) * to + i;
      weights[j] = (weights[j] ?? 0) + weight;
    }
    if (options.excludes || options.antialias) normalise(weights, i, to);
  }
  const matrix = tensor(weights, { shape: [from, to], dtype: x.dtype, device: x.device });
  return ops.transpose(ops.matmul(ops.transpose(x, dim, -1), matrix), dim, -1);
}

/** Makes column i sum to 1. */
function normalise(weights: Float64Array, i: number, columns: number): void {
  let sum = 0;
  for (let j = i; j < weights.length; j += columns) sum += weights[j] ?? 0;
  if (sum !== 0) for (let j = i; j < weights.length; j += columns) weights[j] = (weights[j] ?? 0) / sum;
}

/** The input's pixels around a place, which may lie outside, with their weights. */
function taps(place: number, { scale }: Along, { mode, cubic, antialias }: Options): [number, number][] {
  // An antialiasing filter is as wide as what one pixel of the result stands for.
  const width = antialias ? Math.max(1 / scale, 1) : 1;
  const radius = (mode === "cubic" ? 2 : 1) * width;
  const kernel = mode === "cubic" ? (d: number) => keys(d, cubic) : (d: number) => Math.max(1 - d, 0);
  const found: [number, number][] = [];
  for (let tap = Math.floor(place - radius) + 1; tap < place + radius; tap++) {
    found.push([tap, kernel(Math.abs(tap - place) / width)]);
  }
  return found;
}

/** The cubic convolution kernel (Keys 1981). */
function keys(d: number, a: number): number {
  if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}
