/** All methods by name. */
import { ConfigError } from "../torch/index.ts";
import type { Method } from "../train/index.ts";
import { ensemble, staticK } from "./ensemble.ts";
import { fineTuneMethod } from "./fine-tune.ts";
import { hubPathway, randomRouting } from "./hub-pathway.ts";

export const methods: readonly Method[] = [hubPathway, fineTuneMethod, ensemble, staticK, randomRouting];

/** @throws ConfigError for a name that is not listed. */
export function findMethod(name: string): Method {
  const method = methods.find((candidate) => candidate.name === name);
  if (method) return method;
  throw new ConfigError(`no method "${name}"; there are: ${methods.map((candidate) => candidate.name).join(", ")}`);
}
