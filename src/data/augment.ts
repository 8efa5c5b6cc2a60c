/**
 * Augmentation of whole batches. What happens to a sample depends on (seed, epoch, position in the data set) alone.
 * B batch, C channels (3, or 4 with alpha), S side.
 */
import { keyedRandom, ops, scope, type Tensor, tensor } from "../torch/index.ts";

/** Limits of each change; zero switches it off. */
export interface AugmentOptions {
  /** Smallest part of the image's area that a random resized crop keeps, 0 … 1; 1 switches crops off. */
  minimumArea: number;
  /** Largest change of a crop's aspect ratio, as a factor. */
  aspect: number;
  /** Probability of a horizontal flip. */
  flip: number;
  /** Degrees of rotation to either side. */
  rotation: number;
  /** Degrees of shear to either side. */
  shear: number;
  /** Relative changes of brightness, contrast and saturation. */
  brightness: number;
  contrast: number;
  saturation: number;
  /** Turn of the hue, as a part of the full circle. */
  hue: number;
  /** Probability of losing all colour. */
  grey: number;
  /** Side of an erased square, as a part of the image's side. */
  cutout: number;
  /** Parameter of mixup's Beta distribution (Zhang et al. 2018). */
  mixup: number;
}

const none: AugmentOptions = {
  minimumArea: 1,
  aspect: 1,
  flip: 0,
  rotation: 0,
  shear: 0,
  brightness: 0,
  contrast: 0,
  saturation: 0,
  hue: 0,
  grey: 0,
  cutout: 0,
  mixup: 0,
};

const standard: AugmentOptions = {
  ...none,
  minimumArea: 0.5,
  aspect: 4 / 3,
  flip: 0.5,
  rotation: 10,
  brightness: 0.2,
  contrast: 0.2,
  saturation: 0.2,
};

/** Recipes by name: `randaugment` draws from many changes as RandAugment does (Cubuk et al. 2020). */
export const augmentations = {
  none,
  standard,
  randaugment: {
    ...standard,
    rotation: 20,
    shear: 10,
    hue: 0.1,
    brightness: 0.4,
    contrast: 0.4,
    saturation: 0.4,
    grey: 0.1,
    cutout: 0.3,
  },
  mixup: { ...standard, mixup: 0.2 },
  /** The usual change of papers on fine-tuning: a crop, resized, and a flip; `cropScale` widens its range. */
  crops: { ...none, minimumArea: 0.25, aspect: 4 / 3, flip: 0.5 },
} satisfies Record<string, AugmentOptions>;

export type AugmentName = keyof typeof augmentations;

export interface AugmentRequest {
  augment: AugmentName;
  /** Smallest part of an image's area that a random crop keeps; the recipe's when left out. */
  cropScale?: number | undefined;
}

/** A recipe's changes, with another smallest area of its crops where that is given. */
export function augmentationOf({ augment, cropScale }: AugmentRequest): AugmentOptions {
  const recipe = augmentations[augment];
  return cropScale === undefined ? recipe : { ...recipe, minimumArea: cropScale };
}

const purpose = { geometry: 1, colour: 2, cutout: 3, mixup: 4 };

/**
 * float32 images [B, C, R, R] in [0, 1] become [B, C, S, S]; `keys` are the samples' positions in their data set.
 * @param side S; that of the images when left out
 */
export function augment(
  images: Tensor,
  keys: readonly number[],
  options: AugmentOptions,
  seed: number,
  epoch: number,
  side?: number,
): Tensor {
  return scope(() => {
    let x = geometry(images, keys, options, seed, epoch, side);
    x = colour(x, keys, options, seed, epoch);
    if (options.cutout > 0) x = cutout(x, keys, options.cutout, seed, epoch);
    return x;
  });
}

function geometry(
  images: Tensor,
  keys: readonly number[],
  options: AugmentOptions,
  seed: number,
  epoch: number,
  side: number | undefined,
): Tensor {
  const { minimumArea, flip, rotation, shear } = options;
  const wanted = side ?? images.size(2);
  if (wanted === images.size(2) && minimumArea >= 1 && flip === 0 && rotation === 0 && shear === 0) return images;
  const theta = new Float32Array(keys.length * 6);
  for (const [i, key] of keys.entries())
    theta.set(affine(options, keyedRandom(seed, epoch, key, purpose.geometry)), i * 6);
  const shape = side === undefined ? [...images.shape] : [keys.length, images.size(1), side, side];
  const grid = ops.affine_grid_generator(tensor(theta, { shape: [keys.length, 2, 3] }), shape, false);
  return ops.grid_sampler(images, grid, gridSampling.bilinear, gridSampling.border, false);
}

/** ATen's numbers for the options of grid_sampler. */
const gridSampling = { bilinear: 0, border: 1 };

/** Rows of the matrix from output to input coordinates, both in [-1, 1]. */
export function affine(options: AugmentOptions, random: () => number): number[] {
  const area = options.minimumArea + (1 - options.minimumArea) * random();
  const ratio = options.aspect ** (random() - 0.5);
  const [width, height] = [Math.min(1, Math.sqrt(area) * ratio), Math.min(1, Math.sqrt(area) / ratio)];
  const [dx, dy] = [(1 - width) * (2 * random() - 1), (1 - height) * (2 * random() - 1)];
  const mirror = random() < options.flip ? -1 : 1;
  const angle = ((2 * random() - 1) * options.rotation * Math.PI) / 180;
  const slant = Math.tan(((2 * random() - 1) * options.shear * Math.PI) / 180);
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return [
    mirror * width * cos,
    width * (slant * cos - sin),
    dx,
    mirror * height * sin,
    height * (slant * sin + cos),
    dy,
  ];
}

