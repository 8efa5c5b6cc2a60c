/** The hub that a command of `hub` is about: the first argument, or --hub as everywhere else. */
import { starterHub } from "../../hub/find-hub.ts";
import { ConfigError } from "../../torch/errors.ts";

export interface Place {
  hub?: string | undefined;
}

export const hubFlag = ["--hub <dir>", "folder of the hub, as everywhere (default: hubs/starter)"] as const;

/** @throws ConfigError when both forms name a hub */
export function placeOf(dir: string | undefined, { hub }: Place): string {
  if (dir !== undefined && hub !== undefined && dir !== hub) {
    throw new ConfigError(`the hub is ${dir}, and --hub is ${hub}: leave one of them out`);
  }
  return dir ?? hub ?? starterHub;
}
