/** A hub of several architectures, pre-training data and paradigms: Hub-Pathway against every rival that such a hub allows. */
import { type Comparison, comparisonExperiment, mainPlans, ours, tailPlans } from "../compare/index.ts";

export const mixedHubComparison: Comparison = {
  title: "A hub of several architectures",
  question:
    "Is Hub-Pathway (k = 2) better than the best single member, the best static pair, ensembles and distillation, at the cost " +
    "of two models? The starter hub: six members of four shapes, pre-trained on drawings, icons and characters, which are none of the targets.",
  rules: (epochs) =>
    `Equal epochs: each method passes the training images E = ${epochs} times. Equal compute: about the FLOPs of fine-tuning all members ` +
    "for E epochs, counted in members and not in FLOPs (m E epochs of one member, m E / k of Hub-Pathway); the table says what it came to. The best member " +
    "with the whole compute was chosen by all members' training, which comes on top. All members: what is made of all fine-tuned members, whose training it costs. Choices use validation data.",
  hub: "hubs/starter",
  plans: (size) => [...mainPlans(size), ...tailPlans(size)],
  ours: Object.values(ours),
  notRivals: ["Hub-Pathway, members of new weights"],
};

export const mixedHub = comparisonExperiment(
  {
    name: "mixed-hub",
    seeds: 5,
  },
  mixedHubComparison,
);
