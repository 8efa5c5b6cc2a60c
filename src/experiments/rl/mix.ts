/**
 * One policy for a mix of three games, of which a hub has an agent each; what is seen tells the game. Here routes by input
 * have something to win by construction: each game has the agent that knows it.
 *
 * All agents begin with their own heads, since the games of a mix have the same actions, and outputs are joined; but for a
 * variant with new heads and joined features, as in the transfer to other games. Routes learn from returns, but for
 * variants that learn from PPO's loss, through their weights.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import {
  type CellGroup,
  type CellId,
  type Experiment,
  type ExperimentReport,
  type ExperimentRequest,
  type MeanInterval,
  mean,
  meanInterval,
  quickRemark,
  type ReportSection,
  right,
  sharesText,
  slug,
} from "../../compare/index.ts";
import { counted } from "../../io/index.ts";
import { duration } from "../../report/index.ts";
import { type NetworkPlan, resultOf } from "../../rl/index.ts";
import { UserError } from "../../torch/index.ts";
import { fingerprint } from "../../train/index.ts";
import { newNetwork, playedEpisodes, run, sourceAgent, sourceHub, sourceRun, transferFolder } from "./agents.ts";
import { agentName, algorithmKey, type Protocol, pathway, scratch, transferProtocol } from "./protocol.ts";
import { planKey } from "./transfer-cell.ts";
import { meanShares } from "./transfer-tables.ts";

/** Raised when cells of before can no longer be compared. */
const version = 1;

/** The mix is the one target. */
interface MixProtocol extends Protocol {
  /** Episodes of each game, which are played side by side after training. */
  episodes: number;
}

function mixProtocol(quick: boolean): MixProtocol {
  const usual = transferProtocol(quick);
  const mix = `minatar:${usual.sources.map(agentName).join("+")}`;
  const steps = quick ? {} : { sourceSteps: 1_000_000, targetSteps: 150_000 };
  return { ...usual, targets: [mix], ...steps, distilSteps: 0, episodes: quick ? 2 : 16 };
}

interface MixMethod {
  name: string;
  /** From a new network when left out. */
  plan?: NetworkPlan;
  /** Steps in those of the others. */
  factor?: number;
}

interface Played {
  /** Mean return of the episodes. */
  return: number;
  /** Share of each agent of the hub. */
  shares?: number[];
}

interface MixCell {
  method: string;
  seed: number;
  steps: number;
  seconds: number;
  /** In the order of the sources. */
  games: Played[];
}

const ks = [1, 2];
const best = "best agent, whole compute";
const named = {
  ours: "Hub-Pathway",
  gate: "one gate",
  random: "random routes",
  kept: "Hub-Pathway, agents kept",
  loss: "Hub-Pathway, credit by the loss",
};
const withK = (name: string, k: number): string => `${name}, k = ${k}`;
const tuning = (game: string): string => `fine-tune ${agentName(game)}`;

const agentPlan = (game: string): NetworkPlan => ({ kind: "agent", name: agentName(game), heads: "own" });

function methodsOf({ sources }: MixProtocol): MixMethod[] {
  const routed = (name: string, k: number, more: object = {}, changes: object = {}): MixMethod => {
    const config = { k, aggregation: "logits" as const, ...more };
    return { name: withK(name, k), plan: pathway(config, { heads: "own", ...changes }) };
  };
  const credit = "returns" as const;
  return [
    ...ks.map((k) => routed(named.ours, k, {}, { credit })),
    ...ks.map((k) => routed(named.gate, k, { generatorKind: "global" }, { credit })),
    { name: scratch },
    ...sources.map((game) => ({ name: tuning(game), plan: agentPlan(game) })),
    ...ks.map((k) => routed(named.random, k, {}, { randomRoutes: true })),
    // Nothing but the generator learns.
    ...ks.map((k) => routed(named.kept, k, { warmup: 0 }, { memberRate: 0, credit })),
    ...ks.map((k) => routed(named.loss, k)),
    { name: withK(`${named.ours}, new heads, features`, 2), plan: pathway({ k: 2 }) },
  ];
}

/** The agent whose fine-tuning is best in the mix with this seed goes on alone with the compute of two. */
function bestMethod(request: ExperimentRequest, protocol: MixProtocol, seed: number): MixMethod | undefined {
  const experts = readExperts(request, protocol);
  const tuned = protocol.sources.flatMap((game) => {
    const cell = readCell(request, protocol, { name: tuning(game), plan: agentPlan(game) }, seed);
    return cell && experts ? [{ game, score: scoreOf(cell, experts) }] : [];
  });
  if (tuned.length < protocol.sources.length) return undefined;
  const [first] = tuned.sort((a, b) => b.score - a.score);
  return first && { name: best, plan: agentPlan(first.game), factor: 2 };
}

// ---- cells

const nameOf = ({ name }: MixMethod, seed: number): string => `seed${seed}-${slug(name)}`;

