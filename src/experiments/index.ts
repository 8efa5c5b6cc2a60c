/** The project's experiments: each a file, all behind one interface. */
import { ConfigError } from "../torch/index.ts";
import type { Experiment } from "./experiment.ts";
import { mixedHub } from "./mixed-hub.ts";
import { sameArchitecture } from "./same-architecture.ts";

export { CellStore } from "./cell-store.ts";
export type { Experiment, ExperimentReport, ExperimentRequest } from "./experiment.ts";
export { type Part, recordTestReading, reportText, runGroups, runProcesses, saveReport } from "./runner.ts";

export const experiments: readonly Experiment[] = [sameArchitecture, mixedHub];

/** @throws ConfigError for a name that is not listed */
export function findExperiment(name: string): Experiment {
  const found = experiments.find((experiment) => experiment.name === name);
  if (found) return found;
  throw new ConfigError(`no experiment "${name}"; there are: ${experiments.map((one) => one.name).join(", ")}`);
}
