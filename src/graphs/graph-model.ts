/** Model in a format that brings a graph: ONNX, TensorFlow.js, TorchScript. n images, d features. */
import { quoted } from "../io/index.ts";
import { Module } from "../nn/index.ts";
import { arange, cat, inferenceMode, ops, scope, type Tensor, UserError } from "../torch/index.ts";
import { narrow } from "./features.ts";

export interface GraphModelOptions {
  /** Name of the tensor that serves as features; the reader's own choice when left out. */
  features?: string | undefined;
  device?: string | undefined;
  /** Side of the images in pixels where the file does not fix it (default 224): only for finding the feature width. */
  size?: number | undefined;
}

/** Height and width in pixels. */
export type Sides = readonly [number, number];

export type Layout = "NHWC" | "NCHW";

/** The images that a graph takes. */
export interface GraphInput {
  readonly name: string;
  readonly layout: Layout;
  /** Channels of its images: grey ones are made from colours by their luminance. */
  readonly channels: 1 | 3;
  /** Height and width of the input, when the graph fixes them. */
  readonly sides: Sides | undefined;
}

/**
 * A trainable network read from a file: its weights are parameters, its BatchNorm layers are BatchNorm2d, so that the
 * hub's policy reaches them.
 */
export abstract class GraphModel extends Module {
  abstract readonly input: GraphInput;
  /** The tensor that serves as features. */
  abstract readonly featuresName: string;
  /** Width d of the features. */
  abstract readonly featureWidth: number;
  /** Tensors that could serve as features, the reader's choice first. */
  abstract readonly candidates: readonly string[];
  /** All files that make up the model, the one that names the others first. */
  abstract readonly files: readonly string[];
  /** Remarks for whoever adds the model: parts that were left away, images that run one by one. */
  readonly notes: readonly string[] = [];

  /** True for features so narrow that they tell little of an image. */
  get isNarrow(): boolean {
    return this.featureWidth < narrow;
  }

  /** Images [n, 3, H, W], normalised as the model expects whatever its own layout, to features [n, d]; maps are averaged over space. */
  abstract override forward(images: Tensor): Tensor;

  /** Scores of its own classes [n, S] from images, when the graph goes on to a classifier. */
  classify(_images: Tensor): Tensor | undefined {
    return undefined;
  }
}

/** The images of a graph, with the number of them that the file fixes. */
export interface GraphImages extends GraphInput {
  readonly batch: number | undefined;
}

/** Larger fixed batches and images would need too much for the run that checks a network. */
const largest = { batch: 64, side: 2048 };

/**
 * The images that a graph takes, from the sizes of its input: those that are missing, 0 or negative are open.
 * @param layout the layout where the sizes do not tell
 * @throws UserError when they are no colour or grey images, or too many or too large
 */
export function imagesOf(
  name: string,
  sizes: readonly number[] | undefined,
  layout: Layout | { readonly said: Layout },
  file: string,
): GraphImages {
  const fail = (what: string): never => {
    throw new UserError(`${file}: its input ${quoted(name)} ${what}`);
  };
  const own = typeof layout === "string" ? layoutOf(sizes ?? [], layout) : layout.said;
  if (!sizes || sizes.length === 0) return { name, layout: own, channels: 3, sides: undefined, batch: undefined };
  const known = sizes.map((size) => (size > 0 ? size : undefined));
  const [batch, second, third, fourth] = known;
  const [channels = 3, height, width] = own === "NHWC" ? [fourth, second, third] : [second, third, fourth];
  if (sizes.length !== 4 || (channels !== 3 && channels !== 1)) {
    return fail(`has the shape [${known.map((size) => size ?? "?").join(", ")}]; colour or grey images are needed`);
  }
  const [h, w] = [height ?? width, width ?? height];
  const size = Math.max(h ?? 0, w ?? 0);
  if (size > largest.side) return fail(`has a side of ${size}; ${largest.side} are supported`);
  if (batch !== undefined && batch > largest.batch) {
    return fail(`is made for ${batch} images at a time: export the network with a dynamic batch`);
  }
  return { name, layout: own, channels, sides: h === undefined || w === undefined ? undefined : [h, w], batch };
}

