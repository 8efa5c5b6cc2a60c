/**
 * Hub-Pathway for TypeScript: transfer learning from a hub of pre-trained models.
 *
 * @example
 * const run = await trainRun({ method: findMethod("hub-pathway"), hub: "hubs/starter", … });
 */
export { checkDataset, fetchDataset, imageFolder, knownDatasets, openDataset } from "./data/index.ts";
export { describeHub, HubMember, loadMembers, openHub, type PathwayMember, verifyHub } from "./hub/index.ts";
export { findMethod, MemberLearner, methods, PathwayLearner } from "./methods/index.ts";
export { defaultPathwayConfig, HubPathway, type PathwayConfig } from "./pathway/index.ts";
export { ConfigError, UserError } from "./torch/index.ts";
export {
  defaultTrainOptions,
  evaluate,
  Interrupted,
  type Method,
  openRun,
  type RunEvent,
  summarise,
  type TrainOptions,
  type TrainRequest,
  trainRun,
} from "./train/index.ts";
