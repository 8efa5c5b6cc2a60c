/** preprocessor_config.json, as Hugging Face's image processors write it, in a manifest's terms. */
import { readFileSync, statSync } from "node:fs";
import { z } from "zod";
import { UserError } from "../../torch/index.ts";
import type { MemberInput } from "../manifest.ts";

const maximumBytes = 1e6;

const side = z.union([
  z.number(),
  z.object({ height: z.number(), width: z.number() }).transform(({ height }) => height),
  z.object({ shortest_edge: z.number() }).transform(({ shortest_edge }) => shortest_edge),
]);
const channels = z.union([z.array(z.number()).length(3), z.number().transform((value) => [value, value, value])]);

const schema = z.object({
  do_normalize: z.boolean().optional(),
  do_center_crop: z.boolean().optional(),
  image_mean: channels.optional(),
  image_std: channels.optional(),
  size: side.optional(),
  crop_size: side.optional(),
  resample: z.number().optional(),
});

/** Pillow's numbers. */
const interpolations: Readonly<Record<number, MemberInput["interpolation"]>> = {
  0: "nearest",
  2: "bilinear",
  3: "bicubic",
};

/**
 * What the file says of a model's input.
 * @throws UserError naming the file when it is no such configuration
 */
export function readPreprocessor(path: string): Partial<MemberInput> {
  const { size: bytes } = statSync(path);
  if (bytes > maximumBytes) throw new UserError(`${path} has ${bytes} bytes, which no preprocessor_config.json needs`);
  const parsed = schema.safeParse(parse(path));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new UserError(
      `${path} is no image preprocessor's configuration: ${issue?.path.join(".")}: ${issue?.message}`,
    );
  }
  const { do_normalize, do_center_crop, image_mean, image_std, size, crop_size, resample } = parsed.data;
  const given = ((do_center_crop ?? true) ? crop_size : undefined) ?? size;
  const interpolation = resample === undefined ? undefined : interpolations[resample];
  const mean = do_normalize === false ? [0, 0, 0] : image_mean;
  const std = do_normalize === false ? [1, 1, 1] : image_std;
  return {
    ...(given === undefined ? {} : { size: given }),
    ...(mean ? { mean } : {}),
    ...(std ? { std } : {}),
    ...(interpolation ? { interpolation } : {}),
  };
}

function parse(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    throw new UserError(`${path} is not JSON`);
  }
}