function identity(protocol: MixProtocol, own: MixMethod, seed: number): CellId {
  const { targets, algorithm, distilSteps: _, ...budget } = protocol;
  const method = { ...own, plan: planKey(own.plan) };
  const key = { mix: version, target: targets[0], ...budget, algorithm: algorithmKey(algorithm), method, seed };
  return [`rl-mix/${nameOf(own, seed)}`, key];
}

function readCell({ cells }: ExperimentRequest, protocol: MixProtocol, method: MixMethod, seed: number) {
  return cells.read<MixCell>(...identity(protocol, method, seed));
}

/** Mean return of each source agent in its own game, played as the others are. */
function expertCell(protocol: MixProtocol): CellId {
  const { sources, sourceSteps, sourceSeed, copies, algorithm, episodes } = protocol;
  const key = { mix: version, sources, sourceSteps, sourceSeed, copies, algorithm: algorithmKey(algorithm), episodes };
  return ["rl-mix/experts", key];
}

const readExperts = ({ cells }: ExperimentRequest, protocol: MixProtocol) =>
  cells.read<number[]>(...expertCell(protocol));

async function expertReturns(request: ExperimentRequest, protocol: MixProtocol, group: string): Promise<number[]> {
  return request.cells.cell(...expertCell(protocol), async () => {
    const { episodes } = protocol;
    const returns: number[] = [];
    for (const game of protocol.sources) {
      await sourceAgent(request, protocol, game, group);
      const played = await playedEpisodes(sourceRun(request, protocol, game), { episodes, copies: episodes, seed: 0 });
      returns.push(mean(played.returns));
    }
    return returns;
  });
}

async function mixCell(
  request: ExperimentRequest,
  protocol: MixProtocol,
  method: MixMethod,
  seed: number,
  group: string,
) {
  return request.cells.cell(...identity(protocol, method, seed), async (): Promise<MixCell> => {
    const { sources, targets, targetSteps, copies, algorithm, episodes } = protocol;
    const [environment = ""] = targets;
    // A cell's own plan is in the folder's name: another plan's run may have the same name.
    const [, key] = identity(protocol, method, seed);
    const out = join(transferFolder(request, protocol), "mix", `${nameOf(method, seed)}-${fingerprint(key)}`);
    const hub = method.plan && (await sourceHub(request, protocol, group));
    if (!existsSync(join(out, "result.json"))) {
      const network = method.plan ?? (await newNetwork(environment, protocol));
      const totalSteps = targetSteps * (method.factor ?? 1);
      await run({ environment, algorithm, network, hub, copies, totalSteps, seed, out });
    }
    const games: Played[] = [];
    for (const game of sources) {
      const played = await playedEpisodes(out, { episodes, copies: episodes, seed, only: agentName(game) });
      games.push({ return: mean(played.returns), ...(played.shares ? { shares: played.shares } : {}) });
    }
    const { seconds, steps } = resultOf(out);
    return { method: method.name, seed, steps, seconds: Math.round(seconds), games };
  });
}

function groups(request: ExperimentRequest): CellGroup[] {
  const protocol = mixProtocol(request.quick);
  return request.seeds.map((seed) => {
    const name = `mix-seed${seed}`;
    const computed = async (method: MixMethod) => {
      const cell = await mixCell(request, protocol, method, seed, name);
      const returns = cell.games.map((game) => game.return.toFixed(1)).join(", ");
      request.say(`seed ${seed}, ${method.name}: ${returns} in ${duration(cell.seconds)}`);
    };
    return {
      name,
      cells() {
        const methods = [...methodsOf(protocol), bestMethod(request, protocol, seed)];
        return [
          expertCell(protocol),
          ...methods.flatMap((method) => (method ? [identity(protocol, method, seed)] : [])),
        ];
      },
      async run() {
        await expertReturns(request, protocol, name);
        for (const method of methodsOf(protocol)) await computed(method);
        const chosen = bestMethod(request, protocol, seed);
        if (chosen) await computed(chosen);
      },
    };
  });
}

// ---- tables

/** Mean over the games of the return in units of the game's own agent. */
function scoreOf({ games }: MixCell, experts: readonly number[]): number {
  return mean(games.map((game, i) => game.return / (experts[i] as number)));
}

interface MixLine {
  method: string;
  /** By seed. */
  scores: Map<number, number>;
  score: MeanInterval;
  /** Return in each game, in points. */
  games: MeanInterval[];
  /** Share of each agent in each game. */
  shares: (number[] | undefined)[];
  seconds: number;
}

function lineOf(method: string, cells: readonly MixCell[], experts: readonly number[]): MixLine {
  const scores = new Map(cells.map((cell) => [cell.seed, scoreOf(cell, experts)]));
  return {
    method,
    scores,
    score: meanInterval([...scores.values()]),
    games: experts.map((_, i) => meanInterval(cells.map(({ games }) => games[i]?.return ?? 0))),
    shares: experts.map((_, i) => meanShares(cells.flatMap(({ games }) => games[i] ?? []))),
    seconds: mean(cells.map(({ seconds }) => seconds)),
  };
}

