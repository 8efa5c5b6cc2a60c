/** Names of the methods in the registry's order, and a line of help about each. This file imports nothing, so help is quick. */

const bestOne = "(--member NAME, or all and keep the best by validation)";

export const methodSummaries = {
  "hub-pathway": "data-dependent pathways through the hub: k models for each input (the paper's method)",
  "fine-tune": `fine-tune one member ${bestOne}`,
  "from-scratch": `train one member's architecture with new weights ${bestOne}`,
  "linear-probe": `train a linear head on one member, which stays as it is ${bestOne}`,
  "best-by-ranking": "fine-tune the member with the best ranking score (--choice score=logme)",
  ensemble: "fine-tune every member and average all their probabilities",
  "greedy-ensemble": "fine-tune every member, weight them by greedy selection with replacement on validation data",
  "static-k": "fine-tune every member, keep the ensemble of k that is best on validation data",
  distillation: "fine-tune every member, then distil all of them into the best by validation",
  "knowledge-flow":
    "fine-tune one member (--member NAME, or the first by LogME) that uses all others less and less (Knowledge Flow)",
  "zoo-tuning":
    "one network with layers aggregated from all members, of one architecture, by gates on its input (Zoo-Tuning)",
  "zoo-tuning-lite": "the same with the gates' mean over time: the cost of one member (Zoo-Tuning, lite form)",
  "b-tuning": "fine-tune the best-ranked member (or --member NAME) led by the best-ranked ones (B-Tuning)",
  soup: "fine-tune one member (--member NAME, or the first by LogME) several times and average the weights",
  "l2-sp": `fine-tune one member, pulled to where it started: L2-SP ${bestOne}`,
  delta: `fine-tune one member with its feature maps held near the pre-trained ones: DELTA ${bestOne}`,
  bss: `fine-tune one member with batch spectral shrinkage: BSS ${bestOne}`,
  "co-tuning":
    "fine-tune one member with its source classifier, Co-Tuning (--member NAME, or all that have one and keep the best)",
  "random-routing": "control: Hub-Pathway with k random models for each input",
  "global-gate": "control: Hub-Pathway with one learned score of each model, whatever the input",
  dense: "control: Hub-Pathway with every model for each input (k = m), weighted by the generator",
  "random-members": "control: Hub-Pathway with members of new weights, which is what pre-training is worth to it",
} as const;

export type MethodName = keyof typeof methodSummaries;

/** Ways in which a finished run may answer: by the routes that it was trained for, or by others of `inference/modes.ts`. */
export const inferenceModes = ["routes", "cascade", "agreement", "knora", "meta-des", "stacking"] as const;

export type InferenceMode = (typeof inferenceModes)[number];
