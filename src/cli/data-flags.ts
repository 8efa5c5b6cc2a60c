/** The options of every command that prepares data as train does: the same ones give the same split. */
import type { z } from "zod";
import { findHub, largestInput, readManifest } from "../hub/index.ts";
import { ConfigError } from "../torch/index.ts";
import type { DataRequest } from "../train/index.ts";
import { countProgress } from "./progress.ts";
import { kebab } from "./settings.ts";
import { terminal } from "./terminal.ts";
import type { dataShape } from "./train-settings.ts";

/** Settings of `dataShape` with the images named, and the seed. */
export type DataSettings = z.output<z.ZodObject<typeof dataShape>> & { data: string; seed: number };

/** @throws UserError when there is no such hub */
export function dataRequest(
  flags: DataSettings,
  hub: string,
  { augment, batchSize, cropScale, cropFrom }: Pick<DataRequest, "augment" | "batchSize" | "cropScale" | "cropFrom">,
): DataRequest {
  const { validationFraction, testFraction, trainPerClass, seed, duplicates, fit } = flags;
  const imageSize = flags.imageSize ?? largestInput(readManifest(findHub(hub)));
  return {
    ...{ augment, batchSize, cropScale, cropFrom },
    ...(flags.task && { task: flags.task }),
    source: flags.data,
    imageSize,
    split: { validationFraction, testFraction, trainPerClass },
    seed,
    skipBad: flags.skipBad,
    duplicates,
    fit: squashed(fit),
    onNote: (text) => terminal.line(text),
    onProgress: countProgress("decoding"),
  };
}

/** The usual one is not recorded, so that runs of before stay the same. */
export const squashed = (fit: DataSettings["fit"] | undefined) => (fit === "squash" ? fit : undefined);

/** @throws ConfigError when a value is no whole number of at least 1, naming its option */
export function requireCounts(values: Readonly<Record<string, number | undefined>>): void {
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && (!Number.isInteger(value) || value < 1))
      throw new ConfigError(`--${kebab(name)} is ${value}: it must be a whole number of at least 1`);
  }
}