const text = ({ mean: value, half }: MeanInterval, digits: number): string =>
  half === null ? value.toFixed(digits) : `${value.toFixed(digits)} ± ${half.toFixed(digits)}`;

function mainSection(lines: readonly MixLine[], { sources, episodes }: MixProtocol): ReportSection {
  const names = sources.map(agentName);
  return {
    title: "Methods",
    text: [
      `Score: mean over the games of the return in units of the game's own agent alone. Returns of ${episodes} episodes of each game ` +
        "after training, the policy as it is: mean over seeds ± half the 95 % interval by Student's t.",
    ],
    table: {
      columns: [
        { title: "method" },
        right("score"),
        ...names.map((name) => right(`${name}, points`)),
        right("seeds"),
        ...names.map((name) => ({ title: `% in ${name}: ${names.join("/")}` })),
      ],
      rows: lines.map(({ method, score, games, shares, scores }) => [
        method,
        text(score, 2),
        ...games.map((game) => text(game, 1)),
        String(scores.size),
        ...shares.map(sharesText),
      ]),
    },
  };
}

/** Score of a method minus that of each rival, seed by seed. */
function differenceSection(lines: readonly MixLine[]): ReportSection {
  const find = (name: string) => lines.find(({ method }) => method === name);
  const rows = ks.flatMap((k) => {
    const ours = find(withK(named.ours, k));
    const rivals = [
      withK(named.gate, k),
      best,
      withK(named.loss, k),
      withK(named.random, k),
      withK(named.kept, k),
      scratch,
    ];
    return rivals.flatMap((name) => {
      const rival = find(name);
      const common = [...(ours?.scores ?? [])].flatMap(([seed, score]) => {
        const other = rival?.scores.get(seed);
        return other === undefined ? [] : [score - other];
      });
      if (!ours || common.length === 0) return [];
      return [[ours.method, name, text(meanInterval(common), 2), String(common.length)]];
    });
  });
  const columns = [{ title: "method" }, { title: "minus" }, right("score"), right("seeds")];
  return { title: "Differences", table: { columns, rows } };
}

async function report(request: ExperimentRequest): Promise<ExperimentReport> {
  const protocol = mixProtocol(request.quick);
  const experts = readExperts(request, protocol);
  const { sources, sourceSteps, targetSteps } = protocol;
  const names = sources.map(agentName);
  const cellsOf = (method: (seed: number) => MixMethod | undefined) =>
    request.seeds.flatMap((seed) => {
      const own = method(seed);
      return (own && readCell(request, protocol, own, seed)) ?? [];
    });
  const found = [
    ...methodsOf(protocol).map((method) => ({ name: method.name, cells: cellsOf(() => method) })),
    { name: best, cells: cellsOf((seed) => bestMethod(request, protocol, seed)) },
  ].filter(({ cells }) => cells.length > 0);
  if (!experts || found.length === 0) throw new UserError("no cell is finished yet: run the experiment first");
  const lines = found.map(({ name, cells }) => lineOf(name, cells, experts));
  const asked = request.seeds.length;
  const missing =
    lines.filter(({ scores }) => scores.size < asked).length + methodsOf(protocol).length + 1 - lines.length;
  const about = [
    `One policy plays ${names.join(", ")} at once: the copies of the environment play different games, in the channels of all of them, with ` +
      `the same six keys. A hub has an agent of each (PPO, ${sourceSteps} steps). Every method has ${targetSteps} steps of the mix in all, ` +
      `"${best}" twice as many; it is the agent whose fine-tuning with the same seed had the best score. All agents begin with their own heads, ` +
      "and routes join outputs. Routes of Hub-Pathway and of one gate learn from the returns that follow them, and their agents from half of training on. " +
      `"${withK(named.loss, 1)}" learns routes from PPO's loss, through their weights, and its agents from the start.`,
    `The agents alone, each in its own game: ${experts.map((value, i) => `${names[i]} ${value.toFixed(1)}`).join(", ")} points.` +
      quickRemark(request.quick),
    ...(missing > 0
      ? [
          `Unfinished: ${counted(missing, "line")} of ${methodsOf(protocol).length + 1} have not all ${counted(asked, "seed")}. A line of one seed is no result.`,
        ]
      : []),
  ];
  const data = { protocol, experts, lines: lines.map(({ scores, ...line }) => ({ ...line, scores: [...scores] })) };
  const sections = [{ title: "What is compared", text: about }, mainSection(lines, protocol), differenceSection(lines)];
  return { title: "One policy for a mix of games", sections, data };
}

export const rlMix: Experiment = {
  name: "rl-mix",
  seeds: 5,
  selfContained: true,
  groups,
  report,
};
