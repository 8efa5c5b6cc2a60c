/** The network of a run, made anew or read from its folder, and the hub that it needs. */
import { existsSync } from "node:fs";
import { memberEntries, openHub } from "../../hub/index.ts";
import { ConfigError, UserError } from "../../torch/index.ts";
import { buildNetwork, type NetworkPlan } from "../agents/build.ts";
import type { AgentHub } from "../agents/channels.ts";
import type { OutputKind, TrainedNetwork } from "../agents/network.ts";
import { actionNames, type ObservationForm, observationForm } from "../agents/observations.ts";
import { makeEnvironment, type VectorEnvironment } from "../environments/index.ts";
import { loadModel } from "./checkpoint.ts";
import { type AgentRun, type AlgorithmPlan, agentFolder, bestOf, checkpointOf, type UsedAgent } from "./run-folder.ts";

export function outputKind(algorithm: AlgorithmPlan["name"]): OutputKind {
  return algorithm === "ppo" ? "policy-and-value" : "action-values";
}

/** The hub that a network's plan needs; undefined for a new network. @throws ConfigError when none is named */
export function openAgentHub({ hub, network }: Pick<AgentRun, "hub" | "network">): AgentHub | undefined {
  if (network.kind === "new") return undefined;
  if (hub === undefined) throw new ConfigError("agents of a hub are to be trained: name its folder with --hub");
  return openHub(hub, { inputs: ["observation"] });
}

/** Initial network of the run. @param actions names of them */
export function networkOf(
  run: AgentRun,
  form: ObservationForm,
  actions: readonly string[],
  hub: AgentHub | undefined,
): TrainedNetwork {
  const kind = outputKind(run.algorithm.name);
  const agents = run.agents?.map(({ name }) => name);
  return buildNetwork(run.network, { form, actions, kind, seed: run.seed, hub, agents });
}

/** The agents that a plan needs of a hub. */
export function usedAgents(hub: AgentHub, plan: NetworkPlan): UsedAgent[] {
  const entries = memberEntries(hub, plan.kind === "agent" ? [plan.name] : undefined);
  return entries.map(({ name, weights }) => ({ name, sha256: weights.sha256 }));
}

/** @throws UserError when the hub lacks an agent that the run began with, or has another one of that name */
export function refuseAbsentAgents({ agents = [] }: AgentRun, hub: AgentHub | undefined): void {
  for (const { name, sha256 } of agents) {
    const entry = hub?.manifest.members.find((own) => own.name === name);
    if (entry?.weights.sha256 === sha256) continue;
    const what = entry ? "has other weights there now" : "is not there";
    throw new UserError(
      `the run began with the agent "${name}" of ${hub?.dir}, which ${what}: give its hub with --hub`,
    );
  }
}

/** Training on Atari sees rewards of -1, 0 and 1 (Mnih et al. 2015); an agent's return is that of the game. */
export function withWholeRewards(options: AgentRun["environmentOptions"]): AgentRun["environmentOptions"] {
  const { gym = {} } = options;
  return { ...options, gym: { ...gym, atari: { ...gym.atari, clipRewards: false } } };
}

export interface OpenedAgent {
  run: AgentRun;
  network: TrainedNetwork;
  form: ObservationForm;
  actions: readonly string[];
  hub: AgentHub | undefined;
  steps: number;
  finished: boolean;
}

/**
 * The network that a run keeps, the best measured one where there is one, and a fresh environment for it; the caller
 * disposes and closes both.
 * @throws UserError when the hub lacks an agent that the run began with, or nothing was saved yet
 */
export async function openAgent(
  out: string,
  options: {
    /** As few as the environment can have when left out: one, or one for each game of a mix. */
    copies?: number | undefined;
    seed: number;
    hub?: string | undefined;
    last?: boolean | undefined;
    only?: string | undefined;
  },
): Promise<OpenedAgent & { environment: VectorEnvironment }> {
  const folder = agentFolder(out);
  const run = folder.config();
  const hub = openAgentHub({ hub: options.hub ?? run.hub, network: run.network });
  refuseAbsentAgents(run, hub);
  const environment = await makeEnvironment(run.environment, {
    ...withWholeRewards(run.environmentOptions),
    ...(options.copies === undefined ? {} : { n: options.copies }),
    seed: options.seed,
    only: options.only,
  });
  try {
    const form = observationForm(environment);
    const actions = actionNames(environment);
    const network = networkOf(run, form, actions, hub);
    try {
      const best = !options.last && existsSync(bestOf(folder));
      const steps = loadModel(best ? bestOf(folder) : checkpointOf(folder), network.module);
      return { run, network, form, actions, hub, environment, steps, finished: folder.isFinished };
    } catch (error) {
      network.dispose();
      throw error;
    }
  } catch (error) {
    await environment.close();
    throw error;
  }
}
