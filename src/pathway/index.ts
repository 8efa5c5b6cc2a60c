/** The method, over any `PathwayMember`, importing nn and torch alone: hub-pathway.ts first; config.ts has every choice, such as k. */
export type { MemberOutput } from "./aggregation.ts";
export * from "./config.ts";
export { PathwayGenerator } from "./generator.ts";
export { HubPathway, type HubPathwayOptions, type PathwayOutput, type RowLoss } from "./hub-pathway.ts";
export { gains, klExploration, lossRegression } from "./losses.ts";
export type { PathwayMember, StoredFeatures } from "./member.ts";
export { type Routing, randomRoutes, restrict, routeMask, topRoutes } from "./routing.ts";
