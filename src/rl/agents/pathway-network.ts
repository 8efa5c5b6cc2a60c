/**
 * Hub-Pathway over a hub of agents: the generator reads the observation, the activated agents' networks run, and their
 * features (or outputs) join under a policy and value head. n observations, m agents, k activated ones.
 *
 * Routes that learn from returns are drawn as actions are, and kept for the update (route-policy.ts). Others learn from
 * the loss, through their weights. These depend on noise, so that such a policy is one of observation, routes and noise. An
 * update draws them anew in every pass, as the paper's training draws its noise. The importance ratio of PPO then compares a
 * new pathway with the one that acted: it starts near 1, not at it, and every agent learns from most of the steps. Keeping
 * these routes was tried, and agents learned less (docs/results/rl-transfer.md).
 */
import { refuseUnknown } from "../../methods/index.ts";
import { init, type Linear, type Module, setBatchNormPolicy } from "../../nn/index.ts";
import {
  defaultPathwayConfig,
  HubPathway,
  type HubPathwayOptions,
  type PathwayConfig,
  type PathwayGenerator,
  type PathwayMember,
  type Routing,
  type RowLoss,
  resolvePathwayConfig,
  topRoutes,
} from "../../pathway/index.ts";
import { type Generator, noGrad, ops, type RandomStreams, type Tensor } from "../../torch/index.ts";
import {
  type Acted,
  type NetworkLoss,
  type OutputKind,
  policyHead,
  type TakenRoutes,
  type TrainedNetwork,
} from "./network.ts";
import {
  type Critic,
  routeEntropy,
  routeEntropyWeight,
  routeLogProbs,
  routeNoise,
  routesFirst,
} from "./route-policy.ts";

/** A model that belongs to the network over it. */
type OwnedMember = PathwayMember & { dispose(): void };

export interface PathwayNetworkOptions {
  members: readonly OwnedMember[];
  /** [C, H, W] of the game at hand. */
  shape: readonly [number, number, number];
  outputs: number;
  kind: OutputKind;
  config: Partial<PathwayConfig>;
  streams: RandomStreams;
  /** Factor on the learning rate of the agents' networks. */
  memberRate: number;
  /** The agents begin with their own heads, which then learn at their rate. */
  ownHeads?: boolean;
  /** Routes learn from returns, which it foresees; it becomes part of the network. */
  critic?: Critic | undefined;
}

/** Hub-Pathway with the critic that routes need which learn from returns. */
class AgentPathway extends HubPathway {
  readonly critic: Critic | undefined;

  constructor(options: HubPathwayOptions, critic: Critic | undefined) {
    super(options);
    this.critic = critic && this.module("critic", critic);
  }
}

/**
 * The choices of the method that games begin with: features join, as the outputs of agents of other games mean nothing yet,
 * and the generator is as small as what it sees.
 * @param side largest side of an observation
 */
export function agentPathwayConfig(side: number): Partial<PathwayConfig> {
  const generatorSize = Math.min(defaultPathwayConfig.generatorSize, side);
  return { aggregation: "features", beta: 1, generatorWidth: side < 16 ? 2 : 4, generatorSize };
}

export class PathwayNetwork implements TrainedNetwork {
  readonly module: AgentPathway;
  readonly streams: RandomStreams;
  readonly memberNames: readonly string[];
  readonly #members: readonly OwnedMember[];
  readonly #memberRate: number;
  readonly #ownHeads: boolean;

