/** Errors about a file of the cache, for the user. */
import { explainWrite as explain } from "../io/index.ts";

/** An error of the file system as a UserError that names the variables which move the cache; any other error as it is. */
export function explainWrite(error: unknown, path: string): unknown {
  return explain(error, path, "or choose another folder for the cache (HF_HOME, HUB_PATHWAY_CACHE)");
}
