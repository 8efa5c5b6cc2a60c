/** The options of every command that prepares data as train does: the same ones give the same split. */
import { findHub, largestInput, readManifest } from "../hub/index.ts";
import { printableLines } from "../io/quoted.ts";
import { ConfigError } from "../torch/index.ts";
import type { DataRequest } from "../train/index.ts";
import { countProgress } from "./progress.ts";

export interface DataFlags {
  data: string;
  imageSize?: number;
  trainPerClass?: number;
  validationFraction: number;
  testFraction: number;
  skipBad?: boolean;
  duplicates: "group" | "keep";
  seed: number;
}

/** @throws UserError when there is no such hub */
export function dataRequest(
  flags: DataFlags,
  hub: string,
  loading: Pick<DataRequest, "augment" | "batchSize">,
): DataRequest {
  const { validationFraction, testFraction, trainPerClass, seed, duplicates } = flags;
  const imageSize = flags.imageSize ?? largestInput(readManifest(findHub(hub)));
  return {
    ...loading,
    source: flags.data,
    imageSize,
    split: { validationFraction, testFraction, trainPerClass },
    seed,
    skipBad: flags.skipBad ?? false,
    duplicates,
    onNote: (text) => console.error(printableLines(text)),
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
