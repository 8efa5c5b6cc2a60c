/** The project's experiments: each a file, all behind one interface. */
import { ConfigError } from "../torch/index.ts";
import { ablation } from "./ablation.ts";
import { cost } from "./cost.ts";
import type { Experiment } from "./experiment.ts";
import { labelBudget } from "./label-budget.ts";
import { mixedHub } from "./mixed-hub.ts";
import { paper } from "./paper.ts";
import { ranking } from "./ranking.ts";
import { rivalWeights } from "./rival-weights.ts";
import { rlGames } from "./rl-games.ts";
import { rlTransfer } from "./rl-transfer.ts";
import { router } from "./router.ts";
import { routing } from "./routing.ts";
import { sameArchitecture } from "./same-architecture.ts";

export { CellStore } from "./cell-store.ts";
export { type Line, lineColumns, lineOf, paretoSection, sharesText } from "./comparison-tables.ts";
export type { CellWatch, Experiment, ExperimentReport, ExperimentRequest } from "./experiment.ts";
export { finishedCell, methodCell } from "./method-cell.ts";
export { mixedHubComparison } from "./mixed-hub.ts";
export { mainPlans, ours } from "./plans.ts";
export { type Plan, protocolOf, Setting, targets } from "./protocol.ts";
export { type Part, recordTestReading, reportText, runGroups, runProcesses, saveReport } from "./runner.ts";

export const experiments: readonly Experiment[] = [
  sameArchitecture,
  mixedHub,
  cost,
  ablation,
  rivalWeights,
  ranking,
  labelBudget,
  router,
  routing,
  paper,
  rlTransfer,
  rlGames,
];

/** @throws ConfigError for a name that is not listed */
export function findExperiment(name: string): Experiment {
  const found = experiments.find((experiment) => experiment.name === name);
  if (found) return found;
  throw new ConfigError(`no experiment "${name}"; there are: ${experiments.map((one) => one.name).join(", ")}`);
}
