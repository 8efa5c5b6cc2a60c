/**
 * What PPO and DQN reach alone in stated budgets, beside random play: CartPole, and the five MinAtar games. Resumable: runs
 * are kept in runs/rl-games. `--final` writes docs/results/rl-games.md.
 *
 *   node --import tsx experiments/rl-games.ts [--seeds 3] [--only NAME] [--final]
 */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { writeFileAtomic } from "../src/io/index.ts";
import { type Column, duration, markdownTable, textTable } from "../src/report/index.ts";
import {
  type AlgorithmPlan,
  actionNames,
  defaultDqnOptions,
  gridIds,
  isAgentRun,
  makeEnvironment,
  observationForm,
  openAgent,
  outputKind,
  playEpisodes,
  RandomStream,
  resultOf,
  trainAgent,
  usualNetwork,
  usualPpoOptions,
} from "../src/rl/index.ts";
import { setNumThreads } from "../src/torch/index.ts";

const { values: flags } = parseArgs({
  options: {
    seeds: { type: "string", default: "3" },
    only: { type: "string", default: "" },
    final: { type: "boolean", default: false },
  },
});

interface Task {
  environment: string;
  algorithm: "ppo" | "dqn";
  steps: number;
  copies: number;
  /** What counts as solved: a mean return, or a multiple of random play. */
  goal: { value: number } | { timesRandom: number };
}

const tasks: Task[] = [
  { environment: "cartpole", algorithm: "ppo", steps: 200_000, copies: 8, goal: { value: 475 } },
  { environment: "cartpole", algorithm: "dqn", steps: 200_000, copies: 4, goal: { value: 475 } },
  ...gridIds.flatMap((environment): Task[] => [
    { environment, algorithm: "ppo", steps: 2_000_000, copies: 16, goal: { timesRandom: 3 } },
    { environment, algorithm: "dqn", steps: 1_000_000, copies: 4, goal: { timesRandom: 3 } },
  ]),
];

const episodes = 100;
const folder = fileURLToPath(new URL("../runs/rl-games", import.meta.url));
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

async function planOf({ environment: id, algorithm }: Task) {
  const form = observationForm(await makeEnvironment(id));
  const isVector = form.shape[1] * form.shape[2] === 1;
  // Few steps, and a network that overestimates quickly: a larger batch and a smaller replay for classic control.
  const small = { batchSize: 128, capacity: 50_000, learningStarts: 1000, targetEvery: 2000, epsilonFall: 0.2 };
  const plan: AlgorithmPlan =
    algorithm === "ppo"
      ? { name: "ppo", options: usualPpoOptions(form) }
      : {
          name: "dqn",
          options: { ...defaultDqnOptions, nSteps: 3, ...(isVector ? { ...small, epsilon: [1, 0.05] as const } : {}) },
        };
  return { plan, network: usualNetwork(form, outputKind(algorithm)) };
}

/** Returns of 100 episodes, the policy as it is (values of actions: greedy). */
async function measure(task: Task, seed: number): Promise<{ returned: number; seconds: number }> {
  const { environment, algorithm, steps: totalSteps, copies } = task;
  const out = join(folder, `${environment.replace(":", "-")}-${algorithm}`, String(seed));
  if (!existsSync(join(out, "result.json"))) {
    mkdirSync(join(out, ".."), { recursive: true });
    const { plan, network } = await planOf(task);
    const size = { copies, totalSteps, seed, hub: undefined };
    const way = { environment, environmentOptions: {}, algorithm: plan, network };
    await trainAgent({ ...way, ...size, out, resume: isAgentRun(out), emit: () => {} });
  }
  const opened = await openAgent(out, { copies: 10, seed: 2_000_000 + 1000 * seed });
  const { actions, form, network, environment: played } = opened;
  const kind = outputKind(algorithm);
  const result = await playEpisodes({
    environment: played,
    network,
    form,
    actions: actions.length,
    kind,
    episodes,
    greedy: false,
  });
  network.dispose();
  await played.close();
  return { returned: mean(result.returns), seconds: resultOf(out).seconds };
}

async function randomReturn(id: string): Promise<number> {
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

interface Line {
  task: Task;
  returns: number[];
  random: number;
  seconds: number;
  met: boolean;
}

async function lineOf(task: Task, seeds: readonly number[]): Promise<Line> {
  const random = await randomReturn(task.environment);
  const measured = [];
  for (const seed of seeds) measured.push(await measure(task, seed));
  const returns = measured.map(({ returned }) => returned);
  const goal = "value" in task.goal ? task.goal.value : task.goal.timesRandom * random;
  const line = {
    task,
    returns,
    random,
    seconds: mean(measured.map(({ seconds }) => seconds)),
    met: mean(returns) >= goal,
  };
  console.error(`${task.environment}, ${task.algorithm}: ${returns.map((value) => value.toFixed(1)).join(", ")}`);
  return line;
}

const columns: Column<Line>[] = [
  { title: "environment", value: ({ task }) => task.environment },
  { title: "algorithm", value: ({ task }) => task.algorithm },
  { title: "steps", value: ({ task }) => String(task.steps), right: true },
  { title: "return", value: ({ returns }) => mean(returns).toFixed(2), right: true },
  { title: "each seed", value: ({ returns }) => returns.map((value) => value.toFixed(1)).join(", "), right: true },
  { title: "random", value: ({ random }) => random.toFixed(2), right: true },
  {
    title: "goal",
    value: ({ task: { goal } }) => ("value" in goal ? String(goal.value) : `${goal.timesRandom} x random`),
  },
  { title: "met", value: ({ met }) => (met ? "yes" : "NO") },
  { title: "time", value: ({ seconds }) => duration(seconds), right: true },
];

setNumThreads(1);
const seeds = Array.from({ length: Number(flags.seeds) }, (_, i) => i);
const lines: Line[] = [];
for (const task of tasks) {
  if (`${task.environment} ${task.algorithm}`.includes(flags.only)) lines.push(await lineOf(task, seeds));
}
console.log(textTable(lines, columns));
if (flags.final) {
  const path = fileURLToPath(new URL("../docs/results/rl-games.md", import.meta.url));
  const about = `Made by \`node --import tsx experiments/rl-games.ts --final --seeds ${flags.seeds}\`: mean return of ${episodes} episodes after training, ${seeds.length} seeds.`;
  writeFileAtomic(path, `${about}\n\n${markdownTable(lines, columns)}\n`);
}
