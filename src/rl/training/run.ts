/** One agent from start to end: environment, network, algorithm, and the folder that the run leaves. */
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { z } from "zod";
import { openHub } from "../../hub/index.ts";
import { readJsonFile, sweepTemporaries, writeFileAtomic } from "../../io/index.ts";
import { pathwayVersion } from "../../pathway/index.ts";
import { ConfigError, Interrupted, seedOf, UserError } from "../../torch/index.ts";
import { eventLoopTurn, fingerprint } from "../../train/index.ts";
import { buildNetwork, type NetworkPlan } from "../agents/build.ts";
import { type AgentHub, agentEntries } from "../agents/channels.ts";
import type { OutputKind, TrainedNetwork } from "../agents/network.ts";
import { actionNames, type ObservationForm, observationForm } from "../agents/observations.ts";
import type { Algorithm, Setting } from "../algorithms/algorithm.ts";
import { Dqn, type DqnOptions } from "../algorithms/dqn.ts";
import { EpisodeMeter } from "../algorithms/episodes.ts";
import { Ppo, type PpoOptions } from "../algorithms/ppo.ts";
import { type EnvironmentOptions, makeEnvironment, type VectorEnvironment } from "../environments/index.ts";
import { type BestPolicy, type EvaluationPlan, PolicyEvaluation } from "./best-policy.ts";
import { loadModel, type Parts, resumeAgent, saveAgent } from "./checkpoint.ts";
import { agentEventVersion, agentLog, type EmitAgent } from "./events.ts";

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

/** The shape of a recorded run of any version; one of this version has the parts that are used before they are checked. */
const recordedSchema = z.looseObject({ version: z.number() }).refine(
  ({ version, ...rest }) =>
    version !== agentRunVersion ||
    z
      .looseObject({
        environment: z.string(),
        environmentOptions: z.looseObject({}),
        algorithm: z.looseObject({ name: z.enum(["ppo", "dqn"]), options: z.looseObject({}) }),
        network: z.looseObject({ kind: z.string() }),
        hub: z.string().optional(),
        agents: z.array(z.looseObject({ name: z.string(), sha256: z.string() })).optional(),
        copies: z.int().min(1),
        totalSteps: z.number(),
        seed: z.number(),
      })
      .safeParse(rest).success,
  "does not describe the run of an agent",
);

const outcomeSchema = z.looseObject({ steps: z.number(), seconds: z.number(), episodes: z.number() });

export interface AgentRequest extends Omit<AgentRun, "version" | "agents"> {
  out: string;
  resume: boolean;
  emit: EmitAgent;
  signal?: AbortSignal | undefined;
  /** Seconds between checkpoints. */
  checkpointSeconds?: number | undefined;
  /** Measure the policy while it trains, and keep the best one; not measured when left out. Training is the same. */
  evaluation?: EvaluationPlan | undefined;
}

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

export function outputKind(algorithm: AlgorithmPlan["name"]): OutputKind {
  return algorithm === "ppo" ? "policy-and-value" : "action-values";
}

/**
 * Trains an agent to the end of its steps.
 * @throws UserError, ConfigError for bad input; Interrupted after a signal, with everything saved
 */
export async function trainAgent(request: AgentRequest): Promise<AgentOutcome> {
  const hub = openAgentHub(request);
  const run = recordedRun(request, hub);
  refuseAbsentAgents(run, hub);
  const environment = await makeEnvironment(request.environment, {
    ...request.environmentOptions,
    n: request.copies,
    seed: seedOf(request.seed, "environment") % 2 ** 31,
  });
  const networks: TrainedNetwork[] = [];
  let algorithm: Algorithm | undefined;
  let apart: VectorEnvironment | undefined;
  try {
    const setting = settingOf(run, environment, hub, networks);
    algorithm = await createAlgorithm(request, setting);
    apart = await evaluationEnvironment(request);
    createFolder(request.out, run);
    return await train(request, { algorithm, episodes: setting.episodes, environment }, setting, apart);
  } finally {
    await apart?.close();
    algorithm?.dispose();
    for (const network of networks) network.dispose();
    await environment.close();
  }
}

/** Copies that play the episodes of a measurement side by side. */
const evaluationCopies = 10;

async function evaluationEnvironment(request: AgentRequest): Promise<VectorEnvironment | undefined> {
  const { evaluation, environment, environmentOptions } = request;
  if (!evaluation) return undefined;
  const n = Math.min(evaluationCopies, evaluation.episodes);
  return await makeEnvironment(environment, { ...withWholeRewards(environmentOptions), n });
}

