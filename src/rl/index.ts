/**
 * Reinforcement learning. environments/ holds the games and bridge/ those of Python; agents/ the networks and their
 * hubs; algorithms/ PPO and DQN; training/ runs, from run.ts (one agent from start to end) to run-folder.ts (what it
 * leaves) and open-agent.ts (the network of a run again).
 * May import torch to methods, and needs of train little more than the run folder.
 */

export {
  buildNetwork,
  canLearnFromReturns,
  type NetworkPlan,
  type NewPlan,
  type PathwayPlan,
  usualNetwork,
} from "./agents/build.ts";
export { type Agent, type AgentHub, loadAgent, loadAgents, matchChannels } from "./agents/channels.ts";
export { type OutputKind, PlainNetwork, type TrainedNetwork } from "./agents/network.ts";
export { actionNames, encode, type ObservationForm, observationForm } from "./agents/observations.ts";
export { agentPathwayConfig, PathwayNetwork } from "./agents/pathway-network.ts";
export { Dqn, type DqnOptions, defaultDqnOptions, usualDqnOptions } from "./algorithms/dqn.ts";
export { EpisodeMeter } from "./algorithms/episodes.ts";
export { defaultPpoOptions, Ppo, type PpoOptions, usualPpoOptions } from "./algorithms/ppo.ts";
export * from "./environments/index.ts";
export { addAgentOfRun } from "./training/add-to-hub.ts";
export type { BestPolicy, EvaluationPlan } from "./training/best-policy.ts";
export { type Distilled, type DistilRequest, distil } from "./training/distil.ts";
export { type PlayResult, playEpisodes } from "./training/evaluate.ts";
export { type AgentEvent, type EmitAgent, readProgress } from "./training/events.ts";
export { longestEpisode } from "./training/limits.ts";
export { openAgent, outputKind } from "./training/open-agent.ts";
export { type AgentRequest, trainAgent } from "./training/run.ts";
export {
  type AgentOutcome,
  type AgentRun,
  type AlgorithmPlan,
  agentFolder,
  isAgentRun,
  resultOf,
} from "./training/run-folder.ts";
export { EpisodeVideo } from "./training/video.ts";
