/**
 * Run of an agent, and its folder:
 *
 *     agent.json                      the settings
 *     agent.checkpoint.safetensors    state of the training, and in the end the trained network
 *     agent.best.safetensors          the best measured policy
 *     events.jsonl, result.json
 */
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { readJsonFile } from "../../io/index.ts";
import { UserError } from "../../torch/index.ts";
import { RunFolder, type RunKind } from "../../train/index.ts";
import type { NetworkPlan } from "../agents/build.ts";
import type { DqnOptions } from "../algorithms/dqn.ts";
import type { PpoOptions } from "../algorithms/ppo.ts";
import type { EnvironmentOptions } from "../environments/index.ts";
import type { BestPolicy } from "./best-policy.ts";

export const agentRunVersion = 3;

/** An agent of a hub, and its weights. */
export interface UsedAgent {
  name: string;
  sha256: string;
}

export type AlgorithmPlan =
  | { readonly name: "ppo"; readonly options: PpoOptions }
  | { readonly name: "dqn"; readonly options: DqnOptions };

/** All that is needed to continue, evaluate or show a run. */
export interface AgentRun {
  version: number;
  environment: string;
  environmentOptions: Omit<EnvironmentOptions, "n" | "seed">;
  algorithm: AlgorithmPlan;
  network: NetworkPlan;
  hub: string | undefined;
  /** The agents of the hub that the run began with: others may join the hub later. */
  agents: readonly UsedAgent[] | undefined;
  copies: number;
  totalSteps: number;
  seed: number;
}

/** Settings that are used before algorithm and network check theirs. */
const used = z.looseObject({
  environment: z.string(),
  environmentOptions: z.looseObject({}),
  algorithm: z.looseObject({ name: z.enum(["ppo", "dqn"]), options: z.looseObject({}) }),
  network: z.looseObject({ kind: z.string() }),
  hub: z.string().optional(),
  agents: z.array(z.looseObject({ name: z.string(), sha256: z.string() })).optional(),
  copies: z.int().min(1),
  totalSteps: z.number(),
  seed: z.number(),
});

/** The settings as the file has them: the order of their keys is part of a checkpoint's identity. */
const runSchema = z
  .looseObject({ version: z.literal(agentRunVersion) })
  .refine((run) => used.safeParse(run).success, "does not describe the run of an agent")
  .transform((run) => run as unknown as AgentRun);

const outcomeSchema = z.looseObject({ steps: z.number(), seconds: z.number(), episodes: z.number() });

export interface AgentOutcome {
  steps: number;
  seconds: number;
  episodes: number;
  /** Over the last 100 episodes of training. */
  meanReturn: number | undefined;
  /** The same in the game's own points, where the rewards that were learned from are clipped. */
  meanScore?: number | undefined;
  meanLength: number | undefined;
  /** The policy that is kept, where policies were measured. */
  best?: BestPolicy | undefined;
}

const [checkpointName, bestName, resultName] = [
  "agent.checkpoint.safetensors",
  "agent.best.safetensors",
  "result.json",
] as const;

export const agentRun: RunKind<AgentRun> = {
  noun: "agent",
  what: "the settings of an agent's run",
  settings: "agent.json",
  schema: runSchema,
  version: agentRunVersion,
  own: /^(agent\.(checkpoint|best)\.safetensors|events\.jsonl)$/,
  folders: [],
  finished: resultName,
  begin: "hub-pathway rl train",
  resume: () => "hub-pathway rl train … --resume",
};

export type AgentRunFolder = RunFolder<AgentRun>;

export const agentFolder = (path: string): AgentRunFolder => new RunFolder(path, agentRun);

export const checkpointOf = (folder: AgentRunFolder): string => folder.file(checkpointName);

export const bestOf = (folder: AgentRunFolder): string => folder.file(bestName);

/** True when a folder holds the run of an agent. */
export const isAgentRun = (path: string): boolean => agentFolder(path).exists;

/** The result of a finished run. @throws UserError when there is none */
export function resultOf(path: string): AgentOutcome {
  const folder = agentFolder(path);
  folder.requireFinished();
  return readJsonFile(folder.file(resultName), outcomeSchema, "the result of an agent") as unknown as AgentOutcome;
}

/** @throws UserError when a run that goes on is asked for something else than its folder says */
export function refuseOtherRun(path: string, before: AgentRun, asked: AgentRun): void {
  const now = JSON.parse(JSON.stringify(asked)) as AgentRun;
  const keys = Object.keys({ ...now, ...before }) as (keyof AgentRun)[];
  const different = keys.find((key) => key !== "hub" && key !== "agents" && !isDeepStrictEqual(before[key], now[key]));
  if (different) throw new UserError(`${path} holds another run (${different} differs): give another --out folder`);
}
