/** Each member's own view of an image: its size, channel order and normalisation. n images, h x w the member's sides. */
import { ops, type Tensor, tensor } from "../torch/index.ts";
import type { ImageInput, MemberInput } from "./manifest.ts";

/** Height and width of a member's input. */
export function sidesOf(input: MemberInput): readonly [number, number] {
  if (input.kind === "image") return input.sides ?? [input.size, input.size];
  return [input.shape[1], input.shape[2]];
}

/**
 * Images [n, 3, H, W] in [0, 1] as the member was pre-trained to see them, [n, 3, h, w]. They are stretched to sides of
 * another ratio, so that nothing of them is cut off.
 */
export function preprocess(images: Tensor, input: ImageInput): Tensor {
  const resized = resize(images, sidesOf(input), input.interpolation);
  const ordered = input.channelOrder === "bgr" ? resized.flip([1]) : resized;
  const channel = (values: readonly number[]) =>
    tensor([...values], { dtype: images.dtype, device: images.device }).view([1, 3, 1, 1]);
  return ordered.sub(channel(input.mean)).div(channel(input.std));
}

function resize(images: Tensor, size: readonly [number, number], interpolation: ImageInput["interpolation"]): Tensor {
  if (images.size(2) === size[0] && images.size(3) === size[1]) return images;
  if (interpolation === "nearest") return ops.upsample_nearest2d(images, size);
  // Antialiasing matters when shrinking: without it fine structure folds into noise that pre-training never showed.
  if (interpolation === "bicubic") return ops._upsample_bicubic2d_aa(images, size, false);
  return ops._upsample_bilinear2d_aa(images, size, false);
}
