/** Reinforcement-learning environments: the five MinAtar games, classic control, and any of Gymnasium through a bridge. */
export { type Ending, LocalEnvironment, type LocalOptions, type Rules } from "./local-environment.ts";
export { type Channel, GridEnvironment, type GridGame, type Key, keys, type MinAtarOptions } from "./minatar/grid.ts";
export { MixedGrids } from "./minatar/mixed-grid.ts";
export { type Random, RandomStream } from "./random-stream.ts";
export {
  type EnvironmentOptions,
  type GridId,
  gridIds,
  isGridId,
  isLocalId,
  type LocalId,
  localIds,
  makeEnvironment,
  makeGridEnvironment,
  makeLocalEnvironment,
} from "./registry.ts";
export { type Grid, renderPng, renderText } from "./render.ts";
export {
  type Actions,
  type Box,
  boxElements,
  type Discrete,
  type EnvironmentState,
  type Observations,
  type StepResult,
  type VectorEnvironment,
} from "./types.ts";
