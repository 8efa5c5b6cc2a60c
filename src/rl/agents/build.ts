/** From what a run says to the network that it trains. */
import { memberEntry } from "../../hub/index.ts";
import { createObservationNetwork } from "../../models/index.ts";
import type { PathwayConfig } from "../../pathway/index.ts";
import { RandomStreams } from "../../torch/index.ts";
import { type AgentHub, loadAgent, loadAgents } from "./channels.ts";
import { type OutputKind, PlainNetwork, type TrainedNetwork } from "./network.ts";
import type { ObservationForm } from "./observations.ts";
import { PathwayNetwork } from "./pathway-network.ts";

/** Plan of the network that is trained. */
export type NetworkPlan =
  | { readonly kind: "new"; readonly architecture: string; readonly config: Readonly<Record<string, unknown>> }
  /** A hub's agent goes on, with a new head. */
  | { readonly kind: "agent"; readonly name: string }
  | {
      readonly kind: "pathway";
      readonly config: Partial<PathwayConfig>;
      /** Factor on the learning rate of the agents' networks. */
      readonly memberRate: number;
      readonly randomRoutes: boolean;
    };

/** The usual network for such observations: layers for vectors, Atari's for large pictures, MinAtar's for small ones. */
export function usualNetwork(form: ObservationForm, kind: OutputKind): NetworkPlan {
  const [channels, height, width] = form.shape;
  if (height * width === 1) {
    const config = kind === "action-values" ? { channels, hidden: [128, 128], activation: "relu" } : { channels };
    return { kind: "new", architecture: "mlp", config };
  }
  const isLarge = height >= 36 && width >= 36;
  const config = { channels, height, width };
  return { kind: "new", architecture: isLarge ? "nature-cnn" : "minatar-network", config };
}

/** The architecture of the network that a plan without a hub's routes trains. */
export function plainArchitecture(
  plan: Exclude<NetworkPlan, { kind: "pathway" }>,
  form: ObservationForm,
  hub: AgentHub | undefined,
): { architecture: string; config: Record<string, unknown> } {
  if (plan.kind === "new") return { architecture: plan.architecture, config: { ...plan.config } };
  const { architecture, config } = memberEntry(hub as AgentHub, plan.name);
  return { architecture, config: { ...config, channels: form.shape[0] } };
}

export interface BuildSetting {
  form: ObservationForm;
  outputs: number;
  kind: OutputKind;
  seed: number;
  /** Needed for everything but new networks. */
  hub: AgentHub | undefined;
  /** Names of the agents that routes lead to; all of the hub when left out. */
  agents?: readonly string[] | undefined;
}

/**
 * A network of the plan, with its own random streams of the seed.
 * @throws UserError, ConfigError when hub or plan do not fit
 */
export function buildNetwork(plan: NetworkPlan, setting: BuildSetting): TrainedNetwork {
  const streams = new RandomStreams(setting.seed);
  try {
    return plan.kind === "pathway" ? overHub(plan, setting, streams) : alone(plan, setting, streams);
  } catch (error) {
    streams.dispose();
    throw error;
  }
}

function alone(
  plan: Exclude<NetworkPlan, { kind: "pathway" }>,
  { form, outputs, kind, hub }: BuildSetting,
  streams: RandomStreams,
): TrainedNetwork {
  if (plan.kind === "new") {
    const network = createObservationNetwork(plan.architecture, plan.config, { generator: streams.stream("init") });
    return new PlainNetwork(network, { outputs, kind, streams });
  }
  const { backbone } = loadAgent(hub as AgentHub, memberEntry(hub as AgentHub, plan.name), form);
  return new PlainNetwork(backbone, { outputs, kind, streams, pretrained: true });
}

function overHub(
  { config, memberRate, randomRoutes }: Extract<NetworkPlan, { kind: "pathway" }>,
  { form, outputs, kind, hub, agents }: BuildSetting,
  streams: RandomStreams,
): TrainedNetwork {
  const members = loadAgents(hub as AgentHub, form, agents);
  try {
    const choices = randomRoutes ? { ...config, generatorKind: "random" as const } : config;
    return new PathwayNetwork({ members, shape: form.shape, outputs, kind, streams, config: choices, memberRate });
  } catch (error) {
    for (const member of members) member.dispose();
    throw error;
  }
}