function openAgentHub({ hub, network }: Pick<AgentRequest, "hub" | "network">): AgentHub | undefined {
  if (network.kind === "new") return undefined;
  if (hub === undefined) throw new ConfigError("agents of a hub are to be trained: name its folder with --hub");
  return openHub(hub, { inputs: ["observation"] });
}

/** A second network, for a target, is a further call. */
function settingOf(run: AgentRun, environment: VectorEnvironment, hub: AgentHub | undefined, into: TrainedNetwork[]) {
  const form = observationForm(environment);
  const actions = actionNames(environment).length;
  const another = (): TrainedNetwork => {
    const network = networkOf(run, form, actions, hub);
    into.push(network);
    return network;
  };
  const episodes = new EpisodeMeter(environment.n);
  const { totalSteps } = run;
  return { environment, form, actions, network: another(), episodes, totalSteps, another };
}

/** What the run trains, as it begins. @param actions number of them */
function networkOf(run: AgentRun, form: ObservationForm, actions: number, hub: AgentHub | undefined): TrainedNetwork {
  const kind = outputKind(run.algorithm.name);
  const outputs = kind === "policy-and-value" ? actions + 1 : actions;
  const agents = run.agents?.map(({ name }) => name);
  return buildNetwork(run.network, { form, outputs, kind, seed: run.seed, hub, agents });
}

async function createAlgorithm(
  { algorithm }: AgentRequest,
  setting: Setting & { another: () => TrainedNetwork },
): Promise<Algorithm> {
  const created =
    algorithm.name === "ppo"
      ? new Ppo(setting, algorithm.options)
      : new Dqn(setting, setting.another(), algorithm.options);
  created.observations = await setting.environment.reset();
  return created;
}

async function train(
  request: AgentRequest,
  parts: Parts,
  setting: Setting,
  apart: VectorEnvironment | undefined,
): Promise<AgentOutcome> {
  const { out, signal, totalSteps, checkpointSeconds = 60 } = request;
  const { algorithm, episodes } = parts;
  const path = checkpointPath(out);
  const { hub: _, ...own } = readAgentRun(out);
  const identity = fingerprint(own.network.kind === "pathway" ? { ...own, pathwayVersion } : own);
  const before = await resumeAgent(path, parts, identity);
  if (before?.finished && existsSync(resultPath(out))) return resultOf(out);
  let seconds = before?.seconds ?? 0;
  const log = agentLog(join(out, "events.jsonl"), before?.steps ?? 0);
  const emit: EmitAgent = (event) => {
    log(event);
    request.emit(event);
  };
  const evaluation =
    apart && evaluationOf(request, setting, apart, { emit, steps: algorithm.steps, best: before?.best });
  const save = (to: string, finished: boolean): void =>
    saveAgent(to, parts, { identity, seconds, finished, best: evaluation?.best ?? before?.best });
  const finish = (steps: number): AgentOutcome => {
    const { means, count } = episodes;
    const [meanReturn, meanScore] = [means?.return, means?.score];
    const outcome = { steps, seconds, episodes: count };
    emit({ type: "finished", ...outcome, meanReturn, meanScore });
    const best = evaluation?.best ?? before?.best;
    const result = { ...outcome, meanReturn, meanScore, meanLength: means?.length, ...(best ? { best } : {}) };
    writeFileAtomic(resultPath(out), `${JSON.stringify(result, null, 2)}\n`);
    return result;
  };
  // A run that was killed between its last checkpoint and its result has all that the result says.
  if (before?.finished) return finish(before.steps);
  emit(startEvent(request, setting, algorithm));
  const reporter = new Reporter(algorithm.lastStep, episodes, emit);
  let lastSaved = performance.now();
  let pause = checkpointSeconds * 1000;
  while (algorithm.steps < totalSteps) {
    const began = performance.now();
    const steps = algorithm.steps;
    const { logs, rows } = await algorithm.advance();
    const spent = (performance.now() - began) / 1000;
    seconds += spent;
    reporter.add(algorithm.steps, algorithm.steps - steps, spent, logs, rows);
    if (await evaluation?.isBest(algorithm.steps, algorithm.steps >= totalSteps)) save(bestPath(out), true);
    // Signals and the progress bar live on the event loop.
    await eventLoopTurn();
    if (signal?.aborted || performance.now() - lastSaved > pause) {
      reporter.flush();
      const start = performance.now();
      save(path, false);
      lastSaved = performance.now();
      // A large replay takes long to write: no more than a tenth of the time goes into it.
      pause = Math.max(pause, 9 * (lastSaved - start));
    }
    if (signal?.aborted) throw new Interrupted(out);
  }
  reporter.flush();
  save(path, true);
  return finish(algorithm.steps);
}