  /** @throws ConfigError for choices that do not fit */
  constructor(options: PathwayNetworkOptions) {
    const { members, shape, outputs, kind, streams } = options;
    const [channels, height, width] = shape;
    this.streams = streams;
    this.#members = members;
    this.#memberRate = options.memberRate;
    this.#ownHeads = options.ownHeads ?? false;
    this.memberNames = members.map((member) => member.name);
    const side = Math.max(height, width);
    const returns = options.critic ? { warmup: routesFirst, tau: 1 } : {};
    const choices = { ...agentPathwayConfig(side), ...returns, ...options.config };
    refuseUnknown("hub-pathway", choices, Object.keys(defaultPathwayConfig));
    const config = resolvePathwayConfig(choices, members.length);
    this.module = new AgentPathway({ members, outputs, config, streams, channels }, options.critic);
    // Without gradients: they would count in the norm that is clipped.
    if (options.memberRate === 0) for (const parameter of this.#agents()) parameter.requires_grad = false;
    prepareGenerator(this.module.generator, streams.stream("init"));
    if (kind === "action-values") return;
    for (const head of this.#heads()) policyHead(head, streams.stream("init"));
  }

  act(x: Tensor, progress?: number, stretch = 0): Acted {
    const { critic, generator, config } = this.module;
    if (!critic) {
      const routing = this.module.route(x, progress);
      return { outputs: this.module.execute(x, routing).logits, routes: routesOf(routing) };
    }
    const scores = generator.forward(x);
    const drawn = progress === undefined ? scores : scores.add(routeNoise(scores, this.streams.seed, stretch));
    const routes = topRoutes(drawn, config.k);
    const { logits } = this.module.execute(x, this.module.along(scores, routes, config.tau));
    return { outputs: withValues(logits, critic.forward(x)), routes, routeLogProbs: routeLogProbs(scores, routes) };
  }

  losses(x: Tensor, rowLoss: RowLoss, progress: number, taken?: TakenRoutes): NetworkLoss {
    if (taken) return this.#lossesAlong(x, rowLoss, progress, taken);
    const routing = this.module.route(x, progress);
    const output = this.module.execute(x, routing);
    const { total, task, exploration, exploitation } = this.module.losses(output, rowLoss, progress);
    return { total, parts: { task, exploration, exploitation }, rows: routing.rows.map((own) => own.length) };
  }

  /** `losses` along routes that acted, and their own loss; agents stay as they are for the warm-up. */
  #lossesAlong(x: Tensor, rowLoss: RowLoss, progress: number, taken: TakenRoutes): NetworkLoss {
    const { critic, generator, config } = this.module;
    const scores = generator.forward(x);
    // Weights are constant: the task's loss does not reach the generator, the exploration loss of its scores does.
    const routing = { ...this.module.along(scores, taken.routes, config.tau), scores };
    const execute = () => this.module.execute(x, routing);
    const output = progress < config.warmup ? noGrad(execute) : execute();
    const logits = withValues(output.logits, (critic as Critic).forward(x));
    const parts = this.module.losses({ ...output, logits }, rowLoss, progress);
    const { task, exploration, exploitation } = parts;
    const routes = taken.loss(routeLogProbs(scores, taken.routes)).mean();
    const total = parts.total.add(routes).sub(routeEntropy(scores).mean().mul(routeEntropyWeight));
    return { total, parts: { task, exploration, exploitation, routes }, rows: routing.rows.map((own) => own.length) };
  }

  parameterGroups(): { params: Tensor[]; factor: number }[] {
    const agents = this.#agents();
    const { newLayers, generator } = this.module.parameterGroups();
    const critic = this.module.critic?.parameters() ?? [];
    return [
      { params: agents, factor: this.#memberRate },
      { params: [...newLayers.filter((layer) => !agents.includes(layer)), ...generator, ...critic], factor: 1 },
    ];
  }

  /** One of the agents as it is now, with its own head; undefined when there is none of that name. */
  agent(name: string): { network: Module; featureWidth: number; head: Linear } | undefined {
    const index = this.memberNames.indexOf(name);
    const [member, head] = [this.#members[index], this.module.heads[index]];
    return member && head ? { network: member.backbone, featureWidth: member.featureWidth, head } : undefined;
  }

  dispose(): void {
    this.module.dispose();
    for (const member of this.#members) member.dispose();
    this.streams.dispose();
  }

  /** What the agents brought along. */
  #agents(): Tensor[] {
    const { backbone } = this.module.parameterGroups();
    return this.#ownHeads ? [...backbone, ...this.module.heads.flatMap((head) => head.parameters())] : backbone;
  }

  #heads(): { weight: Tensor; bias: Tensor | undefined }[] {
    const joint = this.module.aggregation.namedParameters();
    const weight = joint.get("head.weight");
    return [...this.module.heads, ...(weight ? [{ weight, bias: joint.get("head.bias") }] : [])];
  }
}

/**
 * Acting and learning see batches of different sizes and times, in which the generator must score alike: its norms use
 * running statistics that stay as they begin, which does nothing. Instead its layers begin with orthogonal weights, so that
 * the observation is not lost on the way through them.
 */
function prepareGenerator(generator: PathwayGenerator, random: Generator): void {
  setBatchNormPolicy(generator, "running");
  for (const [name, parameter] of generator.namedParameters()) {
    if (name.endsWith("conv.weight") || name === "hidden.weight") init.orthogonal_(parameter, Math.SQRT2, random);
    else if (name.endsWith("conv.bias") || name === "hidden.bias") init.constant_(parameter, 0);
  }
}

/** Outputs [n, A + 1] with other values [n, 1]. */
function withValues(outputs: Tensor, values: Tensor): Tensor {
  return ops.cat([outputs.narrow(1, 0, outputs.size(1) - 1), values], 1);
}

/** [n][k]: the models of each row. */
export function routesOf({ rows, scores }: Routing): number[][] {
  const routes: number[][] = Array.from({ length: scores.size(0) }, () => []);
  for (const [model, own] of rows.entries()) for (const row of own) routes[row]?.push(model);
  return routes;
}
