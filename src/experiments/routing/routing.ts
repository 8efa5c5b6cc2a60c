/** Routes that depend on the input: what any router could win by them, and what Hub-Pathway wins. */

import type { CellGroup, Experiment, ExperimentReport, ExperimentRequest, Plan } from "../../compare/index.ts";
import {
  type Comparison,
  comparisonGroups,
  comparisonReport,
  computeEpochs,
  finishedCells,
  mainPlans,
  ourChoices,
  ours,
  type PlanSize,
  plan,
} from "../../compare/index.ts";
import { ceilingGroups, ceilingSection, lettersAndEmoji } from "./ceilings.ts";

/** Rivals that a route for each image has to beat. */
const rivals = ["best member by validation", "best static pair by validation", "ensemble of all"];

/** Ways to make routes depend on the input, beside one gate for all images. */
function plans(size: PlanSize): Plan[] {
  const pathway = (name: string, choices: Plan["choices"], options: NonNullable<Plan["options"]> = {}) => {
    const all = { ...ourChoices, ...choices };
    return plan(name, "hub-pathway", "equal compute", computeEpochs(size, all.k), { choices: all, options });
  };
  const constant = { explorationFade: "constant" };
  const slower = { lr: 3.3e-4, newLayerFactor: 12, generatorFactor: 6 };
  return [
    ...mainPlans(size).filter(({ name, choices }) => rivals.includes(name) || choices["member"] !== undefined),
    pathway(ours.equalCompute, {}),
    pathway("one gate for all images", { generatorKind: "global" }),
    pathway("constant exploration", constant),
    pathway("generator on pre-trained features", { generatorKind: "member-stem" }),
    pathway("probabilities, constant exploration", { ...constant, aggregation: "probabilities" }),
    pathway("members learn at a third of the rate", {}, slower),
    pathway("k = 1", { k: 1 }),
    pathway("k = 1, one gate for all images", { k: 1, generatorKind: "global" }),
  ];
}

const comparison: Comparison = {
  title: "Routes that depend on the input",
  question:
    "Does Hub-Pathway win by routes that depend on the input? A hub of specialists (Latin characters, drawings, icons) and a task of two kinds " +
    "of pictures, Greek letters and emoji, under equal compute.",
  hub: "hubs/specialists",
  targets: [lettersAndEmoji],
  plans,
  ours: [ours.equalCompute],
};

function groups(request: ExperimentRequest): CellGroup[] {
  return [...ceilingGroups(request), ...comparisonGroups(comparison, request)];
}

async function report(request: ExperimentRequest): Promise<ExperimentReport> {
  const ceilings = ceilingSection(request);
  const { title } = comparison;
  if (finishedCells(comparison, request).length === 0)
    return { title, sections: [ceilings], data: { ceilings: ceilings.table } };
  const { sections, data } = comparisonReport(comparison, request);
  return { title, sections: [ceilings, ...sections], data: { ...(data as object), ceilings: ceilings.table } };
}

export const routing: Experiment = {
  name: "routing",
  seeds: 3,
  groups,
  report,
};
