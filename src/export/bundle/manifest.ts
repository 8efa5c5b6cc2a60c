/**
 * bundle.json: the parts of a trained run as files, and how they belong together. Raise the version with the schema.
 *
 *     bundle.json                    this; written with all files beside it, or not at all
 *     router.onnx                    images to scores of all models; none where there is one model
 *     members/NAME.onnx              images to logits
 *     selftest/selftest.safetensors  images with the answers that any runtime must give
 *     README.md                      a model card
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { hashFile, readJsonFile } from "../../io/index.ts";
import { UserError } from "../../torch/index.ts";

export const bundleVersion = 1;
export const manifestName = "bundle.json";

const filePath = z.string().regex(/^(?:[a-z0-9][\w-]*\/)?[a-z0-9][\w.-]*$/i, "a file of the bundle");

const memberSchema = z.strictObject({
  name: z.string(),
  file: filePath,
  /** Its place among the router's scores. */
  index: z.int().min(0),
  featureWidth: z.int().positive(),
  /** What its file does with the images before its network sees them. */
  preprocessing: z.strictObject({
    sides: z.tuple([z.int(), z.int()]),
    mean: z.array(z.number()).length(3),
    std: z.array(z.number()).length(3),
    interpolation: z.string(),
    channelOrder: z.string(),
  }),
  licence: z.string(),
  source: z.string(),
  pretraining: z.string(),
});

const accuracySchema = z.strictObject({ accuracy: z.number(), items: z.int().optional(), time: z.string().optional() });

const bundleSchema = z.strictObject({
  version: z.literal(bundleVersion),
  name: z.string(),
  method: z.string(),
  /** Class names, in the order of the logits. */
  labels: z.array(z.string()).min(1),
  /** What all files take: squares [n, 3, size, size] of red, green and blue in [0, 1]. */
  images: z.strictObject({ size: z.int().positive(), range: z.tuple([z.literal(0), z.literal(1)]) }),
  router: z.strictObject({ file: filePath, scores: z.int().positive() }).optional(),
  /** Models that are activated for each image: those with the largest scores. */
  k: z.int().positive(),
  aggregation: z.literal("weighted-logits"),
  /** Softmax of the activated scores over a temperature, or the same weight for each; `larger` is for more models than in training. */
  weights: z.strictObject({
    trainedK: z.int().positive(),
    temperature: z.union([z.literal("equal"), z.number().positive()]),
    larger: z.number().positive().optional(),
  }),
  members: z.array(memberSchema).min(1),
  /** Accuracy on validation images, and the last noted reading of the test split. */
  measured: z.strictObject({ validation: accuracySchema.optional(), test: accuracySchema.optional() }),
  selfTest: z.strictObject({ file: filePath, images: z.int().positive() }),
  files: z.record(
    filePath,
    z.strictObject({ bytes: z.int().min(0), sha256: z.string().regex(/^[0-9a-f]{64}$/, "64 hexadecimal digits") }),
  ),
});

export type Bundle = z.output<typeof bundleSchema>;

const versionSchema = z.looseObject({ version: z.number() });

/** @throws UserError when the folder holds no bundle, or one of another version */
export function readBundle(folder: string): Bundle {
  const path = join(folder, manifestName);
  if (!existsSync(path)) {
    throw new UserError(
      `${folder} holds no bundle (no ${manifestName}): make one with \`hub-pathway export RUN --out ${folder}\``,
    );
  }
  const what = "the manifest of a bundle";
  const { version } = readJsonFile(path, versionSchema, what);
  if (version === bundleVersion) return readJsonFile(path, bundleSchema, what);
  throw new UserError(`${path} has version ${version}, and this program reads ${bundleVersion}: export the run again`);
}

/** @throws UserError naming the first file that is missing or is not the one that was exported */
export function requireFiles(folder: string, { files }: Bundle): void {
  for (const [name, { sha256 }] of Object.entries(files)) {
    const path = join(folder, name);
    if (!existsSync(path)) throw new UserError(`${path} is missing: restore it, or export the run again`);
    if (hashFile(path) === sha256) continue;
    throw new UserError(
      `${path} is damaged or was replaced (its hash is another): restore it, or export the run again`,
    );
  }
}
