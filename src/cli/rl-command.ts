/** hub-pathway rl: agents are trained in environments, alone or over a hub of agents, and play what they learned. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { shown } from "../io/index.ts";
import { duration } from "../report/index.ts";
import {
  type AlgorithmPlan,
  agentFolder,
  type BestPolicy,
  canLearnFromReturns,
  EpisodeVideo,
  isAgentRun,
  makeEnvironment,
  type NetworkPlan,
  type ObservationForm,
  observationForm,
  openAgent,
  outputKind,
  type PathwayPlan,
  playEpisodes,
  trainAgent,
  usualDqnOptions,
  usualNetwork,
  usualPpoOptions,
} from "../rl/index.ts";
import { ConfigError, Interrupted, setNumThreads } from "../torch/index.ts";
import type { Output } from "./context.ts";
import { requireCounts } from "./data-flags.ts";
import { sayInterrupted, withInterrupt } from "./interrupt.ts";
import { agentProgress } from "./rl-progress.ts";
import { commandLine } from "./shell.ts";

export interface TrainFlags {
  env: string;
  algorithm: AlgorithmPlan["name"];
  out: string;
  steps: number;
  copies?: number;
  hub?: string;
  agent?: string;
  k?: number;
  credit?: "weights" | "returns";
  choice?: Record<string, unknown>;
  memberRate?: number;
  randomRoutes?: boolean;
  keepHeads?: boolean;
  network?: string;
  config?: Record<string, unknown>;
  set?: Record<string, unknown>;
  evalEvery?: number;
  seed: number;
  resume?: boolean;
  threads?: number;
  python?: string;
}

export interface EvalFlags {
  episodes: number;
  copies: number;
  maxSteps: number;
  greedy?: boolean;
  video?: string;
  last?: boolean;
  game?: string;
  hub?: string;
  seed: number;
  python?: string;
}

export async function train(flags: TrainFlags, output: Output): Promise<void> {
  const { steps, algorithm: name, threads, env, out, seed } = flags;
  const copies = flags.copies ?? (name === "ppo" ? 16 : 4);
  const evalEvery = flags.evalEvery ?? Math.max(leastBetween, Math.ceil(steps / 10));
  if (threads !== undefined) setNumThreads(threads);
  usePython(flags.python);
  const form = await formOf(env);
  const progress = agentProgress();
  try {
    const request = {
      environment: env,
      environmentOptions: {},
      algorithm: algorithmPlan(flags, form),
      network: networkPlan(flags, form),
      hub: flags.hub,
      copies,
      totalSteps: steps,
      seed,
      out,
      resume: flags.resume ?? false,
      emit: progress.emit,
      ...(evalEvery > 0 ? { evaluation: { every: evalEvery, episodes: evaluationEpisodes } } : {}),
    };
    const outcome = await withInterrupt((signal) => trainAgent({ ...request, signal }));
    progress.stop();
    const { meanReturn, meanScore, episodes, seconds } = outcome;
    const score = meanScore === undefined ? "" : ` of clipped rewards, mean score ${meanScore.toFixed(1)} of the game,`;
    const returned =
      meanReturn === undefined ? "no episode ended" : `mean return ${meanReturn.toFixed(2)}${score} at the end`;
    output.say(`${shown(env)}: ${returned}, ${outcome.steps} steps and ${episodes} episodes in ${duration(seconds)}`);
    if (outcome.best) output.say(bestText(outcome.best));
    output.say(`next:\n  ${commandLine("rl", "eval", out)}`);
    output.result({ ...outcome, out });
  } catch (error) {
    progress.stop();
    if (!(error instanceof Interrupted)) throw error;
    const again = process.argv.slice(2).filter((word) => word !== "--resume");
    sayInterrupted(out, existsSync(join(out, "agent.json")), commandLine(...again, "--resume"), output);
  }
}

/** Episodes that measure a policy while it trains, and the least steps between two measurements that nobody asked for. */
const [evaluationEpisodes, leastBetween] = [20, 20_000];

function bestText({ steps, meanReturn }: BestPolicy): string {
  return `kept: the policy after ${steps} steps, mean return ${meanReturn.toFixed(2)} over ${evaluationEpisodes} episodes apart from training`;
}

