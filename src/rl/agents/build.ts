/** From what a run says to the network that it trains. */
import { type Classifier, memberEntry } from "../../hub/index.ts";
import { createObservationNetwork } from "../../models/index.ts";
import type { Linear } from "../../nn/index.ts";
import type { PathwayConfig } from "../../pathway/index.ts";
import { ConfigError, disposeTree, noGrad, RandomStreams, UserError } from "../../torch/index.ts";
import { type Agent, type AgentHub, loadAgent, loadAgents } from "./channels.ts";
import { type OutputKind, PlainNetwork, type TrainedNetwork } from "./network.ts";
import type { ObservationForm } from "./observations.ts";
import { PathwayNetwork } from "./pathway-network.ts";
import { Critic } from "./route-policy.ts";

/** Plan of the network that is trained. */
export type NetworkPlan =
  | NewPlan
  /** A hub's agent goes on. */
  | { readonly kind: "agent"; readonly name: string; readonly heads?: Heads }
  | PathwayPlan;

export interface NewPlan {
  readonly kind: "new";
  readonly architecture: string;
  readonly config: Readonly<Record<string, unknown>>;
}

export interface PathwayPlan {
  readonly kind: "pathway";
  readonly config: Partial<PathwayConfig>;
  /** Factor on the learning rate of the agents' networks. */
  readonly memberRate: number;
  readonly randomRoutes: boolean;
  readonly heads?: Heads;
  /** The generator learns from the returns of its routes instead of the loss, see `canLearnFromReturns`. */
  readonly credit?: "returns";
}

/** True where routes have returns to learn from: those of a policy, over agents that answer with their own heads, not drawn at random. */
export function canLearnFromReturns({ config, randomRoutes, heads }: PathwayPlan, kind: OutputKind): boolean {
  const isRandom = randomRoutes || config.generatorKind === "random";
  return kind === "policy-and-value" && heads === "own" && config.aggregation === "logits" && !isRandom;
}

/** Heads that a hub's agents begin with: new ones when left out, or their own, which needs the same actions. */
export type Heads = "own";

/** The usual network for such observations: layers for vectors, Atari's for large pictures, MinAtar's for small ones. */
export function usualNetwork(form: ObservationForm, kind: OutputKind): NewPlan {
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
  /** Names of the actions, by index. */
  actions: readonly string[];
  kind: OutputKind;
  seed: number;
  /** Needed for everything but new networks. */
  hub: AgentHub | undefined;
  /** Names of the agents that routes lead to; all of the hub when left out. */
  agents?: readonly string[] | undefined;
}

/** One output for each action, and one for the value beside a policy. */
const outputsOf = ({ actions, kind }: BuildSetting): number => actions.length + (kind === "policy-and-value" ? 1 : 0);

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
  setting: BuildSetting,
  streams: RandomStreams,
): TrainedNetwork {
  const { form, kind, hub } = setting;
  const outputs = outputsOf(setting);
  if (plan.kind === "new") {
    const network = createObservationNetwork(plan.architecture, plan.config, { generator: streams.stream("init") });
    return new PlainNetwork(network, { outputs, kind, streams });
  }
  const agent = loadAgent(hub as AgentHub, memberEntry(hub as AgentHub, plan.name), form);
  try {
    const own = plan.heads && ownHead(agent, setting);
    const network = new PlainNetwork(agent.backbone, { outputs, kind, streams, pretrained: true });
    if (own) copyHead(network.module.head, own);
    disposeTree({ ...own });
    return network;
  } catch (error) {
    agent.dispose();
    throw error;
  }
}

/** The head that an agent has learned with. @throws UserError when its outputs mean something else here */
function ownHead(agent: Agent, { actions, kind, form }: BuildSetting): Classifier {
  const { policy } = agent.entry;
  const layer = agent.classifierLayer();
  if (!layer || policy?.outputs !== kind || String(policy.actions) !== String(actions)) {
    throw new UserError(
      `the agent "${agent.name}" cannot keep its head: it has ${policy ? `${policy.outputs} of ${policy.actions.join(", ")}` : "none"}, ` +
        `and ${form.environment} is learned with ${kind} of ${actions.join(", ")}`,
    );
  }
  return layer;
}

function copyHead(head: Linear, { weight, bias }: Classifier): void {
  noGrad(() => {
    head.weight.copy_(weight);
    if (bias) head.bias?.copy_(bias);
  });
}

function newCritic(form: ObservationForm, streams: RandomStreams): Critic {
  const generator = streams.stream("critic");
  const { architecture, config } = usualNetwork(form, "policy-and-value");
  return new Critic(createObservationNetwork(architecture, { ...config }, { generator }), generator);
}

function overHub(plan: PathwayPlan, setting: BuildSetting, streams: RandomStreams): TrainedNetwork {
  const { config, memberRate, randomRoutes, heads, credit } = plan;
  const { form, kind, hub, agents } = setting;
  if (credit && !canLearnFromReturns(plan, kind)) {
    throw new ConfigError(
      `credit is ${credit}: it needs ppo, agents that keep their heads, joined outputs (aggregation logits), and routes that are not random`,
    );
  }
  const members = loadAgents(hub as AgentHub, form, agents);
  let critic: Critic | undefined;
  try {
    const choices = randomRoutes ? { ...config, generatorKind: "random" as const } : config;
    const own = heads ? members.map((member) => ownHead(member, setting)) : [];
    const outputs = outputsOf(setting);
    critic = credit && newCritic(form, streams);
    const about = { members, shape: form.shape, outputs, kind, streams, memberRate, critic };
    const network = new PathwayNetwork({ ...about, config: choices, ownHeads: heads === "own" });
    for (const [i, layer] of own.entries()) copyHead(network.module.heads[i] as Linear, layer);
    return network;
  } catch (error) {
    for (const member of members) member.dispose();
    critic?.dispose();
    throw error;
  }
}
