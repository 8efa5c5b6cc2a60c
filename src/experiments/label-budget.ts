/** Comparison of the methods with few and many labels: Fashion-MNIST with 10 to 300 labels a class. */
import { type Comparison, comparisonExperiment, mainPlans, ours, type Target, targets } from "../compare/index.ts";

/** Labels a class, and E for each: more labels need fewer passes, and the whole must fit into hours. */
const budgets = [
  { labels: 10, epochs: 32 },
  { labels: 30, epochs: 20 },
  { labels: 100, epochs: 10 },
  { labels: 300, epochs: 5 },
];

const fashion = targets.find((target) => target.name === "fashion-mnist") as Target;

const lines = [
  "best member by validation",
  "best static pair by validation",
  "ensemble of all",
  ours.equalCompute,
  "best member, whole compute",
];

const comparison: Comparison = {
  title: "Few and many labels",
  question:
    "Does the number of labels change which method is best? Fashion-MNIST with 10, 30, 100 and 300 labels a class, the starter hub, " +
    "E = 32, 20, 10 and 5 epochs.",
  hub: "hubs/starter",
  targets: budgets.map(({ labels, epochs }) => ({
    ...fashion,
    name: `fashion-mnist-${labels}`,
    epochs,
    data: { ...fashion.data, split: { ...fashion.data.split, trainPerClass: labels } },
  })),
  plans: (size) => mainPlans(size).filter(({ name }) => lines.includes(name)),
  ours: [ours.equalCompute],
};

export const labelBudget = comparisonExperiment(
  {
    name: "label-budget",
    seeds: 3,
  },
  comparison,
);
