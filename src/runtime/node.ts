/** The runtime in Node, where a bundle may also be a folder. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BundleError } from "./check.ts";
import type { BundleSource } from "./files.ts";
import {
  type BundleModel,
  type Expected,
  type OpenOptions,
  openSource,
  openBundle as openWeb,
  type PredictionOf,
} from "./model.ts";

export * from "./index.ts";

/**
 * Opens a bundle that `hub-pathway export` wrote, from a folder or an address.
 * @throws BundleError when there is no bundle, or one of another version, or its answers are others than the task's
 */
export async function openBundle<T extends Expected = "classification">(
  place: string | URL,
  options: OpenOptions<T>,
): Promise<BundleModel<PredictionOf<T>>> {
  const text = String(place);
  if (/^https?:/.test(text)) return openWeb(place, options);
  return openSource(folderAt(text.startsWith("file:") ? fileURLToPath(place) : text), options);
}

/** A folder of this machine. */
export function folderAt(folder: string): BundleSource {
  return {
    where: folder,
    async read(name, signal) {
      const path = join(folder, name);
      try {
        return new Uint8Array(await readFile(path, { signal }));
      } catch (cause) {
        if (signal?.aborted) throw cause;
        throw new BundleError(`${path} is missing or cannot be read: restore it, or export the run again`, { cause });
      }
    },
  };
}
