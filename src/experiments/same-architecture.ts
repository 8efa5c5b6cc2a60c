/** Five networks of one architecture, pre-trained on different data and by different paradigms: the paper's main setting, small. */
import {
  type Comparison,
  comparisonExperiment,
  computeEpochs,
  mainPlans,
  ours,
  plan,
  tailPlans,
  tailSeeds,
} from "../compare/index.ts";

/** Training FLOPs of Zoo-Tuning, which mixes the members' weights for every image, in those of one member. */
const zooCost = 1.75;

const comparison: Comparison = {
  title: "A hub of one architecture",
  question:
    "The paper's main hub is five ResNet-50 of different pre-training (ImageNet classification, MoCo, detection, segmentation, " +
    "keypoints). Here five ResNets of 1.1 M parameters, pre-trained on drawings (classes, contrastive, segmentation), " +
    "characters (classes) and icons (contrastive). Such a hub allows Zoo-Tuning too, which mixes the members' weights.",
  rules: (epochs) => `Budgets and choices as in mixed-hub, E = ${epochs} epochs.`,
  hub: "hubs/same-architecture",
  plans(size) {
    const { epochs } = size;
    return [
      ...mainPlans(size),
      plan("Zoo-Tuning, equal epochs", "zoo-tuning", "equal epochs", epochs),
      plan("Zoo-Tuning, equal compute", "zoo-tuning", "equal compute", computeEpochs(size, zooCost), {
        seeds: tailSeeds,
      }),
      plan("Zoo-Tuning lite, equal epochs", "zoo-tuning-lite", "equal epochs", epochs),
      ...tailPlans(size),
    ];
  },
  ours: Object.values(ours),
  notRivals: ["Hub-Pathway, members of new weights"],
};

export const sameArchitecture = comparisonExperiment(
  {
    name: "same-architecture",
    seeds: 5,
  },
  comparison,
);
