/** The project's experiments: each a file, all behind one interface. */

import type { Experiment } from "../compare/index.ts";
import { ConfigError } from "../torch/index.ts";
import { ablation } from "./ablation.ts";
import { cost } from "./cost.ts";
import { labelBudget } from "./label-budget.ts";
import { mixedHub } from "./mixed-hub.ts";
import { paper } from "./paper/paper.ts";
import { ranking } from "./ranking.ts";
import { rivalWeights } from "./rival-weights.ts";
import { rlGames } from "./rl/games.ts";
import { rlTransfer } from "./rl/transfer.ts";
import { routing } from "./routing/routing.ts";
import { sameArchitecture } from "./same-architecture.ts";
import { router } from "./synthetic/experiment.ts";

export { mixedHubComparison } from "./mixed-hub.ts";

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
