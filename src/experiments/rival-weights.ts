/** Weight of each rival's extra loss: a few values around the published ones, chosen on validation data. */
import { type Comparison, comparisonExperiment, type Plan, type PlanSize, plan, targets } from "../compare/index.ts";

interface Trial {
  method: string;
  choice: string;
  values: readonly number[];
  /** Trained on one member, the hub's first, where the method would train all. */
  oneMember?: boolean;
}

const trials: readonly Trial[] = [
  { method: "distillation", choice: "weight", values: [0.5, 1, 4, 16] },
  { method: "distillation", choice: "temperature", values: [1, 2, 4, 8] },
  { method: "b-tuning", choice: "weight", values: [0.1, 1, 10] },
  { method: "knowledge-flow", choice: "dependency", values: [0.01, 0.1, 1, 10] },
  { method: "l2-sp", choice: "alpha", values: [0.00001, 0.0001, 0.001, 0.01, 0.1, 1], oneMember: true },
  { method: "delta", choice: "alpha", values: [0.0001, 0.001, 0.01, 0.1, 1], oneMember: true },
  { method: "bss", choice: "eta", values: [1e-4, 1e-3, 1e-2, 1e-1], oneMember: true },
];

function plans({ members, epochs }: PlanSize): Plan[] {
  const [first] = members;
  return trials.flatMap(({ method, choice, values, oneMember }) =>
    values.map((value) =>
      plan(`${method}, ${choice} ${value}`, method, "equal epochs", epochs, {
        choices: { [choice]: value, ...(oneMember ? { member: first } : {}) },
      }),
    ),
  );
}

const comparison: Comparison = {
  title: "The rivals' own weights",
  question:
    "Which value does each rival do best with? As many values as were tried of Hub-Pathway's own choices, on the same target; a default " +
    "has the best mean or one within a quarter of a point of it. L2-SP, DELTA and BSS train the hub's first member here, and the best of all members in the comparisons.",
  hub: "hubs/starter",
  targets: targets.slice(0, 1),
  plans,
  ours: [],
};

export const rivalWeights = comparisonExperiment(
  {
    name: "rival-weights",
    seeds: 2,
  },
  comparison,
);
