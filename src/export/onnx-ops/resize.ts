/** Resizing of images, with libtorch's own antialiasing, which ONNX has only since version 18 and otherwise. */
import type { Call, Writer, Written } from "../call.ts";
import { separable } from "./separable.ts";

function resizing(operator: string, scales: number): Writer {
  return (call: Call): Written => separable(call, `aten::${operator}`, scales);
}

export const _upsample_bilinear2d_aa = resizing("_upsample_bilinear2d_aa", 3);
export const _upsample_bicubic2d_aa = resizing("_upsample_bicubic2d_aa", 3);
export const upsample_bilinear2d = resizing("upsample_bilinear2d", 3);
export const upsample_bicubic2d = resizing("upsample_bicubic2d", 3);
export const upsample_nearest2d = resizing("upsample_nearest2d", 2);
