/** Ablation of Hub-Pathway: each part and each choice is changed alone. */
import {
  type Comparison,
  comparisonExperiment,
  ourChoices,
  type Plan,
  type PlanSize,
  plan,
  targets,
} from "../compare/index.ts";

interface Variant {
  name: string;
  choices: Plan["choices"];
  options?: Plan["options"];
}

const unchanged = "unchanged";

function variants(m: number): Variant[] {
  const change = (name: string, choices: Variant["choices"], options?: Plan["options"]): Variant => {
    return { name, choices, ...(options ? { options } : {}) };
  };
  const ks = [...new Set([1, 3, m])].filter((k) => k !== ourChoices.k && k <= m);
  return [
    change(unchanged, {}),
    change("without noise", { noise: "none" }),
    change("learned noise", { noise: "learned" }),
    change("without exploration loss", { explorationWeight: 0 }),
    change("constant exploration", { explorationFade: "constant" }),
    // Without the members' own loss they can only learn from the aggregate's.
    change("without per-model training (beta 1)", { exploitationWeight: 0, beta: 1 }),
    change("beta 1", { beta: 1 }),
    change("without warm-up", { warmup: 0 }),
    change("credit by losses", { credit: "losses" }),
    change("preset paper", { preset: "paper", beta: 1 }),
    change("features, beta 1", { aggregation: "features", beta: 1 }),
    ...[1, 4].map((tau) => change(`tau ${tau}`, { tau })),
    ...ks.map((k) => change(`k = ${k}`, { k })),
    change("generator of half the width", { generatorWidth: 4 }),
    change("generator of twice the width", { generatorWidth: 16 }),
    change("generator on a member's stem", { generatorKind: "member-stem" }),
    change("one gate for all images", { generatorKind: "global" }),
    change("prior by logme", { prior: "logme" }),
    // The rates of new layers and of the generator stay what they are.
    change("members learn at four times the rate", {}, { lr: 4e-3, newLayerFactor: 1, generatorFactor: 0.5 }),
    change("BatchNorm frozen", {}, { batchNorm: "frozen" }),
    change("BatchNorm recalibrated", {}, { batchNorm: "recalibrated" }),
  ];
}

/** All at equal epochs, whatever k is. */
function plans({ members, epochs }: PlanSize): Plan[] {
  return variants(members.length).map(({ name, choices, options }) =>
    plan(name, "hub-pathway", "equal epochs", epochs, {
      choices: { ...ourChoices, ...choices },
      ...(options ? { options } : {}),
    }),
  );
}

const comparison: Comparison = {
  title: "Ablations",
  question:
    "What is each part of the method worth, and which value of each choice is best? One change at a time against the settings of " +
    "mixed-hub (k = 2, beta 0), on the starter hub, all at equal epochs.",
  rules: () =>
    "The first table of differences is the unchanged method minus each variant: above zero, the change does harm.",
  hub: "hubs/starter",
  targets,
  plans,
  ours: [unchanged],
};

export const ablation = comparisonExperiment(
  {
    name: "ablation",
    seeds: 3,
  },
  comparison,
);
