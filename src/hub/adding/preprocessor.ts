/** How a model's own files say that images must look, in a manifest's terms. */
import { z } from "zod";
import { readJsonFile } from "../../io/index.ts";
import { UserError } from "../../torch/index.ts";
import type { MemberInput } from "../manifest.ts";

const maximumBytes = 1e6;

const side = z.union([
  z.number(),
  z.object({ height: z.number(), width: z.number() }),
  z.object({ shortest_edge: z.number() }).transform(({ shortest_edge }) => shortest_edge),
]);

/** One value a channel; one for all; of four channels the first three. */
const channels = z.union([
  z.number().transform((value) => [value, value, value]),
  z
    .array(z.number())
    .min(1)
    .max(4)
    .refine((values) => values.length !== 2, "two channels")
    .transform(([red = 0, green, blue]) => [red, green ?? red, blue ?? red]),
]);

/** `pretrained_cfg`, as timm writes it. */
export const timmInput = z.looseObject({
  input_size: z.array(z.number()).length(3).optional(),
  mean: channels.optional(),
  std: channels.optional(),
  interpolation: z.string().optional(),
});

const schema = z.looseObject({
  do_normalize: z.boolean().optional(),
  do_center_crop: z.boolean().optional(),
  do_rescale: z.boolean().optional(),
  do_flip_channel_order: z.boolean().optional(),
  rescale_factor: z.number().positive().optional(),
  image_mean: channels.optional(),
  image_std: channels.optional(),
  size: side.optional(),
  crop_size: side.optional(),
  resample: z.number().optional(),
  pretrained_cfg: timmInput.optional(),
});

/** Pillow's numbers. */
const interpolations: Readonly<Record<number, MemberInput["interpolation"]>> = {
  0: "nearest",
  2: "bilinear",
  3: "bicubic",
};

/**
 * What a preprocessor_config.json, as Hugging Face's image processors write it, says of a model's input.
 * @throws UserError naming the file when it is no such configuration, or is of images that are not square
 */
export function readPreprocessor(path: string): Partial<MemberInput> {
  const file = readJsonFile(path, schema, "an image preprocessor's configuration", { maximumBytes });
  if (file.pretrained_cfg) return inputOf(file.pretrained_cfg, path);
  const { do_normalize, do_center_crop, do_rescale, image_mean, image_std, size, crop_size, resample } = file;
  const given = ((do_center_crop ?? true) ? crop_size : undefined) ?? size;
  const interpolation = resample === undefined ? undefined : interpolations[resample];
  // What a pixel of 255 becomes before mean and deviation.
  const range = do_rescale === false ? 255 : 255 * (file.rescale_factor ?? 1 / 255);
  const [mean, std] =
    do_normalize === false
      ? [
          [0, 0, 0],
          [1, 1, 1],
        ]
      : [image_mean, image_std];
  return {
    ...(given === undefined ? {} : { size: squareSide(given, path) }),
    ...(mean && std ? scaled({ mean, std }, Math.abs(range - 1) < 1e-6 ? 1 : range) : {}),
    ...(interpolation ? { interpolation } : {}),
    ...(file.do_flip_channel_order ? { channelOrder: "bgr" } : {}),
  };
}

/** What timm's configuration says of a model's input. @throws UserError when images are not square */
export function inputOf(config: z.output<typeof timmInput>, path: string): Partial<MemberInput> {
  const { input_size: shape, mean, std, interpolation } = config;
  const kind = (["nearest", "bilinear", "bicubic"] as const).find((name) => name === interpolation);
  const [, height, width] = shape ?? [];
  return {
    ...(height === undefined || width === undefined ? {} : { size: squareSide({ height, width }, path) }),
    ...(mean && std ? { mean, std } : {}),
    ...(kind ? { interpolation: kind } : {}),
  };
}

function squareSide(size: number | { height: number; width: number }, path: string): number {
  if (typeof size === "number") return size;
  if (size.height === size.width) return size.height;
  throw new UserError(
    `${path} asks for images of ${size.width} x ${size.height} pixels, and hubs take square ones: say --size`,
  );
}

type Normalisation = Pick<MemberInput, "mean" | "std">;

/** Mean and deviation of values in [0, 1] from those of values in [0, range]. */
export function scaled({ mean, std }: Normalisation, range: number): Normalisation {
  return { mean: mean.map((value) => value / range), std: std.map((value) => value / range) };
}

/** The largest value that a pixel has where mean and deviation are these: 1 or 255. */
export function rangeOf({ mean, std }: Normalisation): 1 | 255 {
  return [...mean.map(Math.abs), ...std].some((value) => value > 2) ? 255 : 1;
}
