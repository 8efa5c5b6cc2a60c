/** Protocol of the transfer between games: methods and budgets. */
import { changesFrom } from "../../compare/index.ts";
import {
  type AlgorithmPlan,
  defaultDqnOptions,
  defaultPpoOptions,
  type NetworkPlan,
  type PathwayPlan,
} from "../../rl/index.ts";

export interface Protocol {
  /** Raised when cells of before can no longer be compared. */
  version: number;
  /** Games whose agents form the hub. */
  sources: readonly string[];
  targets: readonly string[];
  /** Steps of each agent of the hub, and their seed. */
  sourceSteps: number;
  sourceSeed: number;
  /** Steps of every method in a target game. */
  targetSteps: number;
  /** Steps that the teachers of the distilled student play; they come on top of its steps in the target game. */
  distilSteps: number;
  copies: number;
  algorithm: Extract<AlgorithmPlan, { name: "ppo" }>;
}

/** Every method has the same PPO settings; they were not tuned for any of them. */
const usual: Protocol = {
  version: 1,
  sources: ["minatar:breakout", "minatar:freeway", "minatar:space-invaders"],
  targets: ["minatar:asterix", "minatar:seaquest"],
  sourceSteps: 2_000_000,
  sourceSeed: 1000,
  targetSteps: 500_000,
  distilSteps: 300_000,
  // Few steps of many copies: acting costs little, and minibatches have 512 rows.
  copies: 64,
  algorithm: { name: "ppo", options: { ...defaultPpoOptions, rollout: 64, minibatches: 8 } },
};

export function transferProtocol(quick: boolean): Protocol {
  if (!quick) return usual;
  const [sourceSteps, targetSteps, distilSteps] = [4096, 4096, 1024];
  return { ...usual, targets: usual.targets.slice(0, 1), sourceSteps, targetSteps, distilSteps };
}

/** Parts of an algorithm that decide a cell: the options that are not the defaults. */
export function algorithmKey({ name, options }: AlgorithmPlan): object {
  return { name, ...changesFrom(name === "ppo" ? defaultPpoOptions : defaultDqnOptions, options) };
}

export interface TransferMethod {
  name: string;
  /** From a new network when left out. */
  plan?: NetworkPlan;
  /** Starts from the hub's distilled student. */
  distilled?: boolean;
  /** Seeds that are enough for it; all when left out. */
  seeds?: number;
}

/** Seeds of the variants that the claims do not rest on. */
const tailSeeds = 3;

export const pathway = (config: PathwayPlan["config"], changes: Partial<PathwayPlan> = {}): NetworkPlan => ({
  kind: "pathway",
  config,
  memberRate: 1,
  randomRoutes: false,
  ...changes,
});

/** The hub's agents are named as their games are, without "minatar:". */
export const agentName = (game: string): string => game.replace("minatar:", "");

export const scratch = "from scratch";
export const ours = "Hub-Pathway";
const tuning = "fine-tune ";

export const isFineTuning = (method: string): boolean => method.startsWith(tuning);

/** The methods that are run with a seed. */
export const methodsOf = (protocol: Protocol, seed: number): TransferMethod[] =>
  transferMethods(protocol).filter(({ seeds = Number.POSITIVE_INFINITY }) => seed < seeds);

export function transferMethods({ sources }: Protocol): TransferMethod[] {
  return [
    { name: scratch },
    ...sources.map((game): TransferMethod => {
      return { name: `${tuning}${agentName(game)}`, plan: { kind: "agent", name: agentName(game) } };
    }),
    { name: "distillation", distilled: true },
    { name: ours, plan: pathway({ k: 2 }) },
    { name: `${ours}, outputs joined`, plan: pathway({ k: 2, aggregation: "logits" }) },
    { name: `${ours}, k = 1`, plan: pathway({ k: 1 }), seeds: tailSeeds },
    { name: `${ours}, agents frozen`, plan: pathway({ k: 2 }, { memberRate: 0 }), seeds: tailSeeds },
    { name: "random routes", plan: pathway({ k: 2 }, { randomRoutes: true }), seeds: tailSeeds },
    { name: "dense", plan: pathway({ k: sources.length, tau: 1 }) },
  ];
}
