/** Routes that depend on the input: what any router could win by them, and what Hub-Pathway wins. */

import type {
  CellGroup,
  Experiment,
  ExperimentReport,
  ExperimentRequest,
  Plan,
  ReportSection,
} from "../../compare/index.ts";
import {
  type Comparison,
  columnsOf,
  comparisonGroups,
  comparisonReport,
  computeEpochs,
  finishedCells,
  gainText,
  mainPlans,
  ourChoices,
  ours,
  overOtherRoutes,
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
    pathway("credit by losses", byLosses),
    pathway("members learn at a third of the rate", {}, slower),
    pathway("k = 1", { k: 1 }),
    pathway("k = 1, credit by losses", { k: 1, ...byLosses }),
    pathway("k = 1, one gate for all images", { k: 1, generatorKind: "global" }),
  ];
}

const byLosses = { credit: "losses" };

/**
 * Members that keep what they know, at the cost of one or two of them: each teacher of the generator, and the same recipe
 * with one gate for all images, which is what routes by input have to beat.
 */
function frozenPlans(size: PlanSize): Plan[] {
  const { epochs } = size;
  const wanted = [...rivals, "best member, whole compute"];
  const lines = [1, 2].flatMap((k) =>
    (["hub-pathway", "global-gate"] as const).flatMap((method) => {
      const name = `${method === "hub-pathway" ? "Hub-Pathway" : "one gate for all images"}, k = ${k}`;
      const choices = { ...ourChoices, k };
      return [
        plan(name, method, "equal epochs", epochs, { choices: { ...choices, ...byLosses } }),
        plan(`${name}, credit by weights`, method, "equal epochs", epochs, {
          choices: { ...choices, credit: "weights" },
        }),
      ];
    }),
  );
  return [
    ...mainPlans(size).filter(({ name, choices }) => wanted.includes(name) || choices["member"] !== undefined),
    plan("random routes, k = 1", "random-routing", "equal epochs", epochs, { choices: { ...ourChoices, k: 1 } }),
    ...lines,
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

/** The same question of members that stay as they are. */
export const frozenComparison: Comparison = {
  ...comparison,
  plans: frozenPlans,
  ours: ["Hub-Pathway, k = 1", "Hub-Pathway, k = 2"],
};

function comparisonOf({ frozen }: ExperimentRequest): Comparison {
  return frozen ? frozenComparison : comparison;
}

function groups(request: ExperimentRequest): CellGroup[] {
  const ceilings = request.frozen ? [] : ceilingGroups(request);
  return [...ceilings, ...comparisonGroups(comparisonOf(request), request)];
}

/** Routes that belong to their images lose by being given to others. */
function otherRoutesSection(own: Comparison, request: ExperimentRequest): ReportSection[] {
  const rows = finishedCells(own, request).flatMap(({ target, plans }) =>
    plans.flatMap(({ plan: { name }, cells }) => {
      const gain = overOtherRoutes(cells);
      return gain ? [[target, name, String(cells.length), gainText(gain)]] : [];
    }),
  );
  if (rows.length === 0) return [];
  const text =
    "Points of accuracy on validation images that are lost when each image takes the routes of another one, with the 95 % interval (Student's t over seeds).";
  return [
    {
      title: otherRoutes,
      text: [text],
      table: { columns: columnsOf(["target", "method", "seeds", otherRoutes], 2), rows },
    },
  ];
}

const otherRoutes = "over routes of other images";

async function report(request: ExperimentRequest): Promise<ExperimentReport> {
  const own = comparisonOf(request);
  if (request.frozen) {
    const found = comparisonReport(own, request);
    return { ...found, sections: [...found.sections, ...otherRoutesSection(own, request)] };
  }
  const ceilings = ceilingSection(request);
  const { title } = own;
  if (finishedCells(own, request).length === 0)
    return { title, sections: [ceilings], data: { ceilings: ceilings.table } };
  const { sections, data } = comparisonReport(own, request);
  return { title, sections: [ceilings, ...sections], data: { ...(data as object), ceilings: ceilings.table } };
}

export const routing: Experiment = {
  name: "routing",
  seeds: 3,
  freezes: true,
  groups,
  report,
};
