/** First layers of networks for grey or many-channelled images, made to take colour images. */
import { scope, type Tensor, tensor } from "../../torch/index.ts";

/** Parts of red, green and blue in luminance (ITU-R BT.601), as Pillow makes grey images. */
const luminance = [0.299, 0.587, 0.114];

/** What becomes of a first layer of that many channels, in words; undefined where nothing can. */
export function adaptation(channels: number): string | undefined {
  if (channels === 1) return "it then sees the luminance of colour images";
  return channels > 3 ? "it then sees colour images with its first three channels" : undefined;
}

/** A first layer's weight [out, c, k, k] as [out, 3, k, k]. The result is the caller's. */
export function adaptedChannels(weight: Tensor): Tensor {
  return scope(() => {
    if (weight.size(1) > 3) return weight.narrow(1, 0, 3).clone();
    return weight.mul(tensor(luminance, { dtype: weight.dtype }).view([1, 3, 1, 1]));
  });
}
