/** What is in a hub of agents, and whether it is whole. */
import type { Hub } from "../../hub/index.ts";
import { disposeTree, Generator, inferenceMode, rand, scope, UserError } from "../../torch/index.ts";
import { loadAgent } from "./agent-member.ts";

export interface AgentReport {
  name: string;
  architecture: string;
  environment: string;
  algorithm: string;
  steps: number;
  meanReturn: number | undefined;
  actions: number;
  featureWidth: number;
  parameters: number;
  flops: number;
}

/** Table rows about every agent. @throws UserError at the first one that does not load */
export function describeAgents(hub: Hub): AgentReport[] {
  return (hub.manifest.agents ?? []).map((entry) => {
    const { network, head } = loadAgent(hub.dir, entry);
    disposeTree({ ...head });
    using owned = network;
    return {
      name: entry.name,
      architecture: entry.architecture,
      environment: entry.observation.environment,
      algorithm: entry.training.algorithm,
      steps: entry.training.steps,
      meanReturn: entry.training.meanReturn,
      actions: entry.actions.length,
      featureWidth: entry.featureWidth,
      parameters: owned.parameters().reduce((sum, parameter) => sum + parameter.numel(), 0),
      flops: owned.flops(),
    };
  });
}

/** Problems of each agent: hashes, keys, shapes, and a forward pass. Empty lists mean all is well. */
export function verifyAgents(hub: Hub): { name: string; problems: string[] }[] {
  return (hub.manifest.agents ?? []).map((entry) => {
    try {
      const { network, head } = loadAgent(hub.dir, entry);
      disposeTree({ ...head });
      using owned = network;
      using generator = new Generator(0);
      const problems = scope(() =>
        inferenceMode(() => {
          const { shape, channels } = entry.observation;
          if (String(shape) !== String(owned.inputShape) || shape[0] !== channels.length) {
            return [`agent "${entry.name}": hub.json says [${shape}], its network takes [${owned.inputShape}]`];
          }
          const features = owned.forward(rand([2, ...shape], { generator }));
          if (String(features.shape) !== `2,${entry.featureWidth}`) {
            return [`agent "${entry.name}": 2 observations give [${features.shape}], not [2, ${entry.featureWidth}]`];
          }
          const areFinite = features.sub(features).isnan().logical_not().all().item() === 1;
          return areFinite ? [] : [`agent "${entry.name}": its features are not finite`];
        }),
      );
      return { name: entry.name, problems };
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return { name: entry.name, problems: [error.message] };
    }
  });
}