/** Layout whose channel dimension has 3 channels, or else 1; `otherwise` where both dimensions would do. */
function layoutOf([, second, , fourth]: readonly number[], otherwise: Layout): Layout {
  const rank = (size: number | undefined): number => (size === 3 ? 2 : size === 1 ? 1 : 0);
  if (rank(second) === rank(fourth)) return otherwise;
  return rank(second) > rank(fourth) ? "NCHW" : "NHWC";
}

/** Parts of red, green and blue in the luminance (ITU-R BT.601). */
const luminance = [0.299, 0.587, 0.114] as const;

/**
 * Images [n, 3, H, W] as a graph takes them: in its layout, grey for one channel.
 * @throws UserError when their shape is another
 */
export function arranged(images: Tensor, input: GraphInput, file: string): Tensor {
  const { sides } = input;
  const [, channels, height, width] = images.shape;
  if (images.dim() !== 4 || channels !== 3 || (sides && (height !== sides[0] || width !== sides[1]))) {
    const wanted = sides ?? ["H", "W"];
    throw new UserError(`${file} takes images [n, 3, ${wanted.join(", ")}], not [${images.shape.join(", ")}]`);
  }
  const shown = input.channels === 1 ? grey(images) : images;
  return input.layout === "NHWC" ? shown.permute([0, 2, 3, 1]) : shown;
}

function grey(images: Tensor): Tensor {
  const [red, green, blue] = luminance.map((part, i) => images.narrow(1, i, 1).mul(part)) as [Tensor, Tensor, Tensor];
  return red.add(green).add(blue);
}

/** Images [n, 3, H, W] that differ from each other, without zeros, the same in every run. */
export function pattern(n: number, [height, width]: Sides, first = 0): Tensor {
  const pixels = 3 * height * width;
  const numbers = arange(first * pixels, (first + n) * pixels, 1, { dtype: "float32" });
  return ops
    .sin(
      numbers
        .mul(0.7)
        .add(ops.sin(numbers.mul(1e-3)))
        .add(0.3),
    )
    .view([n, 3, height, width]);
}

/** Runs a network that takes one image at a time, [1, ...], on each of several. */
export function oneByOne(images: Tensor, run: (image: Tensor) => Tensor): Tensor {
  const n = images.size(0);
  return n === 1 ? run(images) : cat(Array.from({ length: n }, (_, i) => run(images.narrow(0, i, 1))));
}

/** Largest difference between features of the same images in batches of different sizes. */
const batchTolerance = 1e-3;

/**
 * True when a network gives images the same rows in one batch of twice `size` as in two of `size`; false when it cannot
 * run.
 */
function batchesAgree(size: number, sides: Sides, run: (images: Tensor) => Tensor): boolean {
  return scope(() =>
    inferenceMode(() => {
      const images = pattern(2 * size, sides);
      const halves = [0, 1].map((i) => run(images.narrow(0, i * size, size)));
      const together = attempt(() => run(images));
      if (!together || together.size(0) !== 2 * size) return false;
      return halves.every((half, i) => {
        const difference = together
          .narrow(0, i * size, size)
          .sub(half)
          .abs()
          .max()
          .item();
        return difference <= batchTolerance * (half.abs().max().item() + 1e-6);
      });
    }),
  );
}

function attempt<T>(fn: () => T): T | undefined {
  try {
    return fn();
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/**
 * True when a graph that fixes its batch must see its images one by one: a larger batch cannot run or changes the
 * features.
 * @throws UserError when the batch that it fixes has several images
 */
export function runsOneByOne(batch: number, sides: Sides, file: string, run: (images: Tensor) => Tensor): boolean {
  if (batchesAgree(batch, sides, run)) return false;
  if (batch === 1) return true;
  throw new UserError(
    `${file} is made for ${batch} images at a time, and cannot be made to take any other number: ` +
      "export the network with a dynamic batch",
  );
}

/** The note on such a graph. */
export const oneByOneNote =
  "its graph takes one image at a time and cannot be rewritten: its images run one by one, which is slower";
