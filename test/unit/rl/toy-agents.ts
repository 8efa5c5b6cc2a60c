/** Agents of the toy world of signs, and their training. */
import { Mlp } from "../../../src/models/index.ts";
import type { PathwayMember } from "../../../src/pathway/index.ts";
import type { TrainedNetwork } from "../../../src/rl/agents/network.ts";
import { actionNames, observationForm } from "../../../src/rl/agents/observations.ts";
import type { Algorithm, Setting } from "../../../src/rl/algorithms/algorithm.ts";
import { EpisodeMeter } from "../../../src/rl/algorithms/episodes.ts";
import type { VectorEnvironment } from "../../../src/rl/environments/index.ts";
import { Generator, noGrad, scope, tensor } from "../../../src/torch/index.ts";

export function setting(environment: VectorEnvironment, network: TrainedNetwork, totalSteps: number): Setting {
  const form = observationForm(environment);
  const actions = actionNames(environment).length;
  return { environment, form, actions, network, episodes: new EpisodeMeter(environment.n), totalSteps };
}

/** Trains to the end and gives the last logs. */
export async function run(algorithm: Algorithm, { environment, totalSteps }: Setting): Promise<Record<string, number>> {
  algorithm.observations = await environment.reset();
  let logs: Record<string, number> = {};
  while (algorithm.steps < totalSteps) ({ logs } = await algorithm.advance());
  return logs;
}

/** An agent that sees the signs in one half of the world, and nothing in the other one. */
export function half(index: 0 | 1): PathwayMember & { dispose(): void } {
  using generator = new Generator(0);
  const network = new Mlp({ channels: 3, hidden: [2], activation: "relu" }, { generator });
  // Features are relu(sign - half) or relu(sign + half - 1).
  const [slope, bias] = index === 0 ? ([-1, 0] as const) : ([1, -1] as const);
  const rows = [
    [slope, 1, 0],
    [slope, 0, 1],
  ];
  scope(() => {
    noGrad(() => {
      network.inputWeight.copy_(tensor(rows));
      network.namedParameters().get("layers.0.bias")?.fill_(bias);
    });
  });
  return {
    name: `half-${index}`,
    featureWidth: network.featureWidth,
    backbone: network,
    flops: network.flops(),
    features: (x) => network.forward(x),
    dispose: () => network.dispose(),
  };
}

/** All four observations of the signs: half, sign 0, sign 1. */
export const everySign = Uint8Array.from([0, 1, 0, 0, 0, 1, 1, 1, 0, 1, 0, 1]);
