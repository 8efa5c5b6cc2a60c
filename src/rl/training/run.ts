/** One agent from start to end: environment, network, algorithm, and the folder that the run leaves. */
import { resolve } from "node:path";
import { pathwayVersion } from "../../pathway/index.ts";
import { Interrupted, seedOf } from "../../torch/index.ts";
import { eventLoopTurn, fingerprint, RunFolder } from "../../train/index.ts";
import type { AgentHub } from "../agents/channels.ts";
import type { TrainedNetwork } from "../agents/network.ts";
import { actionNames, observationForm } from "../agents/observations.ts";
import type { Algorithm, Setting } from "../algorithms/algorithm.ts";
import { Dqn } from "../algorithms/dqn.ts";
import { EpisodeMeter } from "../algorithms/episodes.ts";
import { Ppo } from "../algorithms/ppo.ts";
import { makeEnvironment, type VectorEnvironment } from "../environments/index.ts";
import { type BestPolicy, type EvaluationPlan, PolicyEvaluation } from "./best-policy.ts";
import { type Parts, resumeAgent, saveAgent } from "./checkpoint.ts";
import { agentEventVersion, agentLog, type EmitAgent } from "./events.ts";
import { networkOf, openAgentHub, outputKind, refuseAbsentAgents, usedAgents, withWholeRewards } from "./open-agent.ts";
import { Reporter } from "./reporter.ts";
import {
  type AgentOutcome,
  type AgentRun,
  type AgentRunFolder,
  agentRun,
  agentRunVersion,
  bestOf,
  checkpointOf,
  refuseOtherRun,
  resultOf,
} from "./run-folder.ts";

export interface AgentRequest extends Omit<AgentRun, "version" | "agents"> {
  out: string;
  resume: boolean;
  emit: EmitAgent;
  signal?: AbortSignal | undefined;
  /** Seconds between checkpoints; with 0 there is one whenever a run may stop. */
  checkpointSeconds?: number | undefined;
  /** Measure the policy while it trains, and keep the best one; not measured when left out. Training is the same. */
  evaluation?: EvaluationPlan | undefined;
}

/**
 * Trains an agent to the end of its steps.
 * @throws UserError, ConfigError for bad input; Interrupted after a signal, with everything saved
 */
export async function trainAgent(request: AgentRequest): Promise<AgentOutcome> {
  using folder = RunFolder.take(request.out, agentRun, request.resume);
  const hub = openAgentHub(request);
  const run = settledRun(request, folder, hub);
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
    folder.saveConfig(run);
    folder.begin();
    return await train({ request, folder, setting, apart }, { algorithm, episodes: setting.episodes, environment });
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

/** A second network, for a target, is a further call. */
function settingOf(run: AgentRun, environment: VectorEnvironment, hub: AgentHub | undefined, into: TrainedNetwork[]) {
  const form = observationForm(environment);
  const names = actionNames(environment);
  const another = (): TrainedNetwork => {
    const network = networkOf(run, form, names, hub);
    into.push(network);
    return network;
  };
  const episodes = new EpisodeMeter(environment.n);
  const { totalSteps } = run;
  return { environment, form, actions: names.length, network: another(), episodes, totalSteps, another };
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

/** The run as it was asked for, or as the folder says of one to continue. */
function settledRun(request: AgentRequest, folder: AgentRunFolder, hub: AgentHub | undefined): AgentRun {
  const { out, resume, emit: _, signal: __, checkpointSeconds: ___, evaluation: ____, ...options } = request;
  const run: AgentRun = {
    version: agentRunVersion,
    ...options,
    // Runs are used from other folders too.
    hub: hub && resolve(hub.dir),
    agents: hub && usedAgents(hub, request.network),
  };
  if (!resume) return run;
  const before = folder.config();
  refuseOtherRun(out, before, run);
  return { ...before, hub: run.hub };
}

/** Checkpoints belong to a run's settings, wherever its hub is. */
function identityOf({ hub: _, ...own }: AgentRun): string {
  return fingerprint(own.network.kind === "pathway" ? { ...own, pathwayVersion } : own);
}

interface Training {
  request: AgentRequest;
  folder: AgentRunFolder;
  setting: Setting;
  /** Environment in which policies are measured. */
  apart: VectorEnvironment | undefined;
}

async function train({ request, folder, setting, apart }: Training, parts: Parts): Promise<AgentOutcome> {
  const { out, signal, totalSteps, checkpointSeconds = 60 } = request;
  const { algorithm, episodes } = parts;
  const path = checkpointOf(folder);
  const identity = identityOf(folder.config());
  const before = await resumeAgent(path, parts, identity);
  if (before?.finished && folder.isFinished) return resultOf(out);
  let seconds = before?.seconds ?? 0;
  const log = agentLog(folder.file("events.jsonl"), before?.steps ?? 0);
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
    folder.saveResult(result);
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
    if (await evaluation?.isBest(algorithm.steps, algorithm.steps >= totalSteps)) save(bestOf(folder), true);
    // Signals and the progress bar live on the event loop.
    await eventLoopTurn();
    if (signal?.aborted || performance.now() - lastSaved >= pause) {
      reporter.flush();
      const start = performance.now();
      save(path, false);
      lastSaved = performance.now();
      // A large replay takes long to write: no more than a tenth of the time goes into it.
      if (pause > 0) pause = Math.max(pause, 9 * (lastSaved - start));
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
