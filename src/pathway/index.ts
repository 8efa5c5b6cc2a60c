/** The method: generator, routing, aggregation, losses, and Hub-Pathway itself. Read hub-pathway.ts first. */
export { defaultPathwayConfig, type PathwayConfig, pathwayVersion, resolvePathwayConfig } from "./config.ts";
export { PathwayGenerator, type Scores } from "./generator.ts";
export { HubPathway, type HubPathwayOptions, type PathwayOutput, type RowLoss } from "./hub-pathway.ts";
export { klExploration } from "./losses.ts";
export type { PathwayMember, StoredFeatures } from "./member.ts";
export {
  addNoise,
  equalWeights,
  pathwayWeights,
  type Routing,
  randomRoutes,
  restrict,
  routeMask,
  rowsByModel,
  topRoutes,
} from "./routing.ts";
