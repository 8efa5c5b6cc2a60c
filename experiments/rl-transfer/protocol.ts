/** What the transfer between games compares, and in which budgets. */
import { type AlgorithmPlan, defaultPpoOptions, type NetworkPlan } from "../../src/rl/index.ts";

export interface Protocol {
  /** Games whose agents form the hub. */
  sources: readonly string[];
  targets: readonly string[];
  /** Steps of each agent of the hub. */
  sourceSteps: number;
  /** Steps of every method in a target game. */
  targetSteps: number;
  /** Steps that the teachers of the distilled student play; they come on top of its steps in the target game. */
  distilSteps: number;
  copies: number;
  algorithm: AlgorithmPlan;
}

/** Every method has the same PPO settings; they were not tuned for any of them. */
export const protocol: Protocol = {
  sources: ["minatar:breakout", "minatar:freeway", "minatar:space-invaders"],
  targets: ["minatar:asterix", "minatar:seaquest"],
  sourceSteps: 2_000_000,
  targetSteps: 1_000_000,
  distilSteps: 1_000_000,
  copies: 16,
  algorithm: { name: "ppo", options: { ...defaultPpoOptions, minibatches: 8 } },
};

export interface TransferMethod {
  name: string;
  /** From a new network when left out. */
  plan?: NetworkPlan;
  /** Starts from the hub's distilled student. */
  distilled?: boolean;
  algorithm?: AlgorithmPlan;
}

const pathway = (
  config: Extract<NetworkPlan, { kind: "pathway" }>["config"],
  changes: Partial<Extract<NetworkPlan, { kind: "pathway" }>> = {},
): NetworkPlan => ({ kind: "pathway", config, memberRate: 1, randomRoutes: false, ...changes });

/** The hub's agents are named as their games are, without "minatar:". */
export const agentName = (game: string): string => game.replace("minatar:", "");

export function methods({ sources, algorithm }: Protocol): TransferMethod[] {
  const m = sources.length;
  const redrawn: AlgorithmPlan | undefined =
    algorithm.name === "ppo" ? { name: "ppo", options: { ...algorithm.options, routes: "redrawn" } } : undefined;
  return [
    { name: "from scratch" },
    ...sources.map((game): TransferMethod => {
      return { name: `fine-tune ${agentName(game)}`, plan: { kind: "agent", name: agentName(game) } };
    }),
    { name: "distillation", distilled: true },
    { name: "Hub-Pathway", plan: pathway({ k: 2 }) },
    { name: "Hub-Pathway, outputs joined", plan: pathway({ k: 2, aggregation: "logits" }) },
    { name: "Hub-Pathway, k = 1", plan: pathway({ k: 1 }) },
    { name: "dense", plan: pathway({ k: m, tau: 1 }) },
    { name: "random routes", plan: pathway({ k: 2 }, { randomRoutes: true }) },
    { name: "Hub-Pathway, agents frozen", plan: pathway({ k: 2 }, { memberRate: 0 }) },
    ...(redrawn ? [{ name: "Hub-Pathway, routes redrawn", plan: pathway({ k: 2 }), algorithm: redrawn }] : []),
  ];
}
