/** Returns of PPO and DQN alone in stated budgets, beside random play: CartPole and the five MinAtar games. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import {
  type CellGroup,
  type CellId,
  type Experiment,
  type ExperimentReport,
  type ExperimentRequest,
  mean,
  quickRemark,
  type ReportSection,
  right,
} from "../../compare/index.ts";
import { duration, lineChart } from "../../report/index.ts";
import {
  type AlgorithmPlan,
  actionNames,
  defaultDqnOptions,
  gridIds,
  makeEnvironment,
  outputKind,
  RandomStream,
  usualNetwork,
  usualPpoOptions,
} from "../../rl/index.ts";
import { UserError } from "../../torch/index.ts";
import { fingerprint } from "../../train/index.ts";
import { formOf, playedEpisodes, run } from "./agents.ts";
import { curveSeries, type LearningCurve, learningCurve } from "./curve.ts";
import { agentName, algorithmKey } from "./protocol.ts";
import { bootstrapInterval, intervalText } from "./statistics.ts";

/** Raised when cells of before can no longer be compared. */
const version = 1;

interface Task {
  environment: string;
  algorithm: AlgorithmPlan["name"];
  steps: number;
  copies: number;
  /** Episodes that are played after training. */
  episodes: number;
  /** Return that counts as solved: a mean return, or a multiple of random play. */
  goal: { value: number } | { timesRandom: number };
}

interface GameCell extends LearningCurve {
  /** Mean return of the episodes after training, the policy as it is (values of actions: greedy). */
  played: number;
}

function tasksOf(quick: boolean): Task[] {
  const episodes = 100;
  const goal = { timesRandom: 3 };
  const all: Task[] = [
    { environment: "cartpole", algorithm: "ppo", steps: 200_000, copies: 8, episodes, goal: { value: 475 } },
    { environment: "cartpole", algorithm: "dqn", steps: 200_000, copies: 4, episodes, goal: { value: 475 } },
    ...gridIds.flatMap((environment): Task[] => [
      { environment, algorithm: "ppo", steps: 1_000_000, copies: 16, episodes, goal },
      { environment, algorithm: "dqn", steps: 500_000, copies: 4, episodes, goal },
    ]),
  ];
  if (!quick) return all;
  return all.slice(0, 4).map((task) => ({ ...task, steps: task.algorithm === "ppo" ? 4096 : 1500, episodes: 10 }));
}

/** Algorithm and network of a training. */
type Training = { plan: AlgorithmPlan; network: ReturnType<typeof usualNetwork> };

async function trainingOf({ environment: id, algorithm }: Task): Promise<Training> {
  const form = await formOf(id);
  const isVector = form.shape[1] * form.shape[2] === 1;
  // Few steps, and a network that overestimates quickly: a larger batch and a smaller replay for classic control.
  const small = { batchSize: 128, capacity: 50_000, learningStarts: 1000, targetEvery: 2000, epsilonFall: 0.2 };
  const epsilon = [1, 0.05] as const;
  const plan: AlgorithmPlan =
    algorithm === "ppo"
      ? { name: "ppo", options: usualPpoOptions(form) }
      : { name: "dqn", options: { ...defaultDqnOptions, nSteps: 3, ...(isVector ? { ...small, epsilon } : {}) } };
  return { plan, network: usualNetwork(form, outputKind(algorithm)) };
}

const taskName = ({ environment, algorithm }: Task) => `${agentName(environment)}-${algorithm}`;

/** Name and key of a cell; the key holds what is trained and how. */
function cellOf(task: Task, training: Training, seed: number): CellId {
  const key = { version, task, seed, ...training, plan: algorithmKey(training.plan) };
  return [`rl-games/${taskName(task)}-seed${seed}`, key];
}

const randomCellOf = ({ environment, episodes }: Task): CellId => [
  `rl-games/${agentName(environment)}-random`,
  { version, environment, episodes },
];

async function gameCell(request: ExperimentRequest, task: Task, training: Training, seed: number): Promise<GameCell> {
  const { environment, steps: totalSteps, copies } = task;
  const out = join(request.cache, "rl-games", fingerprint({ version, task, ...training }), String(seed));
  if (!existsSync(join(out, "result.json"))) {
    const { plan: algorithm, network } = training;
    await run({ environment, algorithm, network, hub: undefined, copies, totalSteps, seed, out });
  }
  const { returns } = await playedEpisodes(out, { episodes: task.episodes, copies: 10, seed });
  return { ...learningCurve(out), played: mean(returns) };
}

