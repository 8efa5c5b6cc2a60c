/** The options of every command that prepares data as train does: the same ones give the same split. */
import type { Command } from "commander";
import { largestInput, readManifest } from "../hub/index.ts";
import { ConfigError } from "../torch/index.ts";
import type { DataRequest } from "../train/index.ts";
import { number } from "./flags.ts";
import { countProgress } from "./progress.ts";

export interface DataFlags {
  data: string;
  imageSize?: number;
  trainPerClass?: number;
  validationFraction: number;
  testFraction: number;
  skipBad?: boolean;
  seed: number;
}

/** Adds the options to a command, --seed left out. */
export function addDataOptions(command: Command): Command {
  return command
    .requiredOption(
      "--data <dir|name|name:dir>",
      "folder with a sub-folder for each class, a known data set, or NAME:FOLDER with the files of a published one (data ls)",
    )
    .option("--image-size <pixels>", "side of the images (default: the largest that a member of the hub takes)", number)
    .option("--train-per-class <n>", "use at most so many training images of a class", number)
    .option("--validation-fraction <part>", "of each class, for choosing", number, 0.2)
    .option("--test-fraction <part>", "of each class, for the final figure", number, 0.2)
    .option("--skip-bad", "leave unreadable images out and count them");
}

/** @throws UserError when there is no such hub */
export function dataRequest(
  flags: DataFlags,
  hub: string,
  loading: Pick<DataRequest, "augment" | "batchSize">,
): DataRequest {
  const { validationFraction, testFraction, trainPerClass, seed } = flags;
  const imageSize = flags.imageSize ?? largestInput(readManifest(hub));
  return {
    ...loading,
    source: flags.data,
    imageSize,
    split: { validationFraction, testFraction, trainPerClass },
    seed,
    skipBad: flags.skipBad ?? false,
    onProgress: countProgress("decoding"),
  };
}

/** @throws ConfigError when a value is no whole number of at least 1, naming its option */
export function requireCounts(values: Readonly<Record<string, number | undefined>>): void {
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && (!Number.isInteger(value) || value < 1))
      throw new ConfigError(`--${kebab(name)} is ${value}: it must be a whole number of at least 1`);
  }
}

/** An option as it is written, without dashes in front: hubMemory is hub-memory. */
export function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
