/** Location of a hub: a folder, or a hub in the package. */
import { existsSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The hub that comes with the package, as every command names it by default. */
export const starterHub = "hubs/starter";

/** The folder of a hub: the one named, or one of that name in the package where there is none here. */
export function findHub(dir: string): string {
  if (existsSync(dir) || isAbsolute(dir)) return dir;
  for (const candidate of [dir, join("hubs", dir)]) {
    const shipped = fileURLToPath(new URL(`../../${candidate}`, import.meta.url));
    if (existsSync(join(shipped, "hub.json"))) return shipped;
  }
  return dir;
}