async function randomReturn({ environment: id, episodes }: Task): Promise<number> {
  const environment = await makeEnvironment(id, { n: 1, seed: 3_000_000 });
  const random = new RandomStream(1);
  const returns = [0];
  const A = actionNames(environment).length;
  while (returns.length <= episodes) {
    const { rewards, terminated, truncated } = await environment.step(Int32Array.of(random.below(A)));
    returns[returns.length - 1] = (returns.at(-1) ?? 0) + (rewards[0] ?? 0);
    if (terminated[0] || truncated[0]) returns.push(0);
  }
  await environment.close();
  return mean(returns.slice(0, episodes));
}

function groups(request: ExperimentRequest): CellGroup[] {
  const { cells, seeds, quick } = request;
  return seeds.flatMap((seed) =>
    tasksOf(quick).map((task): CellGroup => {
      const name = `${taskName(task)}-seed${seed}`;
      return {
        name,
        cells: async () => [randomCellOf(task), cellOf(task, await trainingOf(task), seed)],
        async run() {
          await cells.cell(...randomCellOf(task), async () => ({ played: await randomReturn(task) }));
          const training = await trainingOf(task);
          const compute = () => gameCell(request, task, training, seed);
          const { played, seconds } = await cells.cell(...cellOf(task, training, seed), compute);
          request.say(`${name}: return ${played.toFixed(2)} in ${duration(seconds)}`);
        },
      };
    }),
  );
}

interface GameLine {
  task: Task;
  cells: GameCell[];
  random: number;
  met: boolean;
}

async function finishedLines({ cells, seeds, quick }: ExperimentRequest): Promise<GameLine[]> {
  const lines: GameLine[] = [];
  for (const task of tasksOf(quick)) {
    const random = cells.read<{ played: number }>(...randomCellOf(task))?.played;
    const training = await trainingOf(task);
    const own = seeds.flatMap((seed) => cells.read<GameCell>(...cellOf(task, training, seed)) ?? []);
    if (random === undefined || own.length === 0) continue;
    const goal = "value" in task.goal ? task.goal.value : task.goal.timesRandom * random;
    lines.push({ task, cells: own, random, met: mean(own.map(({ played }) => played)) >= goal });
  }
  return lines;
}

function mainSection(lines: readonly GameLine[], request: ExperimentRequest): ReportSection {
  const episodes = lines[0]?.task.episodes;
  return {
    title: "Returns",
    text: [
      `Mean return of ${episodes} episodes after training: mean over up to ${request.seeds.length} seeds with its 95 % bootstrap interval.` +
        quickRemark(request.quick),
    ],
    table: {
      columns: [
        { title: "environment" },
        { title: "algorithm" },
        right("steps"),
        right("return"),
        right("each seed"),
        right("random play"),
        { title: "goal" },
        { title: "met" },
        right("time"),
      ],
      rows: lines.map(({ task, cells, random, met }) => {
        const returns = cells.map(({ played }) => played);
        return [
          task.environment,
          task.algorithm,
          String(task.steps),
          intervalText(bootstrapInterval([returns], mean)),
          returns.map((value) => value.toFixed(1)).join(", "),
          random.toFixed(2),
          "value" in task.goal ? String(task.goal.value) : `${task.goal.timesRandom} x random`,
          met ? "yes" : "NO",
          duration(mean(cells.map(({ seconds }) => seconds))),
        ];
      }),
    },
    remarks: ["Times are those of the machines that computed the cells, some of which paused: a rough guide."],
  };
}

/** Learning curves of both algorithms in one environment. */
function curveSection(environment: string, lines: readonly GameLine[]): ReportSection {
  const series = lines
    .filter(({ task }) => task.environment === environment)
    .map(({ task, cells }) => curveSeries(task.algorithm, cells, task.steps));
  const name = agentName(environment);
  return {
    title: `Learning curves: ${name}`,
    picture: name,
    plot: lineChart(`Return in ${name}`, series, { x: "steps", y: "return" }),
  };
}

async function report(request: ExperimentRequest): Promise<ExperimentReport> {
  const lines = await finishedLines(request);
  if (lines.length === 0) throw new UserError("no cell is finished yet: run the experiment first");
  const environments = [...new Set(lines.map(({ task }) => task.environment))];
  return {
    title: "Agents that learn alone",
    sections: [mainSection(lines, request), ...environments.map((environment) => curveSection(environment, lines))],
    data: { lines },
  };
}

export const rlGames: Experiment = {
  name: "rl-games",
  seeds: 3,
  selfContained: true,
  groups,
  report,
};
