/** Each member's own view of an image: its size, channel order and normalisation. n images, S the member's side. */
import { ops, type Tensor, tensor } from "../torch/index.ts";
import type { MemberEntry } from "./manifest.ts";

/** Images [n, 3, H, W] in [0, 1] as the member was pre-trained to see them, [n, 3, S, S]. */
export function preprocess(images: Tensor, input: MemberEntry["input"]): Tensor {
  const resized = resize(images, input.size, input.interpolation);
  const ordered = input.channelOrder === "bgr" ? resized.flip([1]) : resized;
  const channel = (values: readonly number[]) =>
    tensor([...values], { dtype: images.dtype, device: images.device }).view([1, 3, 1, 1]);
  return ordered.sub(channel(input.mean)).div(channel(input.std));
}

function resize(images: Tensor, side: number, interpolation: MemberEntry["input"]["interpolation"]): Tensor {
  if (images.size(2) === side && images.size(3) === side) return images;
  const size = [side, side];
  if (interpolation === "nearest") return ops.upsample_nearest2d(images, size);
  // Antialiasing matters when shrinking: without it fine structure folds into noise that pre-training never showed.
  if (interpolation === "bicubic") return ops._upsample_bicubic2d_aa(images, size, false);
  return ops._upsample_bilinear2d_aa(images, size, false);
}