function evaluationOf(
  { evaluation, algorithm, seed: runSeed }: AgentRequest,
  { network, form, actions }: Setting,
  environment: VectorEnvironment,
  { emit, steps, best }: { emit: EmitAgent; steps: number; best: BestPolicy | undefined },
): PolicyEvaluation | undefined {
  if (!evaluation) return undefined;
  const seed = seedOf(runSeed, "evaluation") % 2 ** 31;
  const kind = outputKind(algorithm.name);
  return new PolicyEvaluation({ plan: evaluation, environment, network, form, actions, kind, seed, emit }, steps, best);
}

function startEvent(request: AgentRequest, { network }: Setting, { steps, lastStep: totalSteps }: Algorithm) {
  const { environment, algorithm, seed } = request;
  return {
    type: "start" as const,
    version: agentEventVersion,
    environment,
    algorithm: algorithm.name,
    seed,
    members: network.memberNames,
    totalSteps,
    steps,
    time: new Date().toISOString(),
  };
}

/** Gathers what happens into one event about every thousand steps. */
class Reporter {
  readonly #totalSteps: number;
  readonly #episodes: EpisodeMeter;
  readonly #emit: EmitAgent;
  #steps = 0;
  #played = 0;
  #seconds = 0;
  #logs: Record<string, number> = {};
  #rows: number[] = [];

  constructor(totalSteps: number, episodes: EpisodeMeter, emit: EmitAgent) {
    this.#totalSteps = totalSteps;
    this.#episodes = episodes;
    this.#emit = emit;
  }

