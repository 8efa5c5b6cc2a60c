/** Layers of Keras that move numbers around. */
import { quoted } from "../../../io/index.ts";
import { cat, ops, type Tensor, UserError } from "../../../torch/index.ts";
import { type Fields, isInt } from "../json.ts";
import { resize } from "../resize.ts";
import type { Pair } from "../spatial.ts";
import { type Builder, type Call, layoutOf, unary } from "./layer.ts";

/** As Keras has it: channels come last in the flat vector, whatever the layout. */
export const flatten: Builder = ({ config }) => {
  const first = layoutOf(config) === "NCHW";
  return unary((x) => {
    if (x.dim() < 2) throw new UserError(`a tensor of ${x.dim()} dimensions cannot be flattened`);
    const last = first && x.dim() > 2 ? x.permute([0, ...x.shape.map((_, dim) => dim).slice(2), 1]) : x;
    return ops.flatten(last, 1);
  });
};

export const reshape: Builder = ({ config }) => {
  const given = config.list("target_shape").map((size) => size ?? -1);
  const sizes = given.filter((size): size is number => isInt(size, { min: -1 }));
  if (sizes.length !== given.length || sizes.filter((size) => size === -1).length > 1) {
    config.fail(`the target shape ${quoted(given)} must be sizes, at most one of them unknown`);
  }
  return unary((x) => x.reshape([x.size(0), ...sizes]));
};

export const permute: Builder = ({ config }) => {
  const dims = config.ints("dims", { min: 1, max: 16 });
  if (new Set(dims).size !== dims.length || Math.max(...dims) !== dims.length) {
    config.fail(`the dimensions ${quoted(dims)} are no order`);
  }
  return unary((x) => x.permute([0, ...dims]));
};

export const repeatVector: Builder = ({ config }) => {
  const n = config.int("n", { min: 1, max: 2 ** 20 });
  return unary((x, context) => {
    context.allow([x.size(0), n, ...x.shape.slice(1)]);
    return x.unsqueeze(1).expand([x.size(0), n, ...x.shape.slice(1)]);
  });
};

/** [[top, bottom], [left, right]] from a number, two numbers, or two pairs. */
function edges(config: Fields, key: string): readonly [Pair, Pair] {
  const raw = config.raw(key) ?? 1;
  const range = { min: 0, max: 2 ** 16 };
  const pairs = (Array.isArray(raw) ? (raw as unknown[]) : [raw, raw]).map((entry) =>
    Array.isArray(entry) ? (entry as unknown[]) : [entry, entry],
  );
  const numbers = pairs.flat().filter((entry) => isInt(entry, range));
  const [top = 0, bottom = 0, left = 0, right = 0] = numbers;
  if (pairs.length !== 2 || pairs.some((pair) => pair.length !== 2) || numbers.length !== 4) {
    config.fail(`"${key}" must be pixels: one number, two, or two pairs of them; it is ${quoted(raw)}`);
  }
  return [
    [top, bottom],
    [left, right],
  ];
}

export const zeroPadding2d: Builder = ({ config }) => {
  const [[top, bottom], [left, right]] = edges(config, "padding");
  const last = layoutOf(config) === "NHWC";
  return images((x, context) => {
    const pads = last ? [0, 0, left, right, top, bottom] : [left, right, top, bottom];
    const [vertical, horizontal] = last ? [1, 2] : [2, 3];
    context.allow(
      x.shape.map((size, dim) => {
        if (dim === vertical) return size + top + bottom;
        return dim === horizontal ? size + left + right : size;
      }),
    );
    return ops.constant_pad_nd(x, pads, 0);
  });
};

export const cropping2d: Builder = ({ config }) => {
  const [[top, bottom], [left, right]] = edges(config, "cropping");
  const [vertical, horizontal] = layoutOf(config) === "NHWC" ? [1, 2] : [2, 3];
  return images((x) => {
    const height = x.size(vertical) - top - bottom;
    const width = x.size(horizontal) - left - right;
    if (height < 1 || width < 1) throw new UserError("cropping leaves nothing");
    return x.narrow(vertical, top, height).narrow(horizontal, left, width);
  });
};

function resizing(config: Fields, method: string, halfPixelCenters: boolean, sizeOf: (x: Tensor) => Pair): Call {
  if (method !== "nearest" && method !== "bilinear") config.fail(`interpolation ${quoted(method)} is not supported`);
  const options = {
    method: method === "nearest" ? "nearest" : "bilinear",
    alignCorners: false,
    halfPixelCenters,
  } as const;
  const first = layoutOf(config) === "NCHW";
  return images((x, context) => {
    const last = first ? x.permute([0, 2, 3, 1]) : x;
    const resized = resize(last, sizeOf(last), options, context);
    return first ? resized.permute([0, 3, 1, 2]) : resized;
  });
}

/** Pixel centres lie where TensorFlow.js has them, which for "bilinear" differs from Keras. */
export const upSampling2d: Builder = ({ config }) => {
  const [vertical, horizontal] = config.pair("size", { min: 1, max: 1024 }, [2, 2]);
  const method = config.string("interpolation", "nearest");
  return resizing(config, method, false, (x) => [x.size(1) * vertical, x.size(2) * horizontal]);
};

/** Pixel centres lie where Keras has them: TensorFlow.js cannot run its own layer of that name. */
export const resizingLayer: Builder = ({ config }) => {
  const range = { min: 1, max: 2 ** 14 };
  const size: Pair = [config.int("height", range), config.int("width", range)];
  if (config.boolean("crop_to_aspect_ratio", false)) config.fail("crop_to_aspect_ratio is not supported");
  return resizing(config, config.string("interpolation", "bilinear"), true, () => size);
};

function images(fn: Parameters<typeof unary>[0]): Call {
  return unary((x, context) => {
    if (x.dim() !== 4) throw new UserError(`it needs images, not a tensor of ${x.dim()} dimensions`);
    return fn(x, context);
  });
}

export const concatenate: Builder = ({ config }) => {
  const axis = config.int("axis", { min: -16, max: 16 }, -1);
  return (inputs, context) => {
    const [first] = inputs;
    if (!first) throw new UserError("nothing to concatenate");
    const dim = axis < 0 ? axis + first.dim() : axis;
    const length = inputs.reduce((sum, x) => sum + (x.shape[dim] ?? 0), 0);
    context.allow(first.shape.map((size, i) => (i === dim ? length : size)));
    return inputs.length === 1 ? first : cat(inputs, dim);
  };
};
