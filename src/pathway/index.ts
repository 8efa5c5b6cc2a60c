/** The method: generator, routing, aggregation, losses, and Hub-Pathway itself. Read hub-pathway.ts first. */
export * from "./config.ts";
export { PathwayGenerator } from "./generator.ts";
export { HubPathway, type HubPathwayOptions, type PathwayOutput, type RowLoss } from "./hub-pathway.ts";
export { klExploration } from "./losses.ts";
export type { PathwayMember, StoredFeatures } from "./member.ts";
export { type Routing, randomRoutes, topRoutes } from "./routing.ts";