  add(steps: number, played: number, seconds: number, logs: Record<string, number>, rows: readonly number[]): void {
    this.#steps = steps;
    this.#played += played;
    this.#seconds += seconds;
    this.#logs = logs;
    for (const [i, count] of rows.entries()) this.#rows[i] = (this.#rows[i] ?? 0) + count;
    if (this.#played >= 1000) this.flush();
  }

  flush(): void {
    if (this.#played === 0) return;
    const ended = this.#episodes.take();
    const { means } = this.#episodes;
    const total = this.#rows.reduce((sum, count) => sum + count, 0);
    this.#emit({
      type: "progress",
      steps: this.#steps,
      totalSteps: this.#totalSteps,
      returns: ended.map((episode) => episode.return),
      ...(means?.score === undefined ? {} : { scores: ended.map((episode) => episode.score ?? 0) }),
      lengths: ended.map((episode) => episode.length),
      ...(means ? { meanReturn: means.return, meanLength: means.length } : {}),
      ...(means?.score === undefined ? {} : { meanScore: means.score }),
      stepsPerSecond: this.#played / Math.max(1e-9, this.#seconds),
      ...(total > 0 ? { shares: this.#rows.map((count) => count / total) } : {}),
      logs: this.#logs,
    });
    this.#played = 0;
    this.#seconds = 0;
    this.#rows = [];
  }
}

// ---- the folder

export function checkpointPath(out: string): string {
  return join(out, "agent.checkpoint.safetensors");
}

const bestPath = (out: string) => join(out, "agent.best.safetensors");
const resultPath = (out: string) => join(out, "result.json");
const runFile = (out: string) => join(out, "agent.json");

/** Whether a folder holds the run of an agent. */
export function isAgentRun(out: string): boolean {
  return existsSync(runFile(out));
}

/** @throws UserError when the folder holds no such run, or one of another version */
export function readAgentRun(out: string): AgentRun {
  const path = runFile(out);
  if (!existsSync(path))
    throw new UserError(`${out} holds no agent (no agent.json): train one with \`rl train --out ${out}\``);
  const run = readJsonFile(path, recordedSchema, "the settings of an agent's run");
  if (run.version === agentRunVersion) return run as unknown as AgentRun;
  throw new UserError(
    `${path} has version ${run.version}, this program reads ${agentRunVersion}: train the agent again`,
  );
}

/** What the run is, checked against what the folder says of a run to continue. */
function recordedRun(request: AgentRequest, hub: AgentHub | undefined): AgentRun {
  // A folder that a kill left with nothing but an unfinished file is empty.
  sweepTemporaries(request.out);
  const { out, resume, emit: _, signal: __, checkpointSeconds: ___, evaluation: ____, ...options } = request;
  const run: AgentRun = {
    version: agentRunVersion,
    ...options,
    // Runs are used from other folders too.
    hub: hub && resolve(hub.dir),
    agents: hub && usedAgents(hub, request.network),
  };
  if (isAgentRun(out)) {
    if (!resume)
      throw new UserError(`${out} already holds a run: add --resume to continue it, or give another --out folder`);
    const before = readAgentRun(out);
    const now = JSON.parse(JSON.stringify(run)) as AgentRun;
    const keys = Object.keys({ ...now, ...before }) as (keyof AgentRun)[];
    const different = keys.find(
      (key) => key !== "hub" && key !== "agents" && JSON.stringify(before[key]) !== JSON.stringify(now[key]),
    );
    if (different) throw new UserError(`${out} holds another run (${different} differs): give another --out folder`);
    return { ...before, hub: run.hub };
  }
  if (resume) throw new UserError(`${out} holds no run to resume: leave out --resume to start one`);
  if (existsSync(out) && readdirSync(out).length > 0) {
    throw new UserError(`${out} is not empty and holds no run: give another --out folder`);
  }
  return run;
}

function createFolder(out: string, run: AgentRun): void {
  mkdirSync(out, { recursive: true });
  writeFileAtomic(runFile(out), `${JSON.stringify(run, null, 2)}\n`);
}

/** The agents that a plan needs of a hub. */
function usedAgents(hub: AgentHub, plan: NetworkPlan): UsedAgent[] {
  const entries = agentEntries(hub, plan.kind === "agent" ? [plan.name] : undefined);
  return entries.map(({ name, weights }) => ({ name, sha256: weights.sha256 }));
}

/** @throws UserError when the hub lacks an agent that the run began with, or has another one of that name */
function refuseAbsentAgents({ agents = [] }: AgentRun, hub: AgentHub | undefined): void {
  for (const { name, sha256 } of agents) {
    const entry = hub?.manifest.members.find((own) => own.name === name);
    if (entry?.weights.sha256 === sha256) continue;
    const what = entry ? "has other weights there now" : "is not there";
    throw new UserError(
      `the run began with the agent "${name}" of ${hub?.dir}, which ${what}: give its hub with --hub`,
    );
  }
}

/** The result of a finished run. @throws UserError when there is none */
export function resultOf(out: string): AgentOutcome {
  const path = resultPath(out);
  if (existsSync(path)) return readJsonFile(path, outcomeSchema, "the result of an agent") as unknown as AgentOutcome;
  refuseUnfinished(out);
}

/** @throws UserError always */
export function refuseUnfinished(out: string): never {
  throw new UserError(`the run ${out} is not finished: continue it with \`rl train … --resume\``);
}

// ---- a run again

export interface OpenedAgent {
  run: AgentRun;
  network: TrainedNetwork;
  form: ObservationForm;
  actions: readonly string[];
  hub: AgentHub | undefined;
  steps: number;
  finished: boolean;
}

/** Training on Atari sees rewards of -1, 0 and 1 (Mnih et al. 2015); an agent's return is that of the game. */
function withWholeRewards(options: AgentRun["environmentOptions"]): AgentRun["environmentOptions"] {
  const { gym = {} } = options;
  return { ...options, gym: { ...gym, atari: { ...gym.atari, clipRewards: false } } };
}

/**
 * The network that a run keeps, the best measured one where there is one, and a fresh environment for it; the caller
 * disposes and closes both.
 * @throws UserError when the hub lacks an agent that the run began with, or nothing was saved yet
 */
export async function openAgent(
  out: string,
  options: { copies: number; seed: number; hub?: string | undefined; last?: boolean | undefined },
): Promise<OpenedAgent & { environment: VectorEnvironment }> {
  const run = readAgentRun(out);
  const hub = openAgentHub({ hub: options.hub ?? run.hub, network: run.network });
  refuseAbsentAgents(run, hub);
  const environment = await makeEnvironment(run.environment, {
    ...withWholeRewards(run.environmentOptions),
    n: options.copies,
    seed: options.seed,
  });
  try {
    const form = observationForm(environment);
    const actions = actionNames(environment);
    const network = networkOf(run, form, actions.length, hub);
    try {
      const best = !options.last && existsSync(bestPath(out));
      const steps = loadModel(best ? bestPath(out) : checkpointPath(out), network.module);
      return { run, network, form, actions, hub, environment, steps, finished: existsSync(resultPath(out)) };
    } catch (error) {
      network.dispose();
      throw error;
    }
  } catch (error) {
    await environment.close();
    throw error;
  }
}