/** Brightness, contrast, saturation and hue are affine in the pixel: one matrix and one shift for each sample. */
function colour(images: Tensor, keys: readonly number[], options: AugmentOptions, seed: number, epoch: number): Tensor {
  const { brightness, contrast, saturation, hue, grey } = options;
  if (brightness === 0 && contrast === 0 && saturation === 0 && hue === 0 && grey === 0) return images;
  const [batch, channels, side] = [images.size(0), images.size(1), images.size(2)];
  const matrices = new Float32Array(batch * 9);
  const contrasts = new Float32Array(batch);
  for (const [i, key] of keys.entries()) {
    const random = keyedRandom(seed, epoch, key, purpose.colour);
    const spread = (amount: number) => 1 + amount * (2 * random() - 1);
    const light = spread(brightness);
    contrasts[i] = spread(contrast);
    const colourful = random() < grey ? 0 : spread(saturation);
    const matrix = hueSaturation((2 * random() - 1) * hue, colourful).map((value) => value * light);
    matrices.set(matrix, i * 9);
  }
  const rgb = images.narrow(1, 0, 3).reshape([batch, 3, side * side]);
  const mixed = tensor(matrices, { shape: [batch, 3, 3] }).bmm(rgb);
  const mean = mixed.mean([1, 2], true);
  const changed = mixed
    .sub(mean)
    .mul(tensor(contrasts, { shape: [batch, 1, 1] }))
    .add(mean);
  const result = changed.clamp(0, 1).view([batch, 3, side, side]);
  return channels === 3 ? result : ops.cat([result, images.narrow(1, 3, channels - 3)], 1);
}

/** Turn about the grey axis by `turn` of a circle, and scaling of the distance from it. [9] row-major */
export function hueSaturation(turn: number, saturation: number): number[] {
  const [cos, sin] = [Math.cos(2 * Math.PI * turn), Math.sin(2 * Math.PI * turn)];
  const third = 1 / 3;
  const root = Math.sqrt(third) * sin;
  const on = (value: number) => third + saturation * (value - third);
  const diagonal = on(cos + (1 - cos) * third);
  const next = on(third * (1 - cos) - root);
  const previous = on(third * (1 - cos) + root);
  return [diagonal, next, previous, previous, diagonal, next, next, previous, diagonal];
}

function cutout(images: Tensor, keys: readonly number[], part: number, seed: number, epoch: number): Tensor {
  const side = images.size(2);
  const hole = Math.round(part * side);
  const mask = new Uint8Array(keys.length * side * side).fill(1);
  for (const [i, key] of keys.entries()) {
    const random = keyedRandom(seed, epoch, key, purpose.cutout);
    const [top, left] = [Math.floor(random() * side - hole / 2), Math.floor(random() * side - hole / 2)];
    for (let y = Math.max(0, top); y < Math.min(side, top + hole); y++) {
      const row = i * side * side + y * side;
      mask.fill(0, row + Math.max(0, left), row + Math.min(side, left + hole));
    }
  }
  const kept = tensor(mask, { shape: [keys.length, 1, side, side] }).to({ dtype: "float32" });
  return images.mul(kept).add(kept.neg().add(1).mul(0.5));
}

/**
 * Mixed images [B, 3, S, S] and soft targets [B, classes].
 * @param others what each sample is mixed with; its mirror image in the order of the batch when left out
 */
export function mixup(
  images: Tensor,
  targets: Tensor,
  classes: number,
  alpha: number,
  seed: number,
  epoch: number,
  step: number,
  others?: { images: Tensor; targets: Tensor },
): { images: Tensor; targets: Tensor } {
  return scope(() => {
    const random = keyedRandom(seed, epoch, step, purpose.mixup);
    const lambda = betaSample(alpha, random);
    const hot = (own: Tensor) => (own.dim() === 2 ? own : ops.one_hot(own, classes).to({ dtype: "float32" }));
    const blend = (x: Tensor, other: Tensor) => x.mul(lambda).add(other.mul(1 - lambda));
    const { images: otherImages, targets: otherTargets } = others ?? {
      images: images.flip([0]),
      targets: targets.flip([0]),
    };
    return { images: blend(images, otherImages), targets: blend(hot(targets), hot(otherTargets)) };
  });
}

/** Beta(alpha, alpha) by Jöhnk's method, which suits alpha ≤ 1. */
function betaSample(alpha: number, random: () => number): number {
  for (;;) {
    const [x, y] = [random() ** (1 / alpha), random() ** (1 / alpha)];
    if (x + y > 0 && x + y <= 1) return x / (x + y);
  }
}

/** RGBA [B, 4, S, S] over a colour for each sample [B][3], to [B, 3, S, S]. */
export function composite(rgba: Tensor, backgrounds: Float32Array): Tensor {
  return scope(() => {
    const alpha = rgba.narrow(1, 3, 1);
    const behind = tensor(backgrounds, { shape: [rgba.size(0), 3, 1, 1] });
    return rgba
      .narrow(1, 0, 3)
      .mul(alpha)
      .add(behind.mul(alpha.neg().add(1)));
  });
}