/** Not a part of the run: it may be continued elsewhere, with another interpreter. */
function usePython(path: string | undefined): void {
  if (path !== undefined) process.env["HUB_PATHWAY_PYTHON"] = path;
}

/** Form of the observations, which decides the usual network and settings. */
async function formOf(id: string): Promise<ObservationForm> {
  const environment = await makeEnvironment(id);
  try {
    return observationForm(environment);
  } finally {
    await environment.close();
  }
}

function algorithmPlan({ algorithm: name, set = {} }: TrainFlags, form: ObservationForm): AlgorithmPlan {
  if (name === "ppo") return { name, options: withSettings(usualPpoOptions(form), set, name) };
  return { name, options: withSettings(usualDqnOptions(form), set, name) };
}

/** Settings that count something. */
const counts: ReadonlySet<string> = new Set(
  "rollout epochs minibatches nSteps batchSize capacity trainEvery targetEvery".split(" "),
);

/** @throws ConfigError for a setting that the algorithm does not have, or a value of another kind */
function withSettings<T extends object>(usual: T, set: Readonly<Record<string, unknown>>, algorithm: string): T {
  for (const [name, value] of Object.entries(set)) {
    if (!Object.hasOwn(usual, name)) {
      throw new ConfigError(`${algorithm} has no setting "${name}"; it has: ${Object.keys(usual).join(", ")}`);
    }
    const before = (usual as Record<string, unknown>)[name];
    if (counts.has(name)) requireCounts({ [name]: value as number });
    if (typeof value === "number" && !(value >= 0))
      throw new ConfigError(`the setting ${name} is ${value}: at least 0`);
    const isAlike = Array.isArray(before) ? isPair(value) : typeof value === typeof before;
    if (!isAlike)
      throw new ConfigError(`the setting ${name} is ${JSON.stringify(value)}, unlike ${JSON.stringify(before)}`);
  }
  return { ...usual, ...set };
}

function isPair(value: unknown): boolean {
  return Array.isArray(value) && value.length === 2 && value.every((part) => typeof part === "number");
}

/** @throws ConfigError for options that contradict each other */
function networkPlan(flags: TrainFlags, form: ObservationForm): NetworkPlan {
  const { hub, agent, k, network, config = {}, choice: choices = {}, memberRate = 1, randomRoutes = false } = flags;
  const heads = flags.keepHeads ? ({ heads: "own" } as const) : {};
  const routes = {
    "--k": k,
    "--credit": flags.credit,
    "--choice": flags.choice,
    "--random-routes": flags.randomRoutes,
    "--member-rate": flags.memberRate,
  };
  const [foreign] = Object.entries(routes).find(([, value]) => value !== undefined) ?? [];
  const fresh = network === undefined ? flags.config && "--config" : "--network";
  if (hub !== undefined && fresh) throw new ConfigError(`${fresh} is for new agents, not for a hub's`);
  if (foreign !== undefined && (hub === undefined || agent !== undefined)) {
    throw new ConfigError(
      `${foreign} is about routes over a hub: ${agent ? "leave out --agent" : "name one with --hub"}`,
    );
  }
  if (flags.keepHeads && hub === undefined) {
    throw new ConfigError("--keep-heads is about the heads of a hub's agents: name one with --hub");
  }
  if (agent !== undefined) return { kind: "agent", name: agent, ...heads };
  if (hub === undefined) {
    const usual = usualNetwork(form, outputKind(flags.algorithm));
    if (network === undefined || network === usual.architecture) {
      return { ...usual, config: { ...usual.config, ...config } };
    }
    const [channels, height, width] = form.shape;
    const shape = height * width === 1 || network === "mlp" ? { channels } : { channels, height, width };
    return { kind: "new", architecture: network, config: { ...shape, ...config } };
  }
  if (k !== undefined && Object.hasOwn(choices, "k")) throw new ConfigError("k is given by --k and by --choice");
  if (Object.hasOwn(choices, "credit")) throw new ConfigError("credit is given by --credit: weights or returns");
  const pathway = { ...choices, ...(k === undefined ? {} : { k }) };
  return completed({ kind: "pathway", config: pathway, memberRate, randomRoutes, ...heads }, flags);
}

