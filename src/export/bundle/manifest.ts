/** Bundles on disk: read, and their files compared with their hashes. What is in them says src/runtime/manifest.ts. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { hashFile, readRegular } from "../../io/index.ts";
import { type Bundle, BundleError, manifestName, parseBundle } from "../../runtime/index.ts";
import { UserError } from "../../torch/index.ts";

const maximumBytes = 16e6;

/** @throws UserError when the folder holds no bundle, or one of another version */
export function readBundle(folder: string): Bundle {
  const path = join(folder, manifestName);
  if (!existsSync(path)) {
    throw new UserError(
      `${folder} holds no bundle (no ${manifestName}): make one with \`hub-pathway export RUN --out ${folder}\``,
    );
  }
  const text = readRegular(path, { maximumBytes, what: "the manifest of a bundle" }).toString("utf8");
  return asUserError(() => parseBundle(text, path));
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

/** What the runtime, which knows no errors of this program, says about a bundle. */
export function asUserError<T>(work: () => T): T {
  try {
    const result = work();
    return result instanceof Promise ? (result.catch(rethrown) as T) : result;
  } catch (error) {
    return rethrown(error);
  }
}

function rethrown(error: unknown): never {
  throw error instanceof BundleError ? new UserError(error.message, { cause: error }) : error;
}
