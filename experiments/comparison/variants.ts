/** Variants of Hub-Pathway that were compared to choose the defaults. */
import type { PathwayVariant } from "./cells.ts";

export interface StudiedVariant extends PathwayVariant {
  /** Numbers of epochs to run it for. */
  epochs(unit: number): number[];
}

/** Both budgets for a hub of six at k = 2. */
const both = (unit: number) => [unit, 3 * unit];
const long = (unit: number) => [3 * unit];

export const variants: readonly StudiedVariant[] = [
  { name: "default", config: {}, epochs: both },
  { name: "tau 1", config: { tau: 1 }, epochs: both },
  { name: "constant exploration", config: { explorationFade: "constant" }, epochs: both },
  { name: "beta 0", config: { beta: 0 }, epochs: both },
  { name: "probabilities", config: { aggregation: "probabilities" }, epochs: both },
  { name: "features", config: { aggregation: "features" }, epochs: long },
  { name: "without exploration", config: { explorationWeight: 0 }, epochs: long },
  { name: "without noise", config: { noise: "none" }, epochs: long },
  { name: "without per-model training", config: { exploitationWeight: 0 }, epochs: long },
  { name: "random routes", config: {}, randomRoutes: true, epochs: both },
];
