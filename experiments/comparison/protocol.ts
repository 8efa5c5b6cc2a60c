/** What a comparison holds fixed for all its methods: data, split, members, options, budgets. */
import type { PathwayConfig } from "../../src/pathway/index.ts";
import { type DataRequest, defaultTrainOptions, type TrainOptions } from "../../src/train/index.ts";

export interface Protocol {
  name: string;
  hub: string;
  data: Omit<DataRequest, "seed" | "onProgress">;
  options: TrainOptions;
  /** Epochs E of one unit: one member fine-tuned once. */
  epochs: number;
  pathway: Partial<PathwayConfig>;
}

/** The demo and experiments/starter.ts: emoji categories with few labels, the starter hub, k = 2. */
export const starterProtocol: Protocol = {
  name: "starter",
  hub: "hubs/starter",
  data: {
    source: "emoji",
    imageSize: 48,
    split: { trainPerClass: 40, testFraction: 0.4, validationFraction: 0.2 },
    augment: "standard",
    batchSize: 48,
  },
  options: defaultTrainOptions,
  epochs: 16,
  // Chosen on validation data (docs/results/starter.md): members that learn from their own loss alone stay complementary.
  pathway: { k: 2, beta: 0 },
};