/**
 * A plan with what was not asked for: agents that keep their heads answer themselves, and routes over them learn from
 * returns. A run that is resumed goes on as it began.
 * @throws ConfigError for returns that nothing can learn from
 */
function completed(plan: PathwayPlan, { algorithm, credit: asked, resume, out }: TrainFlags): NetworkPlan {
  const before = resume && isAgentRun(out) ? agentFolder(out).config().network : undefined;
  const begun = before?.kind === "pathway" ? before : undefined;
  const joins = plan.heads && (!begun || begun.config.aggregation !== undefined);
  const own: PathwayPlan = joins ? { ...plan, config: { aggregation: "logits", ...plan.config } } : plan;
  const learns = canLearnFromReturns(own, outputKind(algorithm));
  if (asked === "returns" && !learns) {
    throw new ConfigError(
      "--credit returns is for ppo with --keep-heads, joined outputs (aggregation=logits) and routes that are not random: change these, or leave it out",
    );
  }
  const usual = begun ? begun.credit : learns && "returns";
  return (asked ?? usual) === "returns" ? { ...own, credit: "returns" } : own;
}

export async function evaluateRun(path: string, flags: EvalFlags, output: Output): Promise<void> {
  const { episodes, copies, seed, greedy = false, maxSteps } = flags;
  usePython(flags.python);
  const { hub, last, game } = flags;
  const opened = await openAgent(path, { copies: Math.min(copies, episodes), seed, hub, last, only: game });
  const { environment, network, run, form, actions } = opened;
  const { memberNames } = network;
  try {
    const video = flags.video === undefined ? undefined : new EpisodeVideo(flags.video, form, memberNames);
    const kind = outputKind(run.algorithm.name);
    const play = { environment, network, form, actions: actions.length, kind, episodes, greedy, maxSteps };
    const played = await playEpisodes({ ...play, onStep: video && ((frame) => video.add(frame)) });
    await video?.save();
    const summary = summarise(played.returns);
    if (played.cut > 0) {
      output.warn(`${played.cut} episodes had no end after ${maxSteps} steps: they count as they are, and none follow`);
    }
    const stepsPerSecond = played.steps / played.seconds;
    output.say(
      `${run.environment}, ${played.returns.length} episodes: mean return ${summary.mean.toFixed(2)} ` +
        `(95 % interval ${summary.low.toFixed(2)} to ${summary.high.toFixed(2)}), standard deviation of episodes ${summary.deviation.toFixed(2)}, ` +
        `${summary.lowest} to ${summary.highest}`,
    );
    output.say(`the policy after ${opened.steps} steps of training, ${stepsPerSecond.toFixed(0)} steps/s`);
    for (const [i, share] of (played.shares ?? []).entries()) {
      output.say(`  ${(100 * share).toFixed(1).padStart(5)} % ${memberNames[i]}`);
    }
    if (video) output.say(`video: ${flags.video}`);
    if (video && video.skipped > 0) output.note(`the video leaves out the last ${video.skipped} steps`);
    output.result({
      environment: run.environment,
      episodes: played.returns.length,
      cutEpisodes: played.cut,
      meanReturn: summary.mean,
      meanInterval: [summary.low, summary.high],
      returnDeviation: summary.deviation,
      returns: played.returns,
      meanLength: played.lengths.reduce((sum, length) => sum + length, 0) / played.lengths.length,
      pathwayShare: Object.fromEntries(memberNames.map((name, i) => [name, played.shares?.[i] ?? 0])),
      trainingSteps: opened.steps,
      finished: opened.finished,
      stepsPerSecond,
    });
  } finally {
    network.dispose();
    await environment.close();
  }
}

function summarise(returns: readonly number[]) {
  const mean = returns.reduce((sum, value) => sum + value, 0) / returns.length;
  const squares = returns.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const deviation = Math.sqrt(squares / Math.max(1, returns.length - 1));
  // Half the 95 % interval of the mean, by the normal distribution.
  const half = (1.96 * deviation) / Math.sqrt(returns.length);
  const sorted = [...returns].sort((a, b) => a - b);
  const [lowest, highest] = [sorted[0] ?? 0, sorted.at(-1) ?? 0];
  return { mean, deviation, low: mean - half, high: mean + half, lowest, highest };
}
